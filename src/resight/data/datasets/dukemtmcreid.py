"""DukeMTMC-reID, withdrawn.  Zheng et al., ICCV 2017; video by Ristani et al., ECCVW 2016.

`PPPP_cC_fFFFFFFF.jpg`: person, camera, frame of that camera.  No junk, no distractors by number: 408 persons
seen by one camera are in the gallery and have no query.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

from resight.data.dataset import AssertCounts, Dataset, SplitCounts, check_counts
from resight.data.datasets.attribute_mat import DUKE, with_attribute_file
from resight.data.entry import DatasetEntry, Detection
from resight.data.formats.filenames import find_root, regex_grammar
from resight.data.formats.split_folders import TEST_FOLDERS, first_names, has_test_folders, read_splits
from resight.errors import UsageError

log = logging.getLogger("resight.data")

TERMS = (
    "WITHDRAWN by Duke University in 2019: the people recorded did not consent to publication. Released under "
    "CC BY-NC-SA 4.0. At most for comparison with older results; do not train models you publish or deploy on it."
)
WITHDRAWN = (
    "DukeMTMC-reID was taken down by Duke University on 25 April 2019 and will not come back: people were filmed "
    "outdoors on campus and published without their consent, against what the university had approved. There is no "
    "official source, its licence forbids commercial use, and ethics boards, journals and conferences discourage or "
    "refuse new use. Use it at most to compare with older results, and do not train models on it that you publish "
    "or deploy."
)
GRAMMAR = regex_grammar(
    "PPPP_cC_fFFFFFFF.jpg",
    "0005_c2_f0046985.jpg",
    r"(?P<pid>\d{4})_c(?P<camid>[1-8])_f(?P<frame>\d+)",
)
COUNTS = {
    "train": SplitCounts(702, 16522, 8, {1: 2809, 2: 3009, 3: 1088, 4: 1395, 5: 1685, 6: 3700, 7: 1330, 8: 1506}),
    "query": SplitCounts(702, 2228, 8),
    "gallery": SplitCounts(1110, 17661, 8),
}


def read(
    root: Path,
    *,
    acknowledge_withdrawn: bool = False,
    assert_counts: AssertCounts = "strict",
    attributes: bool | str | Path = False,
) -> Dataset:
    """Read DukeMTMC-reID.

    Args:
        root: the folder DukeMTMC-reID, or the one that contains it; bounding_box_train may be missing.
        acknowledge_withdrawn: must be True: you know that the set was withdrawn, and why.
        assert_counts: what to do where the counts are not the published ones, see `check_counts`.
        attributes: True, or the path of duke_attribute.mat.

    Raises:
        UsageError: without acknowledge_withdrawn.
    """
    if acknowledge_withdrawn is not True:
        raise UsageError(
            f"{WITHDRAWN} To read your copy all the same, pass acknowledge_withdrawn=True (on the "
            "command line --set acknowledge_withdrawn=true, in a recipe data.acknowledge_withdrawn = true)."
        )
    _warn_withdrawn()
    root = find_root("dukemtmcreid", root, TEST_FOLDERS, ["DukeMTMC-reID", "dukemtmc-reid"])
    dataset = read_splits("dukemtmcreid", "DukeMTMC-reID (withdrawn)", root, GRAMMAR, terms=TERMS)
    dataset = check_counts(dataset, COUNTS, assert_counts)
    return with_attribute_file(dataset, attributes, DUKE)


@cache
def _warn_withdrawn() -> None:
    """Log the withdrawal, once in a process."""
    log.warning(WITHDRAWN)


def _detect(root: Path) -> Detection | None:
    names = first_names(root) if has_test_folders(root) else []
    return Detection("DukeMTMC-reID's names") if any(GRAMMAR.read(name) for name in names) else None


ENTRY = DatasetEntry(
    read,
    _detect,
    COUNTS,
    pattern=GRAMMAR.pattern,
    example=GRAMMAR.example,
    aliases=("duke", "dukemtmc", "dukemtmc_reid"),
    doctor_options={"acknowledge_withdrawn": True},  # who asks the doctor is told, and may look at what they hold
)
