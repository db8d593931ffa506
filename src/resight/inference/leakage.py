"""Pictures that give the answer away: the same file as query and, under another camera, in the gallery."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resight.inference.embeddings import Vectors


def twins(query: Vectors, gallery: Vectors) -> list[tuple[int, int]]:
    """(query row, gallery row) of equal bytes in two cameras.  Only files of equal length are read."""
    sizes = _by_size(query), _by_size(gallery)
    found = []
    for size in sorted(sizes[0].keys() & sizes[1].keys()):
        content = defaultdict(list)
        for row in sizes[1][size]:
            content[_digest(gallery, row)].append(row)
        found += [
            (asked, row)
            for asked in sizes[0][size]
            for row in content.get(_digest(query, asked), ())
            if query.camids[asked] != gallery.camids[row]
        ]
    return sorted(found)


def in_words(found: list[tuple[int, int]], query: Vectors, gallery: Vectors) -> list[str]:
    """The same as a sentence, for the record; nothing where there are none."""
    if not found:
        return []
    asked, row = found[0]
    return [
        f"{len(found)} gallery pictures are the very files of queries of another camera, {gallery.paths[row]} that of "
        f"{query.paths[asked]} for one: such matches are given away."
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
