"""Checks of labels: persons, cameras and paths, before a picture is opened.

Training and evaluation run it first and stop with its sentence (`refuse_unusable`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from resight.data.formats.filenames import counted, first_few
from resight.data.splits import matches
from resight.errors import DatasetError, printable
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from resight.data.dataset import Dataset
    from resight.types import Sample

UNKNOWN = "cameras='ignore' (on the command line --set cameras=ignore)"
Level = Literal["error", "warning", "note"]
FATAL = {  # codes that leave nothing to do
    "train": frozenset({"no_training", "one_person", "no_match"}),  # nothing could be evaluated
    "evaluate": frozenset({"no_test", "no_queries", "no_gallery", "no_match"}),
}


@dataclass(frozen=True)
class Finding:
    """One observation about a data set: its level, what was found (`what`), what to do (`cure`)."""

    level: Level
    code: str
    what: str
    cure: str = ""

    def __str__(self) -> str:
        return printable(f"{self.what} {self.cure}".strip())


def check_labels(dataset: Dataset) -> list[Finding]:
    """Findings from persons, cameras and paths, errors first."""
    parts = (_training(dataset), _test(dataset), _overlap(dataset), _matches(dataset), _cameras(dataset))
    return errors_first(finding for part in parts for finding in part)


def errors_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, then warnings, then notes, each in the order they came."""
    return sorted(findings, key=lambda finding: get_args(Level).index(finding.level))


def refuse_unusable(dataset: Dataset, purpose: Literal["train", "evaluate"]) -> list[Finding]:
    """Refuse a data set that cannot be trained on or evaluated on.

    Returns:
        The findings, to show.

    Raises:
        DatasetError: there is nothing to train or evaluate on; the message says why and what to do.
    """
    findings = [*check_labels(dataset), *left_out(dataset)]
    for finding in findings:
        if finding.code in FATAL[purpose]:
            raise DatasetError(f"{dataset.name}: {finding}")
    return findings


def left_out(dataset: Dataset) -> list[Finding]:
    """What the reader noted of files it did not take; what was never to be taken, such as junk, is a note."""
    notes = [note for note in dataset.notes if "left out" in note]
    return [
        Finding("note" if note.startswith("left out junk") else "warning", "left_out", f"{note[0].upper()}{note[1:]}.")
        for note in notes
    ]


def _training(dataset: Dataset) -> Iterable[Finding]:
    pids = Counter(sample.pid for sample in dataset.train if sample.pid > 0)
    if not dataset.train:
        yield Finding("warning", "no_training", "There are no training pictures.", "It can be evaluated on only.")
        return
    if len(pids) < 2:
        yield Finding(
            "error",
            "one_person",
            f"All {len(dataset.train):,} training pictures belong to {len(pids)} person.",
            "If that is not so, the pattern reads a number that all names or their folder share: give it as it stands "
            "in the file's own name.",
        )
        return
    low, high = min(pids), max(pids)
    if high - low + 1 != len(pids):
        yield Finding(
            "note",
            "labels",
            f"The {len(pids):,} training persons are numbered {low} to {high}, with gaps.",
            "Nothing to do: labels 0 and up are made from the sorted numbers.",
        )
    single = [pid for pid, images in pids.items() if images == 1]
    if single:
        yield Finding(
            "note",
            "single",
            f"{counted(len(single), 'training person has', 'training persons have')} one picture "
            f"({first_few(dataset.names_of(single))}).",
            "They serve an identity loss; a metric loss sees them as their own positive only when repeated.",
        )


def _test(dataset: Dataset) -> Iterable[Finding]:
    if not dataset.query and not dataset.gallery:
        yield Finding(
            "warning", "no_test", "There is neither query nor gallery.", "Make them with `resight data split`."
        )
    elif not dataset.query:
        yield Finding("error", "no_queries", "There is a gallery and no query.", "Pass auto_query='one_per_id_cam'.")
    elif not dataset.gallery:
        yield Finding("error", "no_gallery", "There are queries and no gallery.", "Name the gallery's folder.")


def _overlap(dataset: Dataset) -> Iterable[Finding]:
    learnt = {sample.pid for sample in dataset.train if sample.pid > 0}
    tested = {sample.pid for sample in (*dataset.query, *dataset.gallery) if sample.pid > 0}
    both = sorted(learnt & tested)
    if both:
        yield Finding(
            "error",
            "overlap",
            f"{counted(len(both), 'person is', 'persons are')} in train and in the test "
            f"({first_few(dataset.names_of(both))}).",
            "Split by person, not by picture (`resight data split`). If numbers restart in the test and mean other "
            "people, shift them.",
        )
    train, query, gallery = (
        {sample.path for sample in part} for part in (dataset.train, dataset.query, dataset.gallery)
    )
    shared = (train & (query | gallery)) | (query & gallery if query != gallery else set())
    if shared:
        names = first_few(sorted(path.name for path in shared))
        yield Finding(
            "error",
            "shared_files",
            f"{counted(len(shared), 'picture is', 'pictures are')} in two splits ({names}).",
            "A picture may be asked for or be an answer, not both: remove one of the two.",
        )


def _matches(dataset: Dataset) -> Iterable[Finding]:
    """Queries without a valid match, by cause."""
    if not dataset.query or not dataset.gallery:
        return
    people: dict[int, list[Sample]] = defaultdict(list)
    for sample in dataset.gallery:
        people[sample.pid].append(sample)
    absent = [query for query in dataset.query if query.pid not in people]
    unmatched = [
        query
        for query in dataset.query
        if query.pid in people and not any(matches(query, other) for other in people[query.pid])
    ]
    number, total = len(absent) + len(unmatched), len(dataset.query)
    level: Level = "error" if number == total else "warning"
    code = "no_match" if number == total else "some_without_match"
    if absent:
        yield Finding(
            level,
            code,
            f"{len(absent):,} of {total:,} queries ask for persons who are not in the gallery "
            f"({_people(dataset, absent)}).",
            "Add pictures of them to the gallery, or leave those queries out; the rest can be evaluated."
            if number < total
            else "Query and gallery must show the same people: check that both come from one set and one numbering, or "
            "make them with `resight data split`.",
        )
    if unmatched:
        cameras = {sample.camid for sample in (*dataset.query, *dataset.gallery)}
        yield Finding(level, code, *_same_camera(dataset, unmatched, cameras))


def _same_camera(dataset: Dataset, unmatched: Sequence[Sample], cameras: set[int]) -> tuple[str, str]:
    total = len(dataset.query)
    if len(cameras) == 1:
        return (
            f"Every picture has camera {next(iter(cameras))}, and a match by the query's own camera does not count: "
            f"{len(unmatched):,} of {total:,} queries have no valid match.",
            f"If cameras are not known, say so with {UNKNOWN}; if they are, say where they stand in the name.",
        )
    return (
        f"{len(unmatched):,} of {total:,} queries ask for persons whom the gallery shows by the query's own camera "
        f"only ({_people(dataset, unmatched)}).",
        f"Move a picture by another camera into the gallery, or declare cameras unknown with {UNKNOWN}.",
    )


def _people(dataset: Dataset, samples: Iterable[Sample]) -> str:
    return "persons " + first_few(dataset.names_of(sample.pid for sample in samples))


def _cameras(dataset: Dataset) -> Iterable[Finding]:
    unknown = sum(sample.camid == UNKNOWN_CAMERA for sample in dataset.everyone)
    if unknown:
        yield Finding(
            "note",
            "unknown_cameras",
            f"The camera of {unknown:,} of {len(dataset.everyone):,} pictures is unknown.",
            "Any picture of the same person counts as their match. Figures are not comparable to cross-camera ones.",
        )
