"""Evaluation against plain numpy, the matrix product alone, and torchreid's evaluator: time and memory.

    uv run --group peers python benchmarks/evaluation.py       # Market-1501's size
    python benchmarks/evaluation.py --size msmt17              # MSMT17's size: about 4 TFLOP, minutes

torchreid's wheel on PyPI has no compiled evaluator; the Python one is measured, on the first few queries.
Features are synthetic and clustered, seeds fixed.  Everything compared ran side by side in one run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from clustered import SIZES, SMALL, Split, clustered
from measure import peak_beyond, seconds, side_by_side
from peers import MISSING, torchreid_file
from resight.evaluation import evaluate_distances, evaluate_features


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*sorted(SIZES), "small"], default="market")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    split = clustered(SMALL if arguments.size == "small" else SIZES[arguments.size])
    result: dict[str, Any] = {"size": arguments.size, "threads": os.cpu_count(), "repeats": arguments.repeats}
    result |= from_features(split, arguments.repeats)
    if arguments.size != "msmt17":
        result |= from_distances(split, arguments.repeats)
        result |= against_torchreid(split)
    print(json.dumps(result, indent=2))


def from_features(split: Split, repeats: int) -> dict[str, Any]:
    """End to end, against the product in slabs of the same kind, nothing kept of it."""

    def product() -> None:
        for start in range(0, len(split.query), 512):
            split.query[start : start + 512] @ split.gallery.T

    def ours() -> None:
        evaluate_features(split.query, split.gallery, *split.labels)

    def half() -> None:
        some, labels = len(split.query) // 2, split.labels
        evaluate_features(split.query[:some], split.gallery, labels[0][:some], labels[1], labels[2][:some], labels[3])

    times = side_by_side({"product": product, "features": ours}, repeats)
    return {
        "product_s": times["product"],
        "features_s": times["features"],
        "features_over_product": times["features"] / times["product"],
        "peak_mib_beyond_features": peak_beyond(ours),
        "peak_mib_beyond_features_with_half_the_queries": peak_beyond(half),
    }


def from_distances(split: Split, repeats: int) -> dict[str, Any]:
    distances = 1 - split.query @ split.gallery.T
    times = side_by_side(
        {
            "numpy": lambda: plain_numpy(distances, *split.labels),
            "ours": lambda: evaluate_distances(distances, *split.labels),
        },
        repeats,
    )
    aps, firsts = plain_numpy(distances, *split.labels, kind="stable")  # ties in our order: equality is owed
    report = evaluate_distances(distances, *split.labels)
    np.testing.assert_allclose(report.ap, aps, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(report.first_match, firsts)
    loose, _ = plain_numpy(distances, *split.labels)  # numpy's own choice of sort puts ties in any order
    return {
        "plain_numpy_s": times["numpy"],
        "distances_s": times["ours"],
        "times_faster_than_numpy": times["numpy"] / times["ours"],
        "largest_ap_difference": float(np.abs(report.ap - aps).max()),
        "queries_scored_otherwise_by_an_unstable_sort": int((np.abs(report.ap - loose) > 1e-6).sum()),
        "map": report.mAP,
    }


def plain_numpy(
    distances: Any, q_pids: Any, g_pids: Any, q_camids: Any, g_camids: Any, kind: Any = None
) -> tuple[Any, Any]:
    """What most toolkits do: sort everything, then one query after the other."""
    order = np.argsort(distances, axis=1, kind=kind)
    aps, firsts = np.full((2, len(q_pids)), np.nan)
    for at, line in enumerate(order):
        right = g_pids[line] == q_pids[at]
        kept = right[~(right & (g_camids[line] == q_camids[at]))]
        if kept.any():
            hits = kept.cumsum()
            aps[at] = (hits / np.arange(1, len(kept) + 1))[kept].mean()
            firsts[at] = np.argmax(kept) + 1
    return aps, firsts


def against_torchreid(split: Split, queries: int = 200) -> dict[str, Any]:
    peer = torchreid_file("metrics/rank")
    if peer is None:
        return {"torchreid": MISSING}
    q_pids, g_pids, q_camids, g_camids = split.labels
    labels = (q_pids[:queries], g_pids, q_camids[:queries], g_camids)
    distances = 1 - split.query[:queries] @ split.gallery.T
    theirs: dict[str, Any] = {}
    time = seconds(lambda: theirs.update(result=peer.eval_market1501(distances, *labels, 50)))
    ours = seconds(lambda: evaluate_distances(distances, *labels))
    report = evaluate_distances(distances, *labels)
    return {
        "torchreid_python_s_for_200_queries": time,
        "times_faster_than_torchreid_python": time / ours,
        "map_difference_to_torchreid": abs(report.mAP - theirs["result"][1]),
    }


if __name__ == "__main__":
    main()
