"""Evaluation of a model on a data set: embed query and gallery, rank, score, and record how."""

from __future__ import annotations

import platform
import shlex
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from resight import evaluation
from resight.data import protocol_of
from resight.data.doctor.label_checks import refuse_unusable
from resight.data.loading.cache import find_cache
from resight.dist.processes import on_rank_zero
from resight.errors import DatasetError
from resight.inference.camera_means import without_camera_means
from resight.inference.embeddings import Vectors, common_root
from resight.inference.extractor import Extractor
from resight.inference.leakage import duplicates, duplicates_sentence
from resight.inference.result import Expansion, Result, evaluation_input, pooled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from resight.data import Dataset, Pixels
    from resight.data.loading.base import Unreadable
    from resight.evaluation.multi_query import Pool
    from resight.inference.precision import Precision
    from resight.types import Embedder, Sample

    TestPixels: TypeAlias = tuple[Pixels, Pixels]  # of the query and of the gallery


def evaluate(
    model: Embedder,
    dataset: Dataset,
    *,
    device: str = "auto",
    batch_size: int = 64,
    flip: bool = False,
    precision: Precision = "auto",
    progress: Callable[[int, int], None] | None = None,
    context: dict[str, Any] | None = None,
    protocol: evaluation.Protocol | None = None,
    rerank: evaluation.Reranking | None = None,
    expansion: Expansion | None = None,
    memory: int | None = None,
    multi_query: Pool | None = None,
    center_cameras: bool = False,
    share: bool = True,
    pixels: TestPixels | None = None,
) -> Result:
    """Embed query and gallery of a data set, rank, and score.

    Pictures that cannot be read are left out and counted in the result's context.

    Args:
        model: the embedding model.
        dataset: its query and gallery.
        device: auto, cpu, cuda, cuda:N or mps.
        batch_size: pictures a forward pass.
        flip: average each descriptor with that of the mirrored picture.
        precision: auto, fp32, bf16 or fp16.
        progress: called with (done, total) pictures.
        context: entries to add to the result's context.
        protocol: default the data set's own.
        rerank: k-reciprocal re-ranking before scoring.
        expansion: query expansion before scoring.
        memory: bytes to use beyond the vectors.
        multi_query: pool the query pictures of a person and camera, by mean or max.
        center_cameras: subtract each camera's mean vector from both sides first.
        share: in a process group, split the work; all processes get the same result.
        pixels: query and gallery decoded before.

    Returns:
        Report, vectors and context, to be saved in a folder.

    Raises:
        DatasetError: no query or no gallery picture is left, or the labels allow no evaluation.
    """
    began = time.perf_counter()
    findings = refuse_unusable(dataset, "evaluate")
    extractor = Extractor(model, device, batch_size, flip=flip, precision=precision, share=share)
    total = len(dataset.query) + len(dataset.gallery)
    ahead = _shift(progress, 0, total), _shift(progress, len(dataset.query), total)
    given = pixels or (None, None)
    query, lost_query = embed_samples(extractor, dataset.query, dataset.root, ahead[0], pixels=given[0])
    gallery, lost_gallery = embed_samples(extractor, dataset.gallery, dataset.root, ahead[1], pixels=given[1])
    for name, part in (("query", query), ("gallery", gallery)):
        if not len(part):
            raise DatasetError(f"{dataset.name}: no {name} picture could be read under {dataset.root}.")
    rules = protocol or evaluation.Protocol.from_dict(dict(protocol_of(dataset.name)))
    name = f"{dataset.name} {dataset.version}".strip()
    if center_cameras:
        query, gallery = without_camera_means(query, gallery)
        name += ", cameras centered"
    asked = query if multi_query is None else pooled(query, multi_query)
    name += "" if multi_query is None else f", multi-query {multi_query}"

    def scored() -> tuple[evaluation.Report, dict[str, Any]]:
        report = evaluate_vectors(asked, gallery, rules, rerank, expansion, memory).described(dataset=name)
        same = duplicates_sentence(duplicates(query, gallery), query, gallery)
        return report, {"findings": [*map(str, findings), *same], "intervals": intervals(report)}

    report, about = on_rank_zero(scored) if extractor.shared else scored()
    how = {"flip": flip, "center_cameras": center_cameras}
    origin = {
        **_origin(dataset, extractor, how),
        "fingerprint": query.fingerprint,
        "multi_query": multi_query,
        "unreadable": [{"path": item.name, "reason": item.reason} for item in lost_query + lost_gallery],
    }
    took = {"seconds": round(time.perf_counter() - began, 2)}
    everything = {**origin, **about, **took, **environment(), **(context or {})}
    return Result(report, asked, gallery, everything, rerank, expansion)


def _origin(dataset: Dataset, extractor: Extractor, how: dict[str, Any]) -> dict[str, Any]:
    """Entries of a result's context: data set, model, and how the pictures were embedded."""
    model = extractor.model
    embedding = {
        "dim": model.embedding_dim,
        "input": list(model.input_size),
        "interpolation": extractor.interpolation,
        **how,
        "precision": getattr(model, "precision", extractor.chosen.name),
        "precision_chosen": str(extractor.chosen),
        "images_per_second": round(extractor.rate, 1),
    }
    return {
        "dataset": dataset.name,
        "version": dataset.version,
        "terms": dataset.terms,
        "model": _name(model),
        "embedding": embedding,
    }


def evaluate_vectors(
    query: Vectors,
    gallery: Vectors,
    protocol: evaluation.Protocol,
    rerank: evaluation.Reranking | None = None,
    expansion: Expansion | None = None,
    memory: int | None = None,
) -> evaluation.Report:
    """Evaluate two sets of vectors.  memory: bytes used beyond them and their expanded copies."""
    said = " after ".join(str(part) for part in (rerank, expansion) if part is not None)
    report = evaluation.evaluate_input(evaluation_input(query, gallery, protocol, rerank, expansion, memory))
    return report.described(rerank=said) if said else report


def intervals(report: evaluation.Report) -> dict[str, list[float]]:
    """95 % intervals of the scores, by resampling identities: {score: [low, high]}."""
    if len(np.unique(report.q_pids[report.used])) < 2:
        return {}
    return {name: [round(i.low, 6), round(i.high, 6)] for name, i in evaluation.confidence(report).items()}


def embed_samples(
    extractor: Extractor,
    samples: Sequence[Sample],
    root: Path | None,
    progress: Callable[[int], None] | None = None,
    ids: Sequence[str] | None = None,
    pixels: Pixels | None = None,
) -> tuple[Vectors, list[Unreadable]]:
    """Vectors of a list of samples, and the pictures that could not be read.

    Args:
        root: paths are kept relative to it; default the deepest folder that holds all.
        ids: a name for each sample; default the file's name without its ending.
        pixels: these very samples, decoded before; a cache of them that an earlier run left is found by itself.
    """
    paths = [sample.path for sample in samples]
    pixels = pixels or find_cache(samples, extractor.model.input_size, extractor.interpolation)
    camids = [sample.camid for sample in samples]
    if pixels is None:
        vectors, broken = extractor.tolerant(paths, progress, camids)
    else:
        broken = list(pixels.unreadable)
        unread = {item.index for item in broken}
        vectors = extractor.stored(pixels, progress, [camid for row, camid in enumerate(camids) if row not in unread])
    lost = {item.index for item in broken}
    kept = [row for row in range(len(samples)) if row not in lost]
    base = root.resolve() if root is not None else common_root(paths)
    names = ids or [path.stem for path in paths]
    return Vectors(
        vectors=vectors,
        ids=tuple(names[row] for row in kept),
        paths=tuple(_relative(paths[row], base) for row in kept),
        pids=_column(samples, kept, "pid"),
        camids=_column(samples, kept, "camid"),
        root=str(base),
        fingerprint=extractor.model.fingerprint(),
        metric=extractor.model.metric,
    ), broken


def environment() -> dict[str, Any]:
    """Software, machine class and the command: what a figure is worth nothing without."""
    from resight._version import __version__

    software = {"resight": __version__, "python": platform.python_version()}
    for package in ("torch", "torchvision", "timm", "numpy", "pillow"):
        try:
            software[package] = version(package)
        except PackageNotFoundError:
            continue
    command = (
        " ".join(map(shlex.quote, ["resight", *sys.argv[1:]]))
        if Path(sys.argv[0]).stem in ("resight", "__main__")
        else ""
    )
    return {"software": software, "platform": f"{platform.system()} {platform.machine()}", "command": command}


def _name(model: Embedder) -> str:
    spec = getattr(model, "spec", None)
    return str(spec.name if spec is not None else getattr(model, "name", type(model).__name__))


def _relative(path: Path, base: Path) -> str:
    resolved = path.resolve()
    return str(resolved.relative_to(base)) if resolved.is_relative_to(base) else str(resolved)


def _column(samples: Sequence[Sample], kept: list[int], name: str) -> NDArray[np.int64]:
    return np.array([getattr(samples[row], name) for row in kept], np.int64)


def _shift(progress: Callable[[int, int], None] | None, start: int, total: int) -> Callable[[int], None] | None:
    return None if progress is None else lambda done: progress(start + done, total)
