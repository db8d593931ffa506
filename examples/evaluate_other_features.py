"""Score the features of any other library: mAP, CMC and mINP under the benchmark's rules, with and without re-ranking.

    python examples/evaluate_other_features.py features.npz
    python examples/evaluate_other_features.py                  # features made up here

The .npz holds `query` (Q, D), `gallery` (G, D), `query_pids` (Q,), `gallery_pids` (G,), `query_camids` (Q,) and
`gallery_camids` (G,).
"""

from __future__ import annotations

import sys

import numpy as np

from resight import evaluation


def made_up(people: int = 30, cameras: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Each person a random direction, each picture that direction with noise; a query a person, the rest gallery."""
    rng = np.random.default_rng(seed)
    pids, camids = np.repeat(np.arange(1, people + 1), cameras), np.tile(np.arange(1, cameras + 1), people)
    features = rng.normal(size=(people, 64))[pids - 1] + 1.5 * rng.normal(size=(len(pids), 64))
    asked = camids == 1
    return {
        "query": features[asked], "query_pids": pids[asked], "query_camids": camids[asked],
        "gallery": features[~asked], "gallery_pids": pids[~asked], "gallery_camids": camids[~asked],
    }  # fmt: skip


def main(path: str | None) -> None:
    if path is None:
        arrays = made_up()
    else:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    q, g = arrays["query"], arrays["gallery"]
    q_pids, g_pids = arrays["query_pids"], arrays["gallery_pids"]
    q_camids, g_camids = arrays["query_camids"], arrays["gallery_camids"]
    print(evaluation.evaluate_features(q, g, q_pids, g_pids, q_camids, g_camids, metric="cosine"))
    reranked = evaluation.rerank(q, g, k1=20, k2=6, lam=0.3)
    print(evaluation.evaluate_distances(reranked, q_pids, g_pids, q_camids, g_camids), "re-ranked")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else None)
