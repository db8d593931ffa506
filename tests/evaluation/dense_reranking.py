"""k-reciprocal re-ranking as it is defined: N x N matrices, sets, plain loops.  Float64."""

from __future__ import annotations

from typing import Any

import numpy as np


def dense_rerank(
    q: Any, g: Any, k1: int = 20, k2: int = 6, lam: float = 0.3, variant: str = "paper", metric: str = "cosine"
) -> Any:
    X = np.concatenate([q, g]).astype(np.float64)
    if metric == "cosine":
        X = X / np.linalg.norm(X, axis=1, keepdims=True)
    d = np.maximum((X**2).sum(1)[:, None] + (X**2).sum(1) - 2 * X @ X.T, 0)
    np.fill_diagonal(d, 0)
    n, n_query = len(d), len(q)
    plain = d / 2 if metric == "cosine" else d
    scaled = d if variant == "fastreid" else d / np.where(d.max(1) > 0, d.max(1), 1)[:, None]
    if variant == "torchreid":
        scaled = scaled**2
    first = d.copy()
    np.fill_diagonal(first, -1)
    rank = np.argsort(first, axis=1, kind="stable")
    listed = rank[:, :k1] if variant == "fastreid" else rank  # fast-reid's search returns k1 items, itself included

    def mutual(i: int, size: int) -> set[int]:
        return {int(j) for j in listed[i, :size] if i in listed[j, :size]}

    V = np.zeros((n, n))
    for i in range(n):
        base = mutual(i, k1 + 1)
        whole = set(base)
        for j in base:
            half = mutual(j, round(k1 / 2) + 1)
            if len(half & base) > 2 / 3 * len(half):
                whole |= half
        members = sorted(whole)
        weight = np.exp(-scaled[i, members])
        V[i, members] = weight / weight.sum()
    if k2 > 1:
        V = np.stack([V[rank[i, :k2]].mean(axis=0) for i in range(n)])
    out = np.empty((n_query, n - n_query))
    for i in range(n_query):
        shared = np.minimum(V[i], V[n_query:]).sum(axis=1)
        mix = plain if variant == "fastreid" else scaled
        out[i] = (1 - lam) * (1 - shared / (2 - shared)) + lam * mix[i, n_query:]
    return out
