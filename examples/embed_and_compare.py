"""Embed pictures with the packaged weights and print how similar they are.

python examples/embed_and_compare.py a.jpg b.jpg c.jpg
python examples/embed_and_compare.py                     # three bundled synthetic pictures: one person, then another
"""

from __future__ import annotations

import sys
from pathlib import Path

import resight


def similarities(paths: list[Path]) -> list[list[float]]:
    """Cosine similarity of every picture to every other, (N, N)."""
    embed = resight.Extractor(resight.load_model("synth_small"))
    vectors = embed(paths)  # (N, D) float32, unit length
    matrix: list[list[float]] = (vectors @ vectors.T).tolist()
    return matrix


def bundled() -> list[Path]:
    """Two pictures of one bundled person by different cameras, and one of another person."""
    query = resight.load_dataset("sample").query
    first = query[0]
    same = next(s for s in query if s.pid == first.pid and s.camid != first.camid)
    other = next(s for s in query if s.pid != first.pid)
    return [first.path, same.path, other.path]


if __name__ == "__main__":
    chosen = [Path(name) for name in sys.argv[1:]] or bundled()
    for path, row in zip(chosen, similarities(chosen), strict=True):
        print(path.name, " ".join(f"{value:6.3f}" for value in row))
