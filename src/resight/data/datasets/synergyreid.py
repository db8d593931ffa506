"""SynergyReID: players, referees and coaches of basketball games (DeepSportradar challenge, 2022).

`PID_SEQUENCE_FRAME.jpeg`; frame 00 of a sequence is the query.  There are no real cameras: the toolkit's convention,
followed here, is camid 0 for train and query and 1 for the gallery, so that the same-camera rule removes nothing.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, add_notes, check_counts
from resight.data.dataset_ops import map_samples
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.filenames import Grammar, Parsed, find_root, regex_grammar
from resight.data.formats.split_folders import read_splits
from resight.types import Split

TERMS = "The toolkit is Apache-2.0; the terms of the pictures are those of the challenge, not known to us."
FOLDERS: dict[Split, str] = {
    "train": "reid_training",
    "query": "reid_test/query",
    "gallery": "reid_test/gallery",
}
COUNTS = {"train": SplitCounts(436, 8569, 1), "query": SplitCounts(50, 50, 1), "gallery": SplitCounts(50, 910, 1)}
# the sequence is where other names have the camera, and is none
_NAME = regex_grammar("PID_SEQUENCE_FRAME.jpeg", "00001_01_01.jpeg", r"(?P<pid>\d+)_(?P<camid>\d+)_(?P<frame>\d+)")


def _read_name(name: str) -> Parsed | None:
    parsed = _NAME.read(name)
    return parsed and replace(parsed, pid=parsed.pid + 1, camid=0)  # persons are numbered from 0


GRAMMAR = Grammar(_NAME.pattern, _NAME.example, _read_name)


def read(root: Path, *, assert_counts: AssertCounts = "strict") -> Dataset:
    """Read SynergyReID.

    Pids are one more than in the file names, where they start at 0.  The challenge part has no labels; embed its
    folders directly.

    Args:
        root: the folder data_reid (or synergyreid_data), or the one that contains it; reid_training may be missing.
        assert_counts: what to do where the counts are not the published ones, see `check_counts`.
    """
    inner = ["data_reid", "synergyreid_data", "synergyreid"]
    root = find_root("synergyreid", root, [FOLDERS["query"], FOLDERS["gallery"]], inner)
    dataset = read_splits("synergyreid", "2022", root, GRAMMAR, folders=FOLDERS, terms=TERMS)
    dataset = map_samples(dataset, lambda sample: replace(sample, camid=int(sample.split == "gallery")))
    dataset = check_counts(dataset, COUNTS, assert_counts)
    return add_notes(dataset, ["pids are those of the file names plus 1; cameras are a convention, not real"])


def _detect(root: Path) -> Detection | None:
    there = any((root / FOLDERS[split]).is_dir() for split in ("train", "query"))
    return Detection("SynergyReID's folders") if there and not (root / "query").is_dir() else None


ENTRY = DatasetEntry(
    read,
    _detect,
    COUNTS,
    protocol={"distractor": None, "ties": "merged"},  # person 0 is a person; the toolkit scores ties as scikit-learn
    pattern=GRAMMAR.pattern,
    example=GRAMMAR.example,
    aliases=("synergy", "synergy_reid"),
)
