"""Explanations of a model as panels of captioned maps.

    shown = explain(model, ["a.jpg"], against="b.jpg")
    explanation_sheet(shown).save("explain.png")

What is drawn follows from what the model gives: attention maps as overlays, windows as boxes, the features of
stripes as the stripes most alike.  Where a model attends to nothing, and towards a hit, it is the parts of the
picture that a similarity comes from (`support`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from resight.data.loading.decode import decode
from resight.errors import UsageError
from resight.explain.panels import Explanation, Panel, boxes, heat, plain, signed, stripes
from resight.explain.similarity_map import Support, support
from resight.inference import resolve_device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL.Image import Image
    from torch import Tensor

    from resight.data import Dataset
    from resight.models import ReIDModel
    from resight.types import ReIDOutput


MOST = 64  # pictures on one sheet
SINGLE = 8  # maps of more channels are shown by their mean
BEST = 3  # pairs of stripes drawn


def explain(
    model: ReIDModel,
    pictures: Sequence[str | Path],
    against: str | Path | Sequence[str | Path] | None = None,
    device: str = "auto",
) -> list[Explanation]:
    """Every picture by itself, and towards a hit where one is given: one for all, or one for each.

    Raises ImageError for a picture that cannot be read, UsageError for none or more than MOST, or for too many or too
    few hits.
    """
    if not 1 <= len(pictures) <= MOST:
        raise UsageError(f"{len(pictures)} pictures to explain; give 1 to {MOST}.")
    where = resolve_device(device)
    model = model.to(where).eval()
    hits = [against] * len(pictures) if against is None or isinstance(against, str | Path) else against
    if len(hits) != len(pictures):
        raise UsageError(f"{len(pictures)} pictures and {len(hits)} hits; give one hit for all, or one for each.")
    return [
        _one(model, Path(path), _read(path, model, where), None if hit is None else _read(hit, model, where))
        for path, hit in zip(pictures, hits, strict=True)
    ]


def attention_overlay(model: ReIDModel, picture: bytes) -> Image:
    """Where the model looks in one picture file: its first attention map, or what its similarity to itself rests on."""
    device = next(model.parameters()).device
    return _one(model, Path("picture"), _read(picture, model, device), None).panels[1].image


def drawn_people(dataset: Dataset, count: int, seed: int) -> list[tuple[Path, Path]]:
    """`count` people of the test set by chance: a query of each, and a picture of theirs from another camera.

    Raises UsageError where there are fewer.
    """
    rng = np.random.default_rng(seed)
    pairs: dict[int, list[tuple[Path, Path]]] = {}  # by person: query, hit
    for query in dataset.query:
        theirs = (hit for hit in dataset.gallery if hit.pid == query.pid and hit.camid != query.camid)
        pairs.setdefault(query.pid, []).extend((query.path, hit.path) for hit in theirs)
    people = sorted(pid for pid, found in pairs.items() if found)
    if len(people) < count:
        raise UsageError(
            f"{dataset.name} has {len(people)} people in two cameras to draw from; {count} were asked for."
        )
    return [pairs[pid][rng.integers(len(pairs[pid]))] for pid in rng.permutation(people)[:count]]


def save_arrays(shown: Sequence[Explanation], path: Path) -> None:
    """One .npz: `pictures` (N,) paths, and every array by its name, stacked over the pictures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    names = shown[0].arrays
    stacked = {name: np.stack([each.arrays[name] for each in shown]) for name in names}
    np.savez_compressed(path, pictures=np.array([str(each.path) for each in shown]), **stacked)  # type: ignore[arg-type]


def _read(picture: str | Path | bytes, model: ReIDModel, device: torch.device) -> Tensor:
    """(1, 3, H, W) uint8 at the model's input size."""
    return torch.from_numpy(decode(picture, model.input_size, model.interpolation)).permute(2, 0, 1)[None].to(device)


def _one(model: ReIDModel, path: Path, image: Tensor, hit: Tensor | None) -> Explanation:
    with torch.no_grad():
        output = model(image)
    arrays = {name: _array(map) for name, map in output.maps.items()}
    panels = [plain(image, "the picture"), *_maps(image, output)]
    panels += _unguided(model, image, output, arrays)
    if hit is None and all(name.startswith("windows/") for name in output.maps):
        panels += _supported(image, support(model, image, image), "itself", arrays)
    if hit is not None:
        panels += _towards(model, image, hit, output, arrays)
    return Explanation(path, tuple(panels), arrays)


def _maps(image: Tensor, output: ReIDOutput) -> list[Panel]:
    """Attention maps and windows, in the model's own order."""
    panels = []
    for name, map in output.maps.items():
        values = _array(map)
        if name.startswith("windows/"):
            panels.append(boxes(image, values, f"windows, level {name.removeprefix('windows/')}"))
        elif values.shape[0] <= SINGLE:
            panels += [heat(image, channel, f"{name} #{k}") for k, channel in enumerate(values, start=1)]
        else:
            panels.append(heat(image, values.mean(axis=0), f"{name}, mean of {values.shape[0]}"))
    return panels


def _unguided(
    model: ReIDModel, image: Tensor, output: ReIDOutput, arrays: dict[str, NDArray[np.float32]]
) -> list[Panel]:
    """The res4 attention of MDPR with its guide silenced, beside the guided one above."""
    guide = getattr(getattr(model, "soft", None), "guide", None)
    if guide is None or "attention/res4" not in output.maps:
        return []
    handle = guide.register_forward_hook(lambda _module, _given, gives: torch.zeros_like(gives))
    try:
        with torch.no_grad():
            maps = _array(model(image).maps["attention/res4"])
    finally:
        handle.remove()
    arrays["unguided/res4"] = maps
    return [heat(image, channel, f"res4 #{k}, guide silenced") for k, channel in enumerate(maps, start=1)]


def _towards(
    model: ReIDModel, image: Tensor, hit: Tensor, output: ReIDOutput, arrays: dict[str, NDArray[np.float32]]
) -> list[Panel]:
    """Picture and hit, each with what makes it like the other; and stripe by stripe where there are stripes."""
    panels = _supported(image, support(model, image, hit), "the hit", arrays)
    panels.append(plain(hit, "the hit"))
    panels += _supported(hit, support(model, hit, image), "the picture", arrays, prefix="hit_")
    if model.stripes:
        with torch.no_grad():
            theirs = model(hit).features
        cosines = {name: torch.cosine_similarity(output.features[name], theirs[name]) for name in model.stripes}
        pairs = {model.stripes[name]: float(cosine[0]) for name, cosine in cosines.items()}
        arrays["stripes"] = np.array(list(pairs.values()), np.float32)
        best = sorted(pairs, key=lambda run: -pairs[run])[:BEST]
        parts = 1 + max(last for _, last in pairs)
        said = {run: pairs[run] for run in best}
        panels += [stripes(image, said, parts, "stripes most alike"), stripes(hit, said, parts, "the same in the hit")]
    return panels


def _supported(
    image: Tensor, found: Support, towards: str, arrays: dict[str, NDArray[np.float32]], prefix: str = ""
) -> list[Panel]:
    arrays[f"{prefix}support"] = found.map
    note = f"cosine {found.similarity:.2f}, {found.method}"
    if found.placed is not None:
        note = f"cosine {found.similarity:.2f}, {found.placed:.2f} placed"
    return [signed(image, found.map, f"like {towards} here", note)]


def _array(map: Tensor) -> NDArray[np.float32]:
    """(1, ...) -> (...) float32 on the host."""
    return map[0].detach().float().cpu().numpy()
