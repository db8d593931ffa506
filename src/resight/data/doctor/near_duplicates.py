"""Near-duplicate pictures: the same shot saved again, made smaller or cut a little, or the next frame of it.

Three steps.  A coarse one finds candidates: of an 8 x 9 grid of gray levels, which of two neighbors is brighter (a
difference hash, 64 bits).  A second drops most of them: the correlation of the colors of two thumbnails as they are.
The third decides: the best correlation over small shifts.  tests/data/test_near_duplicates.py shows on the bundled
people what is found, and that nobody is taken for another.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from resight.data.loading.decode import resize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from resight.data.loading.decode import Pixels8

THUMB = (32, 18)  # (H, W); blocks of 4 x 2 make the grid
CANDIDATE = 12  # of 64 bits
CLOSE = 0.7
SAME = 0.93
EDGE = 2  # pixels of a thumbnail one picture may be shifted against the other
CHUNK = 512
BITS = np.array([byte.bit_count() for byte in range(256)], np.uint8)  # set in each byte


def thumbnail(pixels: Pixels8) -> Pixels8:
    """Resize a picture (h, w, 3) to THUMB."""
    small: Pixels8 = resize([pixels], THUMB)[0]
    return small


def near_pairs(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Rows of two stacks of thumbnails (n, *THUMB, 3) that show the same shot."""
    found: list[tuple[int, int]] = []
    hashes = coarse(b)
    for start in range(0, len(a), CHUNK):
        rows, columns = candidates(coarse(a[start : start + CHUNK]), hashes)
        for part in range(0, len(rows), CHUNK):
            i, j = rows[part : part + CHUNK] + start, columns[part : part + CHUNK]
            for least, shift in ((CLOSE, 0), (SAME, EDGE)):
                alike = correlation(a[i], b[j], shift) >= least
                i, j = i[alike], j[alike]
            found += zip(i.tolist(), j.tolist(), strict=True)
    return found


def coarse(thumbs: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(n, *THUMB, 3) -> (n,) difference hashes of 64 bits."""
    grid = thumbs.reshape(len(thumbs), 8, 4, 9, 2, 3).sum(axis=(2, 4, 5), dtype=np.int64)  # (n, 8, 9)
    bits = (grid[:, :, 1:] > grid[:, :, :-1]).reshape(len(thumbs), 64)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def candidates(
    a: NDArray[np.uint64], b: NDArray[np.uint64], bits: int = CANDIDATE
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of a and rows of b whose hashes differ in at most `bits` bits."""
    differing = a[:, None] ^ b[None, :]  # (n, m)
    far = BITS[differing.view(np.uint8).reshape(*differing.shape, 8)].sum(axis=2, dtype=np.uint8)
    rows, columns = np.nonzero(far <= bits)
    return rows, columns


def correlation(a: NDArray[np.uint8], b: NDArray[np.uint8], shift: int = EDGE) -> NDArray[np.float32]:
    """Of the colors of two stacks of thumbnails, pair by pair -> (n,): the best over shifts of so many pixels."""
    height, width = THUMB[0] - 2 * shift, THUMB[1] - 2 * shift
    middle = _unit(a[:, shift : shift + height, shift : shift + width])
    best = np.full(len(a), -1, np.float32)
    for y, x in product(range(2 * shift + 1), repeat=2):
        best = np.maximum(best, (middle * _unit(b[:, y : y + height, x : x + width])).sum(axis=1))
    return best


def _unit(colors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(n, h, w, 3) -> (n, 3 h w), each channel about its mean, of length 1; a picture of one color has none."""
    rows, height, width, _ = colors.shape
    centered = colors.reshape(rows, height * width, 3).astype(np.float32)  # -1 is not allowed for no rows
    centered -= centered.mean(axis=1, keepdims=True)
    flat = centered.reshape(rows, height * width * 3)
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(flat, length, out=np.zeros_like(flat), where=length > 0)
    return unit
