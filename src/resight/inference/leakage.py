"""Duplicates shared by query and gallery: equal files, or equal vectors, that make a match trivial."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

from resight.types import UNKNOWN_CAMERA

if TYPE_CHECKING:
    from resight.inference.embeddings import Vectors


def duplicates(query: Vectors, gallery: Vectors) -> list[tuple[int, int]]:
    """(query row, gallery row) of equal files that may count as a match: not of one known camera.

    Only files of equal length are read.  Equal vectors of pictures that are not here count as well: one embedding
    file given as query and as gallery.
    """
    sizes = _by_size(query), _by_size(gallery)
    found = []
    for size in sorted(sizes[0].keys() & sizes[1].keys()):
        content = defaultdict(list)
        for row in sizes[1][size]:
            content[_digest(gallery, row)].append(row)
        found += [(asked, row) for asked in sizes[0][size] for row in content.get(_digest(query, asked), ())]
    return sorted(pair for pair in {*found, *_equal_vectors(query, gallery)} if _counts(query, gallery, *pair))


def _counts(query: Vectors, gallery: Vectors, asked: int, row: int) -> bool:
    """Whether the pair counts: a match of one camera is left out, but only where the camera is known."""
    camera = query.camids[asked]
    return bool(camera != gallery.camids[row] or camera == UNKNOWN_CAMERA)


def _equal_vectors(query: Vectors, gallery: Vectors) -> list[tuple[int, int]]:
    """Pairs of one vector and one name whose pictures are not here to be compared."""
    if not query.vectors.shape[1]:
        return []
    there = defaultdict(list)
    for row in range(len(gallery)):
        there[gallery.paths[row], gallery.vectors[row].tobytes()].append(row)
    return [
        (asked, row)
        for asked in range(len(query))
        for row in there.get((query.paths[asked], query.vectors[asked].tobytes()), ())
        if not query.path(asked).is_file()
    ]


def duplicates_sentence(found: list[tuple[int, int]], query: Vectors, gallery: Vectors) -> list[str]:
    """The same as a sentence, for the record; nothing where there are none."""
    if not found:
        return []
    asked, row = found[0]
    return [
        f"{len(found)} gallery pictures are duplicates of queries, {gallery.paths[row]} of {query.paths[asked]} for "
        f"one: such matches are trivial, and the scores too high."
    ]


def _by_size(vectors: Vectors) -> dict[int, list[int]]:
    """Rows by the length of their file in bytes; what is not there is passed over."""
    rows = defaultdict(list)
    for row in range(len(vectors)):
        if (path := vectors.path(row)).is_file():
            rows[path.stat().st_size].append(row)
    return rows


def _digest(vectors: Vectors, row: int) -> bytes:
    return hashlib.sha256(vectors.path(row).read_bytes()).digest()
