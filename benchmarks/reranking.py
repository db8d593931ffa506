"""k-reciprocal re-ranking against torchreid's and the product alone: time, memory and the numbers themselves.

    uv run --group peers python benchmarks/reranking.py        # Market-1501's size
    python benchmarks/reranking.py --size msmt17               # ours alone: the dense form needs about 200 GB

torchreid's function takes distance matrices; their products are part of its time here, as they are of ours.
First the numbers are held against the definition, N x N in float64 as the tests have it, at N = 1,150.
Features are synthetic and clustered, seeds fixed.  Everything compared ran in one run.
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
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.evaluation.dense_reranking import dense_rerank

from clustered import SIZES, SMALL, TINY, Split, clustered
from measure import peak, peak_beyond, seconds
from peers import MISSING, torchreid_file
from resight.evaluation import Reranked, Reranking, rerank


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=[*sorted(SIZES), "small"], default="market")
    arguments = parser.parse_args()
    split = clustered(SMALL if arguments.size == "small" else SIZES[arguments.size])
    result: dict[str, Any] = {"size": arguments.size, "threads": os.cpu_count()} | against_definition()
    if arguments.size == "msmt17":
        result |= streamed(split)
    else:
        result |= compared(split)
    print(json.dumps(result, indent=2))


def product(split: Split) -> None:
    """Everything against everything, in slabs, nothing kept."""
    for vectors in (split.query, split.gallery):
        for start in range(0, len(vectors), 1024):
            for side in (split.query, split.gallery):
                vectors[start : start + 1024] @ side.T


def compared(split: Split) -> dict[str, Any]:
    made: dict[str, Any] = {}
    alone = seconds(lambda: product(split))
    time = seconds(lambda: made.update(ours=rerank(split.query, split.gallery)))
    alone = min(alone, seconds(lambda: product(split)))
    result = {"product_s": alone, "rerank_s": time, "rerank_over_product": time / alone}
    result["peak_mib_beyond_features"] = peak_beyond(lambda: rerank(split.query, split.gallery))
    peer = torchreid_file("utils/rerank")
    if peer is None:
        return result | {"torchreid": MISSING}
    theirs: dict[str, Any] = {}
    peak = peak_beyond(lambda: theirs.update(time=seconds(lambda: theirs.update(out=torchreid(peer, split)))))
    return result | {
        "torchreid_s": theirs["time"],
        "times_faster_than_torchreid": theirs["time"] / time,
        "torchreid_peak_mib": peak,
        **apart_from("torchreid", made["ours"], theirs["out"]),
    }


def against_definition() -> dict[str, Any]:
    """N x N matrices, sets and plain loops in float64."""
    split = clustered(TINY)
    return apart_from("definition", rerank(split.query, split.gallery), dense_rerank(split.query, split.gallery))


def apart_from(whom: str, ours: Any, theirs: Any) -> dict[str, Any]:
    apart = np.abs(ours - theirs)
    return {
        f"largest_difference_to_{whom}": float(apart.max()),
        f"entries_1e-5_from_{whom}": int((apart > 1e-5).sum()),
        f"entries_beside_{whom}": int(apart.size),
    }


def torchreid(peer: Any, split: Split) -> Any:
    """Its function squares what it is given, so it gets Euclidean distances; the paper's variant comes out."""

    def euclidean(a: Any, b: Any) -> Any:
        return np.sqrt(np.maximum(2 - 2 * (a @ b.T), 0))

    q, g = split.query, split.gallery
    return peer.re_ranking(euclidean(q, g), euclidean(q, q), euclidean(g, g))


def streamed(split: Split) -> dict[str, Any]:
    """Re-ranked rows one block after another, as an evaluation reads them."""

    def run() -> None:
        for _ in Reranked.of(split.query, split.gallery, Reranking(), "cosine", 2**30).blocks():
            pass

    made: dict[str, float] = {}
    made["peak_mib_beyond_features"] = peak_beyond(lambda: made.update(rerank_s=seconds(run)))
    return made | {"peak_mib_in_all": peak()}


if __name__ == "__main__":
    main()
