"""A model and a data set in, a judged result out, with everything needed to read the figure a year later."""

from __future__ import annotations

import json
import platform
import shlex
import sys
import time
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight import evaluation
from resight.data.checks import stop_if_unsound
from resight.embedding.extractor import Extractor
from resight.embedding.vectors import Vectors, common_root
from resight.errors import CheckpointError, DatasetError
from resight.evaluation.blocks import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from resight.data import Dataset
    from resight.types import Embedder, Sample


@dataclass(frozen=True)
class Result:
    """The verdict on one model and one data set.  `report` holds the scores and every query's own."""

    report: evaluation.Report
    query: Vectors
    gallery: Vectors
    context: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        name = f"{self.context.get('model', '?')} on {self.context.get('dataset', '?')}"
        return f"{name}: {self.report}"

    def record(self) -> dict[str, Any]:
        """The result record: plain JSON values."""
        return {
            "context": self.context,
            "report": self.report.to_dict(),
            "query": {
                "paths": list(self.query.paths),
                "pids": self.query.pids.tolist(),
                "camids": self.query.camids.tolist(),
            },
        }

    def save(self, folder: Path) -> None:
        """`result.json`, `query.npz` and `gallery.npz`."""
        folder.mkdir(parents=True, exist_ok=True)
        self.query.save(folder / "query.npz")
        self.gallery.save(folder / "gallery.npz")
        (folder / "result.json").write_text(json.dumps(self.record(), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Result:
        """Raises CheckpointError where there is no result or not one of ours."""
        try:
            record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            report = evaluation.Report.from_dict(record["report"])
            context = record["context"]
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no result in {folder}. Make one with: resight evaluate RUN") from error
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise CheckpointError(f"{folder / 'result.json'} is not a result record of resight ({error}).") from error
        return cls(report, Vectors.load(folder / "query.npz"), Vectors.load(folder / "gallery.npz"), context)


def evaluate(
    model: Embedder,
    dataset: Dataset,
    *,
    device: str = "auto",
    batch: int = 64,
    flip: bool = False,
    precision: str = "fp32",
    progress: Callable[[int, int], None] | None = None,
    context: dict[str, Any] | None = None,
    protocol: evaluation.Protocol | None = None,
    rerank: evaluation.Reranking | None = None,
    expansion: Expansion | None = None,
) -> Result:
    """Embed query and gallery, rank, judge by `protocol`, the data set's own where none is given.

    rerank, expansion: what to do before judging; both are named in the report.  Pictures that cannot be read are
    left out and counted in the context.  Raises DatasetError when no query or no gallery picture is left, or when
    the data set cannot give a verdict; the message says why and what to do.
    """
    began = time.perf_counter()
    findings = stop_if_unsound(dataset, "evaluate")
    extractor = Extractor(model, device, batch, flip=flip, precision=precision)
    total = len(dataset.query) + len(dataset.gallery)
    query, lost_query = embed_samples(extractor, dataset.query, dataset.root, _shift(progress, 0, total))
    gallery, lost_gallery = embed_samples(
        extractor, dataset.gallery, dataset.root, _shift(progress, len(dataset.query), total)
    )
    for name, part in (("query", query), ("gallery", gallery)):
        if not len(part):
            raise DatasetError(f"{dataset.name}: no {name} picture could be read under {dataset.root}.")
    rules = protocol or evaluation.PROTOCOLS.get(dataset.name, evaluation.Protocol())
    name = f"{dataset.name} {dataset.version}".strip()
    report = judge(query, gallery, rules, rerank, expansion).described(dataset=name)
    unreadable = [{"path": str(item.path), "reason": item.reason} for item in lost_query + lost_gallery]
    return Result(
        report,
        query,
        gallery,
        {
            "dataset": dataset.name,
            "version": dataset.version,
            "terms": dataset.terms,
            "model": _name(model),
            "fingerprint": query.fingerprint,
            "embedding": {
                "dim": model.embedding_dim,
                "input": list(model.input_size),
                "flip": flip,
                "precision": precision,
            },
            "unreadable": unreadable,
            "findings": [str(finding) for finding in findings],
            "intervals": intervals(report),
            "seconds": round(time.perf_counter() - began, 2),
            **environment(),
            **(context or {}),
        },
    )


@dataclass(frozen=True)
class Expansion:
    """Query expansion before judging: each side averaged with its `k` nearest, weighted by similarity ** alpha."""

    k: int = 5
    alpha: float = 3.0
    queries: bool = True
    gallery: bool = False

    def __str__(self) -> str:
        sides = " and ".join(name for name, on in (("queries", self.queries), ("gallery", self.gallery)) if on)
        return f"expansion of {sides} {self.k}/{self.alpha:g}"


def judge(
    query: Vectors,
    gallery: Vectors,
    protocol: evaluation.Protocol,
    rerank: evaluation.Reranking | None = None,
    expansion: Expansion | None = None,
    memory: int = MEMORY,
) -> evaluation.Report:
    """The verdict on two sets of vectors; `memory` bytes bound what is held beside them."""
    q, g, metric = query.vectors, gallery.vectors, query.metric
    if expansion is not None:
        sides = {"expand_queries": expansion.queries, "expand_gallery": expansion.gallery}
        q, g = evaluation.expand(q, g, expansion.k, expansion.alpha, memory=memory, **sides)
        metric = "cosine"
    who = (query.pids, gallery.pids, query.camids, gallery.camids, metric)
    if rerank is None:
        report = evaluation.evaluate_features(q, g, *who, protocol=protocol, memory=memory)
    else:
        report = evaluation.evaluate_reranked(q, g, *who, setting=rerank, protocol=protocol, memory=memory)
    said = " after ".join(str(part) for part in (rerank, expansion) if part is not None)
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
) -> tuple[Vectors, list[Any]]:
    """Vectors of a list of samples, and the pictures that could not be read."""
    paths = [sample.path for sample in samples]
    vectors, broken = extractor.tolerant(paths, progress)
    lost = {item.index for item in broken}
    kept = [row for row in range(len(samples)) if row not in lost]
    base = root.resolve() if root is not None else common_root(paths)
    return Vectors(
        vectors=vectors,
        ids=tuple((ids or [path.stem for path in paths])[row] for row in kept),
        paths=tuple(_relative(paths[row], base) for row in kept),
        pids=_column(samples, kept, "pid"),
        camids=_column(samples, kept, "camid"),
        root=str(base),
        fingerprint=getattr(extractor.model, "fingerprint", lambda: "unknown")(),
        metric=extractor.model.metric,
    ), broken


def environment() -> dict[str, Any]:
    """Software, machine class and the command: what a figure is worth nothing without."""
    from resight import __version__

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
