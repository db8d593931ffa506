"""Clothes, shoes and hair as meshes for MakeHuman's base mesh, from a folder of the user's (MakeHuman's own: CC0).

An .mhclo file ties every vertex of a garment to three vertices of the base mesh, so that it fits any body.  A suit
holds several garments; its connected surfaces are told apart, and by where they lie become a top, trousers or a skirt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from resight.errors import ResightError, UsageError
from resight.synth.body.model import Rest, body_model
from resight.synth.body.obj import Faces, read_obj
from resight.synth.body.parts import Part, compact, strongest
from resight.synth.scene.surface import Array

if TYPE_CHECKING:
    from numpy.typing import NDArray

Kind = Literal["top", "trousers", "skirt", "shoes", "hair"]
_LARGEST = 32 * 2**20  # bytes of a file
_AXES = ("x_scale", "y_scale", "z_scale")
_LEAST = 200  # vertices of a surface that counts as a garment; smaller ones (buttons) are left out


@dataclass(frozen=True, eq=False)
class Fitting:
    """A mesh tied to the base mesh: vertex v is shares[v] @ base[anchors[v]] + offsets[v], offsets in MakeHuman's axes.

    spans: for x, y, z the two base vertices whose distance over `lengths` scales the offsets.
    """

    name: str
    kind: Kind
    female: bool | None  # None suits anybody
    long: bool  # sleeves to the wrist, hair to the shoulders
    anchors: NDArray[np.int64]
    shares: Array
    offsets: Array
    spans: NDArray[np.int64]
    lengths: Array
    faces: Faces

    def on(self, rest: Rest) -> Part:
        """The mesh on a body at rest, of middle gray."""
        base = rest.vertices
        scale = np.empty(3)
        for axis, ours in enumerate((0, 2, 1)):  # MakeHuman's y is up, its z ahead
            first, second = self.spans[axis]
            scale[axis] = abs(base[first, ours] - base[second, ours]) / self.lengths[axis]
        moved = (self.offsets * scale)[:, [0, 2, 1]] * [-1.0, 1.0, 1.0]
        vertices = np.einsum("vk,vkj->vj", self.shares, base[self.anchors]) + moved
        model = body_model()
        share = np.clip(self.shares, 0, None)
        weights = (model.weights[self.anchors] * share[:, :, None]).reshape(len(vertices), -1)
        kept, bones = strongest(weights, model.bones[self.anchors].reshape(len(vertices), -1))
        part = Part(vertices, self.faces, kept, bones, np.full_like(vertices, 0.5))
        return compact(part)


@lru_cache(maxsize=2)
def catalog(folder: str) -> dict[str, Fitting]:
    """Name -> mesh, for everything in the folder that fits the base mesh; sorted by name."""
    files = sorted(Path(folder).rglob("*.mhclo"))
    if not files:
        raise UsageError(f"{folder}: no .mhclo files. Name a folder with MakeHuman's assets.")
    return {fitting.name: fitting for file in files for fitting in _fittings(file)}


def matching(folder: str, kind: Kind, *, sex: int | None = None, long: bool | None = None) -> tuple[str, ...]:
    """Names of the meshes of a kind that suit a sex and a length."""
    return tuple(
        name
        for name, fitting in catalog(folder).items()
        if fitting.kind == kind
        and (sex is None or fitting.female is None or fitting.female == bool(sex))
        and (long is None or fitting.long == long)
    )


def _fittings(file: Path) -> list[Fitting]:
    if max(entry.stat().st_size for entry in (file, *file.parent.glob("*.obj"))) > _LARGEST:
        raise ResightError(f"{file}: larger than {_LARGEST // 2**20} MB. Name a folder with MakeHuman's assets.")
    header, rows = _read(file)
    mesh = read_obj(file.parent / header["obj_file"])
    faces = np.concatenate(list(mesh.groups.values()))
    if len(rows) != len(mesh.vertices):
        raise ResightError(f"{file}: ties {len(rows)} vertices, its mesh has {len(mesh.vertices)}. Name intact files.")
    whole = Fitting(
        file.stem,
        _worn_as(file),
        _female(file.stem),
        False,
        rows[:, :3].astype(np.int64),
        rows[:, 3:6],
        rows[:, 6:],
        np.array([header[axis][:2] for axis in _AXES], np.int64),
        np.array([header[axis][2] for axis in _AXES]),
        faces,
    )
    if whole.anchors.max() >= len(body_model().weights) or whole.spans.max() >= len(body_model().weights):
        raise ResightError(f"{file}: is tied to another base mesh than hm08. Name a folder with MakeHuman's assets.")
    if whole.kind in ("shoes", "hair"):
        return [replace(whole, long=file.stem.startswith(("long", "bob", "braid", "pony")))]
    return _garments(whole, mesh.vertices)


def _read(file: Path) -> tuple[dict[str, Any], Array]:
    """Header words, and for each vertex three anchors, three shares, three offsets."""
    header: dict[str, Any] = {}
    rows: list[list[float]] = []
    inside = False
    try:
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split()
            if not words or words[0] == "#":
                continue
            if words[0] in _AXES:
                header[words[0]] = (int(words[1]), int(words[2]), float(words[3]))
            elif words[0] == "obj_file":
                header["obj_file"] = Path(words[1]).name
            elif words[0] == "verts":
                inside = True
            elif inside and words[0].isdigit():
                numbers = [float(word) for word in words]
                rows.append(numbers if len(numbers) == 9 else [numbers[0]] * 3 + [1.0, 0, 0, 0, 0, 0])
            elif words[0] == "delete_verts":
                break
        missing = {"obj_file", *_AXES} - header.keys()
        if missing or not rows:
            raise ValueError(f"no {', '.join(sorted(missing)) or 'verts'}")
    except (OSError, ValueError, IndexError) as error:
        raise ResightError(
            f"{file}: not a fitting for MakeHuman's base mesh ({error}). Name an intact file."
        ) from error
    return header, np.array(rows)


def _worn_as(file: Path) -> Kind:
    if "hair" in file.parts:
        return "hair"
    return "shoes" if file.stem.startswith("shoes") else "top"


def _female(name: str) -> bool | None:
    return True if name.startswith("female") else False if name.startswith("male") else None


def _garments(whole: Fitting, vertices: Array) -> list[Fitting]:
    """The surfaces of a suit: what ends above the hips' height is a top, what reaches the ankles trousers."""
    label = _connected(whole.faces, len(vertices))
    found: dict[Kind, list[int]] = {}
    for number in np.flatnonzero(np.bincount(label) >= _LEAST):
        low, high = vertices[label == number, 1].min(), vertices[label == number, 1].max()
        if high < 8 and high - low < 12:  # neither a hat nor a suit in one piece
            found.setdefault("top" if high > 4 else "trousers" if low < -6 else "skirt", []).append(int(number))
    made = []
    for kind, numbers in found.items():
        mine = np.isin(label, numbers)
        long = bool(np.abs(vertices[mine, 0]).max() > 4)
        name = f"{whole.name}/{kind}"
        made.append(replace(whole, name=name, kind=kind, long=long, faces=whole.faces[mine[whole.faces[:, 0]]]))
    return made


def _connected(faces: Faces, count: int) -> NDArray[np.int64]:
    """Number (V,) of the connected surface each vertex belongs to."""
    label = np.arange(count)
    while True:
        least = label[faces].min(axis=1)
        after = label.copy()
        for corner in range(3):
            np.minimum.at(after, faces[:, corner], least)
        after = after[after]
        if (after == label).all():
            return np.unique(label, return_inverse=True)[1]
        label = after
