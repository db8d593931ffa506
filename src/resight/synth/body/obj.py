"""Wavefront OBJ: vertices and the faces of each group.  Texture coordinates and materials are passed over."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from resight.errors import ResightError
from resight.synth.scene.surface import Array

Faces = NDArray[np.int64]


@dataclass(frozen=True)
class Obj:
    """vertices (N, 3) as in the file; group name -> triangles (F, 3)."""

    vertices: Array
    groups: dict[str, Faces]


def read_obj(file: Path) -> Obj:
    """Read a mesh of triangles and quadrilaterals."""
    points: list[tuple[float, float, float]] = []
    groups: dict[str, list[list[int]]] = {}
    current = groups.setdefault("", [])
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                words = line.split()
                if not words:
                    continue
                if words[0] == "v":
                    points.append((float(words[1]), float(words[2]), float(words[3])))
                elif words[0] == "g":
                    current = groups.setdefault(words[1] if len(words) > 1 else "", [])
                elif words[0] == "f":
                    corners = [int(word.split("/")[0]) - 1 for word in words[1:]]
                    current += [[corners[0], corners[k], corners[k + 1]] for k in range(1, len(corners) - 1)]
    except (OSError, ValueError, IndexError) as error:
        raise ResightError(f"{file}: not a Wavefront OBJ mesh ({error}). Name an intact file.") from error
    made = {name: np.array(faces, np.int64).reshape(-1, 3) for name, faces in groups.items() if faces}
    if any(faces.size and (faces.min() < 0 or faces.max() >= len(points)) for faces in made.values()):
        raise ResightError(f"{file}: a face names a vertex that is not in the file. Name an intact file.")
    return Obj(np.array(points), made)
