"""Two small cases worked through by hand in docs/methods/evaluation.md."""

from __future__ import annotations

from typing import Any

import numpy as np

D1 = np.array(
    [
        [0.33, 0.32, 0.30, 0.37, 0.26, 0.34, 0.39, 0.07, 0.28, 0.06],
        [0.23, 0.25, 0.05, 0.10, 0.35, 0.13, 0.44, 0.38, 0.18, 0.24],
        [0.41, 0.36, 0.21, 0.19, 0.09, 0.29, 0.11, 0.12, 0.16, 0.08],
        [0.43, 0.20, 0.27, 0.15, 0.40, 0.22, 0.42, 0.14, 0.31, 0.17],
    ]
)
LABELS1 = (
    np.array([1, 2, 3, 4]),
    np.array([1, 1, 1, 2, 2, 3, 3, 5, 0, -1]),
    np.array([0, 1, 0, 2]),
    np.array([0, 1, 2, 0, 1, 0, 1, 2, 1, 0]),
)

Q2 = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.2], [0.1, 0.0, 1.0]])
G2 = np.array(
    [
        [0.9, 0.2, 0.1],
        [0.7, 0.6, 0.1],
        [1.0, 0.0, 0.3],
        [0.1, 0.9, 0.1],
        [0.3, 0.8, 0.6],
        [0.0, 0.7, 0.7],
        [0.2, 0.1, 0.9],
        [0.6, 0.1, 0.8],
        [0.5, 0.5, 0.5],
    ]
)
LABELS2 = (
    np.array([1, 2, 3]),
    np.array([1, 1, 1, 2, 2, 2, 3, 3, 9]),
    np.array([0, 0, 0]),
    np.array([1, 0, 2, 1, 0, 2, 1, 2, 1]),
)


def unit(rows: Any) -> Any:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
