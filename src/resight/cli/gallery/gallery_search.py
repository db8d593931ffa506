"""`resight search` in a gallery: its options and what they ask."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from resight.cli.gallery.filter_options import Chosen, filter_options
from resight.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.evaluation import Calibration
    from resight.gallery import Gallery, Hit
    from resight.inference import Extractor

F = TypeVar("F", bound="Callable[..., Any]")
Answer = dict[str, Any]
OWN_OPTIONS = ("records", "exact", "rerank", "one_person", "people")


@dataclass(frozen=True)
class GallerySearch:
    """What was asked of a gallery beyond pictures and k.  False where nothing was."""

    chosen: Chosen
    records: tuple[str, ...] = ()
    exact: bool = False
    rerank: bool = False
    one_person: bool = False
    people: bool = False
    center_cameras: bool = False  # not of a gallery alone
    query_camera: str | None = None

    @property
    def given(self) -> list[str]:
        return [*self.chosen, *(name for name in OWN_OPTIONS if getattr(self, name))]

    def __bool__(self) -> bool:
        return bool(self.given)

    def model_of(self, gallery: Gallery, said: Path) -> Path:
        """The model named, else that of the gallery."""
        source = click.get_current_context().get_parameter_source("model")
        if source is not click.core.ParameterSource.DEFAULT:
            return said
        if not (known := gallery.settings.get("model")):
            raise UsageError(f"{gallery.folder} names no model. Name it: --model MODEL")
        return Path(known)

    def search(
        self, gallery: Gallery, names: Sequence[str], extractor: Extractor, k: int, known: Calibration | None,
        fmr: float | None, prior: float | None,
    ) -> list[Answer]:  # fmt: skip
        """Answers as `resight.inference.search` gives them."""
        if known is not None and prior is None:
            prior = gallery.prior()
        options: dict[str, Any] = {"exact": self.exact, "rerank": self.rerank, **self.chosen}
        options["fingerprint"] = extractor.model.fingerprint()
        if self.center_cameras:
            options["center_cameras"] = True
            click.echo("means of the cameras subtracted; hits carry no probability", err=True)
        answers = []
        if names:
            seen: Answer = {} if self.query_camera is None else {"query_cameras": [self.query_camera] * len(names)}
            if self.one_person:
                seen["fuse"] = "mean"
            vectors = extractor(list(names))
            found = self._find(lambda wide: gallery.search(vectors, wide, **options, **seen), k)
            queries = [", ".join(names)] if self.one_person else names
            answers += [(query, hits) for query, hits in zip(queries, found, strict=True)]
        if self.records:
            found = self._find(lambda wide: gallery.search_ids(self.records, wide, **options), k)
            answers += [(id, hits) for id, hits in zip(self.records, found, strict=True)]
        said = {"center_cameras": True} if self.center_cameras else {}
        return [_answer(query, hits, known, fmr, prior, gallery.metric) | said for query, hits in answers]

    def _find(self, search: Callable[[int], list[list[Hit]]], k: int) -> list[list[Hit]]:
        """k hits of a search for so many, or k persons, each by the best hit."""
        from resight.gallery.ranking import people

        if not self.people:
            return search(k)
        return [[person.hits[0] for person in found] for found in people(search, k)]

    @contextlib.contextmanager
    def with_pictures(self, gallery: Gallery, answers: list[Answer]) -> Iterator[list[Answer]]:
        """The answers for a sheet or page, with the `picture` kept where a file is gone or a record was asked with."""
        with tempfile.TemporaryDirectory() as folder:

            def shown(path: str, id: str) -> dict[str, str]:
                kept = None if Path(path).is_file() else gallery.picture(id)
                if kept is None:
                    return {}
                place = Path(tempfile.mkdtemp(dir=folder)) / Path(path).parent.name  # its caption is that of the file
                place.mkdir(exist_ok=True)
                file = place / (Path(path).name[-100:] or "picture")
                file.write_bytes(kept)
                return {"picture": str(file)}

            yield [
                answer | shown(answer["query"], answer["query"])
                | {"hits": [hit | shown(hit["path"], hit["id"]) for hit in answer["hits"]]}
                for answer in answers
            ]  # fmt: skip


def _answer(
    query: str, hits: Sequence[Hit], known: Calibration | None, fmr: float | None, prior: float | None,
    metric: str,
) -> Answer:  # fmt: skip
    threshold = None if known is None or fmr is None else known.threshold(fmr)
    answer: Answer = {"query": query, "hits": [_hit(hit, rank, threshold, metric) for rank, hit in enumerate(hits, 1)]}
    if known is not None and prior is not None:
        answer["prior"] = float(f"{prior:.3g}")
        for entry, hit in zip(answer["hits"], hits, strict=True):
            entry["probability"] = float(f"{float(known.probability(hit.similarity, prior)):.3g}")
    if fmr is not None:
        accepted = any(hit["accepted"] for hit in answer["hits"])
        answer |= {"fmr": fmr, "answer": "known" if accepted else "unknown"}
    return answer


def _hit(hit: Hit, rank: int, threshold: float | None, metric: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"rank": rank, "id": hit.id, "path": hit.source}
    entry |= {"similarity": round(hit.similarity, 6)} if metric == "cosine" else {"distance": round(-hit.similarity, 6)}
    if threshold is not None:
        entry["accepted"] = hit.similarity >= threshold
    said = {name: getattr(hit, name) for name in ("pid", "camera", "time", "label", "note")}
    return entry | {name: value for name, value in said.items() if value is not None}


def gallery_options(function: F) -> F:
    """Adds the options; the command gets them as one argument, `asked`."""

    @functools.wraps(function)
    def wrapped(*args: Any, chosen: Chosen, **options: Any) -> Any:
        own = {name: options.pop(name) for name in OWN_OPTIONS}
        return function(*args, asked=GallerySearch(chosen, **own), **options)

    decorated: Any = wrapped
    for flag, name, words in (
        ("--people", "people", "In a gallery: k persons, each by the best hit."),
        ("--one-person", "one_person", "In a gallery: PICTURES show one person; one answer."),
        ("--rerank", "rerank", "In a gallery: reorder the hits by k-reciprocal neighbors."),
        ("--exact", "exact", "In a gallery: compare with every vector."),
    ):
        decorated = click.option(flag, name, is_flag=True, help=words)(decorated)
    decorated = click.option("--record", "records", multiple=True, metavar="ID",
                             help="In a gallery: a record to search from.  May be repeated.")(decorated)  # fmt: skip
    return cast("F", filter_options(decorated))
