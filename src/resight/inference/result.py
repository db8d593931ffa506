"""The result of an evaluation: scores, vectors, labels and how they were made, kept in a folder."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resight import evaluation
from resight.data import protocol_of
from resight.errors import CheckpointError
from resight.evaluation.distances import MEMORY
from resight.evaluation.reranking.k_reciprocal import RERANK_MEMORY
from resight.files import write_binary, write_text
from resight.inference.embeddings import READ_ERRORS, Vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from resight.evaluation.multi_query import Pool


@dataclass(frozen=True)
class Expansion:
    """Query expansion before evaluating: each side averaged with its `k` nearest, weighted by similarity ** alpha."""

    k: int = 5
    alpha: float = 3.0
    queries: bool = True
    gallery: bool = False

    def __str__(self) -> str:
        sides = " and ".join(name for name, on in (("queries", self.queries), ("gallery", self.gallery)) if on)
        return f"expansion of {sides} {self.k}/{self.alpha:g}"


@dataclass(frozen=True)
class Result:
    """Result of one model on one data set.  `report` holds the scores and every query's own.

    rerank, expansion: what was done before evaluating.  distances: the matrix (Q, G) where there were no vectors;
    query and gallery then have vectors of no length, and hold labels only.
    """

    report: evaluation.Report
    query: Vectors
    gallery: Vectors
    context: dict[str, Any] = field(default_factory=dict)
    rerank: evaluation.Reranking | None = None
    expansion: Expansion | None = None
    distances: NDArray[np.floating[Any]] | None = None

    def __str__(self) -> str:
        return f"{self.name}: {self.report}"

    @property
    def name(self) -> str:
        """The run and its model, and the data set: "a (strong_baseline) on market1501"."""
        model, run = self.context.get("model", "?"), self.context.get("run")
        return f"{f'{run} ({model})' if run else model} on {self.context.get('dataset', '?')}"

    @property
    def rules(self) -> str:
        """What was done besides comparing vectors by the data set's own protocol; empty for a plain result."""
        parts = []
        if self.rerank is not None:
            setting = self.rerank
            alone = "-gallery-only" if setting.context == "gallery_only" else ""
            parts.append(f"rerank-{setting.variant}-{setting.k1}-{setting.k2}-{setting.lam:g}{alone}")
        if self.expansion is not None:
            sides = "".join(
                letter for letter, on in (("q", self.expansion.queries), ("g", self.expansion.gallery)) if on
            )
            parts.append(f"expand-{sides}-{self.expansion.k}-{self.expansion.alpha:g}")
        if self.context.get("multi_query"):
            parts.append(f"multi-query-{self.context['multi_query']}")
        if (self.context.get("embedding") or {}).get("flip"):
            parts.append("flip")
        own = evaluation.Protocol.from_dict(dict(protocol_of(str(self.context.get("dataset", "")))))
        changed = {k: v for k, v in asdict(self.report.protocol).items() if asdict(own)[k] != v}
        parts += [f"{key}-{value}".replace("_", "-").lower() for key, value in sorted(changed.items())]
        return "+".join(parts)

    def evaluation_input(self, memory: int | None = None) -> evaluation.EvaluationInput:
        """The evaluation input of this result.  Re-ranking is done again."""
        protocol = self.report.protocol
        if self.distances is not None:
            labels = labels_of(self.query, self.gallery, protocol)
            return evaluation.EvaluationInput.of_distances(self.distances, labels)
        return evaluation_input(self.query, self.gallery, protocol, self.rerank, self.expansion, memory)

    def record(self) -> dict[str, Any]:
        """The result record: plain JSON values."""
        return {
            "context": self.context,
            "rerank": None if self.rerank is None else asdict(self.rerank),
            "expansion": None if self.expansion is None else asdict(self.expansion),
            "report": self.report.to_dict(),
            "query": {
                "paths": list(self.query.paths),
                "pids": self.query.pids.tolist(),
                "camids": self.query.camids.tolist(),
            },
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """`result.json`, `query.npz` and `gallery.npz`, and `distances.npy` where a matrix was evaluated.

        Each is written beside and renamed, so a matrix that is read from the very file stays whole.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.query.save(folder / "query.npz")
        self.gallery.save(folder / "gallery.npz")
        if self.distances is not None:
            matrix = self.distances
            write_binary(folder / "distances.npy", lambda file: np.save(file, matrix))
        else:
            (folder / "distances.npy").unlink(missing_ok=True)
        text = json.dumps(self.record(), indent=1)
        write_text(folder / "result.json", text)  # last: it says all is there

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Result:
        """Raises CheckpointError where there is no result or not one of ours."""
        folder = Path(folder)
        try:
            record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            rerank, expansion = record.get("rerank"), record.get("expansion")
            matrix = folder / "distances.npy"
            return cls(
                evaluation.Report.from_dict(record["report"]),
                Vectors.load(folder / "query.npz"),
                Vectors.load(folder / "gallery.npz"),
                record["context"],
                evaluation.Reranking(**rerank) if rerank else None,
                Expansion(**expansion) if expansion else None,
                np.load(matrix, mmap_mode="r") if matrix.is_file() else None,
            )
        except FileNotFoundError as error:
            raise CheckpointError(f"there is no result in {folder}. Make one with: resight evaluate RUN") from error
        except (*READ_ERRORS, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{folder / 'result.json'} is not a result record of resight ({error}).") from error


FILES = ("result.json", "query.npz", "gallery.npz", "distances.npy")  # of a result's folder


def evaluation_input(
    query: Vectors,
    gallery: Vectors,
    protocol: evaluation.Protocol,
    rerank: evaluation.Reranking | None = None,
    expansion: Expansion | None = None,
    memory: int | None = None,
) -> evaluation.EvaluationInput:
    """Evaluation input of two sets of vectors, after expansion and re-ranking."""
    q, g, metric = expanded(query, gallery, expansion, memory)
    labels = labels_of(query, gallery, protocol)
    return evaluation.EvaluationInput.of_features(q, g, labels, metric, rerank=rerank, memory=memory)


def labels_of(query: Vectors, gallery: Vectors, protocol: evaluation.Protocol) -> evaluation.Labels:
    """Identities and cameras of both sides."""
    return evaluation.Labels.of(query.pids, gallery.pids, query.camids, gallery.camids, protocol)


def expanded(query: Vectors, gallery: Vectors, expansion: Expansion | None, memory: int | None = None) -> Any:
    """(query features, gallery features, metric): new ones, to be compared by cosine, or the vectors themselves."""
    if expansion is None:
        return query.vectors, gallery.vectors, query.metric
    sides = {"expand_queries": expansion.queries, "expand_gallery": expansion.gallery}
    found = evaluation.expand(
        query.vectors, gallery.vectors, expansion.k, expansion.alpha, memory=memory or MEMORY, **sides
    )
    return *found, "cosine"


def with_sweep(
    result: Result,
    k1: Sequence[int],
    k2: Sequence[int],
    lam: Sequence[float],
    base: evaluation.Reranking,
    memory: int | None = None,
) -> Result:
    """The result with the scores of every re-ranking, k1 x k2 x lambda, in its context; the rest as in `base`."""
    q, g, metric = expanded(result.query, result.gallery, result.expansion, memory)
    labels = labels_of(result.query, result.gallery, result.report.protocol)
    found = evaluation.sweep_reranking(
        q, g, labels, metric, k1=k1, k2=k2, lam=lam, variant=base.variant, context=base.context,
        memory=memory or RERANK_MEMORY,
    )  # fmt: skip
    rows = [
        {"k1": s.k1, "k2": s.k2, "lambda": s.lam, "mAP": r.mAP, "rank1": r.rank(1), "mINP": r.mINP} for s, r in found
    ]
    swept = {"variant": base.variant, "context": base.context, "rows": rows}
    return replace(result, context=result.context | {"rerank_sweep": swept})


def with_single_shot(result: Result, memory: int | None = None) -> Result:
    """The result with CUHK03's classic CMC in its context: one gallery picture a person, none of the query's camera."""
    inputs = result.evaluation_input(memory)
    separate = inputs.labels.protocol.camera_rule == "cross"
    rules = replace(inputs.labels.protocol, separate_camera=separate, ties="stable")
    found = evaluation.single_shot(replace(inputs, labels=replace(inputs.labels, protocol=rules)))
    record = {"cmc": found.cmc.tolist(), "draws": found.draws, "used": found.used, "skipped": found.skipped}
    return replace(result, context=result.context | {"single_shot": record | {"said": str(found)}})


def pooled(query: Vectors, how: Pool) -> Vectors:
    """Market-1501's multi-query: one vector a person and camera, shown by the first of its pictures."""
    vectors, pids, camids = evaluation.pool_queries(
        query.vectors, query.pids, query.camids, how, normalize=query.metric == "cosine"
    )
    owners = np.stack([query.pids, query.camids], axis=1)
    _, first = np.unique(owners, axis=0, return_index=True)
    return replace(
        query,
        vectors=vectors,
        ids=tuple(f"{pid}_{camid}" for pid, camid in zip(pids, camids, strict=True)),
        paths=tuple(query.paths[row] for row in first),
        pids=pids,
        camids=camids,
    )
