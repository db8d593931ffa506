"""Search: embed query pictures and find the most similar pictures of a gallery, exactly.

gallery, unreadable = gallery_vectors("crops/", embed)
for answer in search(embed, ["query.jpg"], gallery, k=10):
    for hit in answer.hits:
        print(hit.rank, hit.path, hit.similarity)
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.data.loading.picture import name_of
from resight.errors import CheckpointError, DatasetError, EvaluationError
from resight.evaluation import nearest
from resight.inference.embeddings import FORMATS, Vectors
from resight.inference.evaluate import embed_samples
from resight.inference.image_sources import find
from resight.inference.pictures import as_sequence
from resight.types import UNKNOWN_CAMERA, Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from resight.data.loading.base import Unreadable
    from resight.evaluation import Calibration
    from resight.inference.extractor import Extractor
    from resight.inference.pictures import Pictures


@dataclass(frozen=True)
class Hit:
    """One picture found for a query."""

    rank: int  # from 1
    path: Path
    id: str
    similarity: float  # the cosine, or minus the distance where the metric is Euclidean
    metric: Metric
    pid: int | None = None  # where the gallery knows it
    camera: int | None = None
    probability: float | None = None  # that it shows the query's person, given the answer's prior
    accepted: bool | None = None  # at or above the threshold of the false-match rate asked for

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; what is not known is left out."""
        cosine = self.metric == "cosine"
        entry: dict[str, Any] = {"rank": self.rank, "path": str(self.path), "id": self.id}
        entry["similarity" if cosine else "distance"] = round(self.similarity if cosine else -self.similarity, 6)
        if self.probability is not None:
            entry["probability"] = float(f"{self.probability:.3g}")
        known = {"accepted": self.accepted, "pid": self.pid, "camera": self.camera}
        return entry | {name: value for name, value in known.items() if value is not None}


@dataclass(frozen=True)
class Answer:
    """A query and its hits, most similar first.

    prior: the chance, before looking, that a picture of the gallery shows the query's person; None without a
    calibration.  fmr: the false-match rate whose threshold accepts hits, where one was asked for.
    """

    query: str
    hits: tuple[Hit, ...]
    prior: float | None = None
    fmr: float | None = None

    @property
    def unknown(self) -> bool:
        """Whether a false-match rate was asked for and no hit is similar enough: the person is not in the gallery."""
        return self.fmr is not None and not any(hit.accepted for hit in self.hits)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        answer: dict[str, Any] = {"query": self.query, "hits": [hit.to_dict() for hit in self.hits]}
        if self.prior is not None:
            answer["prior"] = float(f"{self.prior:.3g}")
        if self.fmr is not None:
            answer |= {"fmr": self.fmr, "answer": "unknown" if self.unknown else "known"}
        return answer


def search(
    extractor: Extractor,
    pictures: Pictures,
    gallery: Vectors,
    k: int = 10,
    *,
    calibration: Calibration | None = None,
    fmr: float | None = None,
    prior: float | None = None,
) -> list[Answer]:
    """Find the pictures of a gallery most similar to each query picture.

    Args:
        extractor: the model that made the gallery's vectors.
        pictures: the queries, one or several, of any kind the extractor takes.
        gallery: N vectors; see `gallery_vectors`.
        k: hits for each query; N where that is fewer.
        calibration: of this model; gives every hit a probability.
        fmr: a false-match rate of the calibration; hits below its threshold are not accepted.
        prior: the chance beforehand that a picture of the gallery shows the query's person; default `default_prior`.

    Returns:
        An answer for each query, in their order.

    Raises:
        ImageError: a query cannot be read.
        CheckpointError: the gallery was made by another model.
        EvaluationError: `fmr` without a calibration, or one that was not calibrated.
    """
    check_fingerprint(extractor, gallery, "the gallery")
    if fmr is not None and calibration is None:
        raise EvaluationError("a false-match rate needs a calibration; make one with resight calibrate.")
    pictures = as_sequence(pictures)
    return find_nearest(extractor(pictures), [name_of(p, row) for row, p in enumerate(pictures)], gallery, k,
                        calibration=calibration, fmr=fmr, prior=prior)  # fmt: skip


def find_nearest(
    queries: NDArray[np.float32],
    names: Sequence[str],
    gallery: Vectors,
    k: int = 10,
    *,
    calibration: Calibration | None = None,
    fmr: float | None = None,
    prior: float | None = None,
) -> list[Answer]:
    """The same for query vectors (Q, D) and their names (Q,)."""
    distances, rows = nearest(queries, gallery.vectors, min(k, len(gallery)), metric=gallery.metric)
    similarities = 1 - distances if gallery.metric == "cosine" else -distances  # (Q, k)
    answers = [
        Answer(name, tuple(_hit(gallery, row, rank, s) for rank, (row, s) in enumerate(zip(of, alike, strict=True), 1)))
        for name, of, alike in zip(names, rows.tolist(), similarities.tolist(), strict=True)
    ]
    if calibration is None:
        return answers
    chance = default_prior(gallery) if prior is None else prior
    return [_calibrated(answer, calibration, chance, fmr) for answer in answers]


def default_prior(gallery: Vectors) -> float:
    """The chance that a picture drawn from the gallery shows one given person of it.

    One in the number of its people where they are named, else one in the number of its pictures; at most an even one.
    """
    named = {int(pid) for pid in gallery.pids if pid > 0}
    people = len(named) if named and (gallery.pids > 0).all() else len(gallery)
    return 1 / max(people, 2)


def gallery_vectors(
    where: str | os.PathLike[str],
    extractor: Extractor,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Vectors, list[Unreadable]]:
    """The vectors of an embedding file of this model, or of the pictures in a folder or list, embedded now.

    Args:
        where: a file written by `Vectors.save`; or a picture, a folder, a CSV or a list (`image_sources.find`).
        progress: called with (done, total) while pictures are embedded.

    Returns:
        The vectors, and the pictures that cannot be read.

    Raises:
        CheckpointError: the file was made by another model.
        DatasetError: no picture can be read.
    """
    path = Path(where)
    if path.suffix in FORMATS and not path.is_dir():
        vectors = Vectors.load(path)
        check_fingerprint(extractor, vectors, str(path))
        return vectors, []
    samples, root = find(path)
    count = len(samples)
    vectors, lost = embed_samples(extractor, samples, root, progress and (lambda done: progress(done, count)))
    if not len(vectors):
        raise DatasetError(f"none of the {count} pictures of {path} can be read. The first: {lost[0].reason}")
    return vectors, lost


def check_fingerprint(extractor: Extractor, vectors: Vectors, name: str) -> None:
    """Raises CheckpointError where the vectors are another model's."""
    mine = extractor.model.fingerprint()
    if vectors.fingerprint != mine:
        raise CheckpointError(
            f"{name} was made by another model ({vectors.fingerprint[:12]}, this one is {mine[:12]}); vectors of two "
            f"models cannot be compared. Embed the pictures again with this model, or give the model that made them."
        )


def _hit(gallery: Vectors, row: int, rank: int, similarity: float) -> Hit:
    pid, camera = int(gallery.pids[row]), int(gallery.camids[row])
    return Hit(
        rank, gallery.path(row), gallery.ids[row], similarity, gallery.metric,
        None if pid == Vectors.UNKNOWN_PID else pid, None if camera == UNKNOWN_CAMERA else camera,
    )  # fmt: skip


def _calibrated(answer: Answer, calibration: Calibration, prior: float, fmr: float | None) -> Answer:
    chances = calibration.probability([hit.similarity for hit in answer.hits], prior)
    least = None if fmr is None else calibration.threshold(fmr)
    hits = tuple(
        replace(hit, probability=float(chance), accepted=None if least is None else hit.similarity >= least)
        for hit, chance in zip(answer.hits, chances, strict=True)
    )
    return replace(answer, hits=hits, prior=prior, fmr=fmr)
