"""SynergyReID submissions: a table of distances whose ranking survives five decimals.

First row: 0 and the gallery's ids; each further row: a query id and its distances, printed with %10.5f.  Distances
that differ by less than a unit of the fifth decimal would tie, so each row is spread out by a positive factor first:
that keeps its order, and the score looks at nothing else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from resight.errors import EvaluationError
from resight.evaluation.distances import Block, Matrix, as_array
from resight.evaluation.labels import FloatArray, IntArray, integers

_UNIT = 1e-5  # one in the fifth decimal


def spread(distances: Matrix) -> FloatArray:
    """Distances (Q, G) scaled row by row so that different ones still differ when printed.  Float64.

    Gaps below the row's float precision cannot be kept by any factor; then the row's ranks are returned instead,
    equal distances sharing one.
    """
    out = np.array(as_array("distances", distances), dtype=np.float64)
    if not np.isfinite(out).all():
        raise EvaluationError("distances hold NaN or infinity: nothing to submit.")
    for at, row in enumerate(out):
        levels, place = np.unique(row, return_inverse=True)
        gap = np.diff(levels).min(initial=np.inf)
        factor = 2 * _UNIT / gap
        if factor > 1:
            out[at] = row * factor if abs(levels).max() * factor < 1e9 else place
    return out


def write_submission(path: str | Path, distances: Matrix, query_ids: npt.ArrayLike, gallery_ids: npt.ArrayLike) -> Path:
    """Write the challenge's file, rows in ascending order of query id.

    Args:
        path: CSV file to write.
        distances: (Q, G), smaller is closer.
        query_ids: (Q,) unique whole numbers.
        gallery_ids: (G,) unique whole numbers.

    Returns:
        The file.

    Raises:
        EvaluationError: sizes differ, or an id is not unique.
    """
    query, gallery = integers("query_ids", query_ids), integers("gallery_ids", gallery_ids)
    table = spread(distances)
    if table.shape != (len(query), len(gallery)):
        raise EvaluationError(f"distances have shape {table.shape}, but there are {len(query)} x {len(gallery)} ids.")
    if len(np.unique(query)) < len(query) or len(np.unique(gallery)) < len(gallery):
        raise EvaluationError("ids must be unique: every query and every gallery picture appears once.")
    path = Path(path)
    with path.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(["0", *map(str, gallery)]) + "\n")
        for row in np.argsort(query):
            file.write(f"{query[row]}," + ",".join(f"{value:10.5f}" for value in table[row]) + "\n")
    return path


def read_submission(path: str | Path) -> tuple[Block, IntArray, IntArray]:
    """Read a submission file: the inverse of writing one.

    Args:
        path: CSV; 0 and the gallery's ids, then a row for each query: its id and its distances.

    Returns:
        Distances (Q, G), query ids (Q,), gallery ids (G,).

    Raises:
        EvaluationError: the file is no submission.
    """
    try:
        with Path(path).open(encoding="ascii") as file:
            table = np.array([line.split(",") for line in file], dtype=np.float64, ndmin=2)
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} is not a submission: {error}.") from error
    if table.shape[0] < 2 or table.shape[1] < 2 or table[0, 0] != 0:
        raise EvaluationError(f"{path} is not a submission: expected 0 and gallery ids, then a row for each query.")
    return table[1:, 1:], table[1:, 0].astype(np.int64), table[0, 1:].astype(np.int64)
