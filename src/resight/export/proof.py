"""Proof of an export: the file compared on crops with the model in eager float32.

Noise says little: the vectors of noise lie close together, and so do those of a broken network.  So all is measured on
a data set's own pictures, and what counts is the worst of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from resight.data.loading.decode import decode_bytes, read
from resight.data.loading.decode import resize as loader_resize
from resight.errors import DatasetError, ImageError
from resight.evaluation import compare
from resight.export.graph import resize as graph_resize
from resight.inference import Extractor, evaluate
from resight.inference.evaluate import environment
from resight.models.exported import Proof, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from resight.data import Dataset
    from resight.data.loading.decode import Pixels8
    from resight.export.gates import Gates
    from resight.inference import Result
    from resight.models import ReIDModel
    from resight.models.exported import ExportedModel
    from resight.types import Embedder, Interpolation, Metric

BATCHES = (1, 2, 7, 32)


def prove(
    model: ReIDModel,
    exported: ExportedModel,
    dataset: Dataset,
    gates: Gates,
    *,
    form: str,
    files: Sequence[Path],
    calibration: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Proof:
    """Compare `exported` with `model` on the query and gallery pictures of `dataset`.

    form: name of the format.  files: those that were checked.  Raises DatasetError where no picture can be read.
    """
    crops = some_crops(dataset, max(BATCHES))
    pixels = at_size(crops, model.input_size, model.interpolation)
    batches = batch_agreement(model, exported, pixels)
    sizes = {} if exported.description.raw else size_agreement(model, exported, crops)
    before, after = (
        evaluate(m, dataset, device="cpu", precision="fp32", progress=progress, share=False) for m in (model, exported)
    )
    scores = paired_scores(before, after)
    worst = crop_agreement(before, after)
    measured = {"every crop": worst["minimum"]}
    measured |= {f"batch of {size}": value for size, value in batches.items()}
    measured |= {f"pictures of {size}": found["agreement"] for size, found in sizes.items()}
    steady = consistency(exported, pixels)
    return Proof(
        fingerprint=exported.fingerprint(),
        format=form,
        precision=exported.description.precision,
        files={path.name: digest(path) for path in files},
        gates=gates.check(steady, measured, -scores["mAP"]["difference"], sizes),
        batches=batches,
        picture_sizes=sizes,
        crops=worst | {"dataset": dataset.name, "version": dataset.version},
        scores=scores,
        calibration=calibration or {},
        environment=environment(),
    )


def agreement(ours: NDArray[np.float32] | Tensor, theirs: NDArray[np.float32] | Tensor, metric: Metric) -> float:
    """The least over rows of (N, D) and (N, D).

    The cosine; for a Euclidean metric 1 - |a - b|^2 / (2 |b|^2), which is the cosine where lengths agree and sees it
    where they do not.  NaN where a vector is not finite.
    """
    a, b = (np.asarray(vectors, np.float64) for vectors in (ours, theirs))
    if metric == "cosine":
        a, b = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (a, b))
    squared = ((a - b) ** 2).sum(axis=1) / (b**2).sum(axis=1)
    return float((1 - squared / 2).min())


def some_crops(dataset: Dataset, count: int) -> list[Pixels8]:
    """Pictures (h, w, 3) of query and gallery in their own sizes, spread evenly; repeated where there are fewer."""
    samples = [*dataset.query, *dataset.gallery]
    found: list[Pixels8] = []
    for row in np.linspace(0, len(samples) - 1, min(2 * count, len(samples))).astype(int):
        try:
            found.append(decode_bytes(read(samples[row].path), str(samples[row].path)))
        except ImageError:
            continue
    if not found:
        raise DatasetError(f"{dataset.name}: no query or gallery picture can be read under {dataset.root}.")
    step = max(len(found) // count, 1)
    return [found[row * step % len(found)] for row in range(count)]


def at_size(crops: Sequence[Pixels8], size: tuple[int, int], interpolation: Interpolation) -> Tensor:
    """(B, 3, H, W) uint8, by the loader's resize."""
    resized = [loader_resize([crop], size, interpolation) for crop in crops]
    return torch.from_numpy(np.concatenate(resized)).permute(0, 3, 1, 2)


def batch_agreement(model: ReIDModel, exported: ExportedModel, pixels: Tensor) -> dict[str, float]:
    """Batch size -> least agreement with the model on (B, 3, H, W), cut into batches of that size."""
    reference = vectors(model, pixels)
    return {str(size): agreement(vectors(exported, pixels, size), reference, model.metric) for size in BATCHES}


def consistency(exported: ExportedModel, pixels: Tensor) -> float:
    """Least agreement of the file with itself: in batches of other sizes, and with the pictures in reverse order."""
    together = vectors(exported, pixels)
    others = [vectors(exported, pixels, size) for size in BATCHES] + [vectors(exported, pixels.flip(0))[::-1]]
    return float(np.min([agreement(other, together, exported.metric) for other in others]))


def size_agreement(model: ReIDModel, exported: ExportedModel, crops: Sequence[Pixels8]) -> dict[str, dict[str, float]]:
    """Pictures larger and smaller than the input: least agreement, and how the graph's pixels differ from the loader's.

    The file resizes on one side; on the other the model is given the pixels that the graph's resizing makes in float32,
    which `Gates.check` holds against the loader's by themselves.
    """
    (height, width), interpolation = model.input_size, model.interpolation
    found = {}
    for size in ((2 * height + 3, 2 * width - 5), (height * 3 // 4, width - 7)):
        pictures = at_size(crops, size, interpolation)  # (B, 3, h, w)
        loaded = at_size([*pictures.permute(0, 2, 3, 1).numpy()], model.input_size, interpolation)
        resized = graph_resize(pictures.float(), model.input_size, interpolation).byte()
        levels = (resized.float() - loaded).abs()
        theirs = vectors(exported, pictures)
        found[f"{size[0]}x{size[1]}"] = {
            "agreement": agreement(theirs, vectors(model, resized), model.metric),
            "agreement on the loader's pixels": agreement(theirs, vectors(model, loaded), model.metric),
            "largest difference of a pixel, levels of 255": float(levels.max()),
            "share of differing pixels": float((levels > 0).float().mean()),
        }
    return found


def vectors(model: Embedder, pixels: Tensor, batch: int = max(BATCHES)) -> NDArray[np.float32]:
    """(B, 3, h, w) -> (B, D), `batch` at a time, on the CPU."""
    extractor = Extractor(model, "cpu", precision="fp32", share=False)
    return np.concatenate([extractor.finish(extractor.tensors(part)) for part in torch.split(pixels, batch)])


def crop_agreement(before: Result, after: Result) -> dict[str, Any]:
    """The least agreement of any picture's vectors, and which picture has it."""
    pairs = ((before.query, after.query), (before.gallery, after.gallery))
    rows = [
        (agreement(b.vectors[[row]], a.vectors[[row]], a.metric), a.paths[row])
        for a, b in pairs
        for row in range(len(a))
    ]
    least, path = min(rows, key=lambda row: -np.inf if np.isnan(row[0]) else row[0])
    return {"minimum": least, "picture": path, "pictures": len(rows)}


def paired_scores(before: Result, after: Result) -> dict[str, dict[str, float]]:
    """mAP and rank-1 before and after, and the difference with its 95 % interval over identities; in points of 100."""
    a, b = before.report, after.report
    change = compare(a, b).difference
    return {
        name: {
            "before": 100 * float(first),
            "after": 100 * float(second),
            "difference": 100 * difference.value,
            "low": 100 * difference.low,
            "high": 100 * difference.high,
        }
        for name, first, second, difference in (
            ("mAP", a.mAP, b.mAP, change["mAP"]),
            ("rank1", a.rank(1), b.rank(1), change["rank1"]),
        )
    }
