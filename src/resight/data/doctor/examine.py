"""Examination of a data set on disk (`resight data check`): what it is, what is wrong with it, and what to do."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from resight.data import DATASETS, canonical_name, load_dataset, options_of
from resight.data.dataset import Dataset
from resight.data.doctor.detect_format import DetectedFormat, detect_format
from resight.data.doctor.image_checks import ImageFacts, inspect, picture_findings
from resight.data.doctor.label_checks import Finding, Level, check_labels, errors_first
from resight.data.doctor.statistics import statistics
from resight.data.formats.filename_pattern import usual_pattern
from resight.data.formats.filenames import list_pictures

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from resight.data.loading.base import Progress

COUNTS_DIFFER = (
    "Fetch the rest, or pass assert_counts='warn' (--set assert_counts=warn) if this copy is meant: its results are "
    "then marked and cannot be compared with published figures."
)


@dataclass(frozen=True)
class Checkup:
    """The outcome of `examine`.

    Attributes:
        form: what was recognized.
        dataset: what the reader made of it; None where pictures have no splits yet.
        findings: what a reader should know, gravest first.
        statistics: see `resight.data.doctor.statistics`.
        facts: of each picture, where pictures were opened.
    """

    form: DetectedFormat
    dataset: Dataset | None
    findings: tuple[Finding, ...]
    statistics: Mapping[str, Any]
    facts: tuple[ImageFacts, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether there is no finding of level "error"."""
        return not any(finding.level == "error" for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """Plain JSON values: everything but the facts of single pictures."""
        return {
            "form": {**asdict(self.form), "root": str(self.form.root)},
            "sound": self.sound,
            "findings": [asdict(finding) for finding in self.findings],
            "statistics": dict(self.statistics),
        }


def examine(
    root: Path,
    *,
    name: str | None = None,
    options: Mapping[str, object] | None = None,
    pictures: bool = True,
    near: bool = False,
    progress: Progress | None = None,
) -> Checkup:
    """Examine the data set at `root`.

    Args:
        root: a folder or a CSV file.
        name: read it as this data set; default: as what it is recognized to be.
        options: of its reader.
        pictures: open every picture: unreadable ones, duplicates, sizes, brightness.
        near: also look for near-duplicates across train and test.
        progress: called with (done, total) while pictures are opened.

    Raises:
        DatasetError: there is nothing that can be read at all.
    """
    form = detect_format(root) if name is None else DetectedFormat(canonical_name(name), root.expanduser(), "as asked")
    if not form.is_split:
        return Checkup(form, None, (_needs_split(form),), {})
    form = replace(form, options=_options(form, options or {}))
    counting = {"assert_counts": "warn"} if "assert_counts" in options_of(form.name) else {}  # a finding, no error
    dataset = load_dataset(form.name, form.root, **{**counting, **form.options})
    asked = "assert_counts" in (options or {})
    findings = [*_moved(root, form), *check_labels(dataset), *_notes(dataset, asked)]
    facts: list[ImageFacts] = []
    if pictures:
        samples = {sample.path: sample for sample in dataset.everyone}
        facts = inspect(list(samples.values()), progress, near)
        findings += picture_findings(facts, near)
    return Checkup(form, dataset, tuple(errors_first(findings)), statistics(dataset, facts), tuple(facts))


def _options(form: DetectedFormat, options: Mapping[str, object]) -> dict[str, object]:
    """Reader options: the doctor's own, those recognized, those asked for."""
    return {**DATASETS[form.name].doctor_options, **form.options, **options}


def _needs_split(form: DetectedFormat) -> Finding:
    what = f"{form.root} holds {form.why}." if form.name != "table" else f"{form.root} is {form.why}."
    command = f"resight data split {shlex.quote(str(form.root))}"
    if form.name != "flat":
        return Finding("error", "no_splits", what, f"Make train, query and gallery with `{command}`.")
    pictures = list_pictures(form.root, form.root, recursive=True).pictures
    usual = usual_pattern(pictures, form.root)
    if usual is not None:
        cure = f"Make train, query and gallery with `{command} --pattern '{usual}'`, which fits their names."
        return Finding("error", "no_splits", what, cure)
    name = pictures[0].relative_to(form.root).as_posix()
    cure = (
        f"Say where person and camera stand in names like {name} with `{command} --pattern PATTERN`; for "
        "0042_c3_001711.jpg it would be '{pid}_c{camid}_{frame}'."
    )
    return Finding("error", "no_splits", what, cure)


def _moved(root: Path, form: DetectedFormat) -> list[Finding]:
    """A finding where the root was a level too high or too deep."""
    given, right = root.expanduser().resolve(), form.root.resolve()
    if right in (given, given / form.root.name) and (right == given or form.root.is_file()):
        return []
    return [Finding("warning", "root", f"{root} is not the root: the data set is {form.why}.", f"Use {form.root}.")]


def _notes(dataset: Dataset, asked: bool) -> list[Finding]:
    """The reader's notes; an error where published counts are missed, unless the caller `asked` for such a copy."""
    findings = []
    for note in dataset.notes:
        counted = note.startswith("counts differ")
        sentence = note[:1].upper() + note[1:] + ("" if note.endswith((".", "?")) else ".")
        cure = COUNTS_DIFFER if counted else ""
        level: Level = "note" if not counted else "warning" if asked else "error"
        findings.append(Finding(level, "counts" if counted else "reader", sentence, cure))
    return findings
