"""Clusters beside DBSCAN on plain cosine distances, and a large set's time and memory.

python benchmarks/clustering.py --dataset sample --all               # the bundled people
python benchmarks/clustering.py --dataset market1501 --root FOLDER   # the training pictures
python benchmarks/clustering.py --vectors 100000                     # made-up descriptors of 320 numbers
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.clustering import ClusterConfig, agreement, centered, cluster
from resight.data import load_dataset
from resight.errors import EvaluationError
from resight.inference import Extractor, embed_samples
from resight.models import load_model
from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.data import Dataset
    from resight.inference import Vectors

PLAIN = tuple(round(0.02 * step, 2) for step in range(1, 31))  # radii of cosine distance


def crowd(count: int, dim: int = 320, shots: int = 20) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Unit vectors scattered around a direction a person, and who they are."""
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(-(-count // shots)), shots)[:count]
    centers = rng.normal(size=(truth[-1] + 1, dim)).astype(np.float32)
    vectors = centers[truth] + 1.2 * rng.normal(size=(count, dim)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True), truth


def measured(vectors: NDArray[np.float32], truth: NDArray[np.int64], config: ClusterConfig) -> dict[str, Any]:
    began = time.perf_counter()
    found = cluster(vectors, config)
    took = time.perf_counter() - began
    facts = {**found.facts(), **agreement(found.labels, truth).as_dict(), "seconds": round(took, 1)}
    return facts | {"peak_GiB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)}


def beside_plain(vectors: NDArray[np.float32], truth: NDArray[np.int64]) -> dict[str, Any]:
    """The radius chosen without labels, beside the best radius on plain distances, which labels choose."""
    rows = {f"jaccard, k1 {k1}, radius chosen": measured(vectors, truth, ClusterConfig(k1=k1)) for k1 in (15, 20, 30)}
    rows["jaccard, k1 30, eps 0.6"] = measured(vectors, truth, ClusterConfig(k1=30, eps=0.6))
    best: dict[str, Any] = {"pair_f1": 0.0}
    for eps in PLAIN:
        try:
            row = measured(vectors, truth, ClusterConfig(distance="plain", eps=eps))
        except EvaluationError:  # so loose that most pairs are neighbors
            break
        best = max(best, row, key=lambda row: float(row["pair_f1"]))
        if row["pair_f1"] < best["pair_f1"] / 2:  # people are merged, and looser radii merge more
            break
    return rows | {"plain cosine, best radius by labels": best}


def described(dataset: Dataset, model: str, *, everybody: bool) -> Vectors:
    """Descriptors of the training pictures, or of all, whose person is known."""
    samples = [*dataset.train, *dataset.query, *dataset.gallery] if everybody else dataset.train
    vectors, _ = embed_samples(Extractor(load_model(model)), [s for s in samples if s.pid > 0], dataset.root)
    return vectors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset")
    parser.add_argument("--root")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--model", default="synth_small")
    parser.add_argument("--vectors", type=int)
    asked = parser.parse_args()
    found: dict[str, Any] = {}
    if asked.vectors:
        found[f"{asked.vectors} vectors"] = measured(*crowd(asked.vectors), ClusterConfig())
    if asked.dataset:
        held = described(load_dataset(asked.dataset, root=asked.root), asked.model, everybody=asked.all)
        found["plain"] = beside_plain(held.vectors, held.pids)
        if (held.camids != UNKNOWN_CAMERA).all():
            found["cameras centered"] = beside_plain(centered(held.vectors, held.camids), held.pids)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
