"""Index pictures: embed those a gallery does not hold yet and add them, a block at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from resight.gallery.intake import record_of
from resight.gallery.records import PLURAL, Record

if TYPE_CHECKING:
    from resight.gallery.backend import Vectors
    from resight.gallery.ingest.sources import Picture
    from resight.gallery.store import Store

BLOCK = 512  # pictures embedded and added together: what a stop may have to do again


class TolerantEmbedder(Protocol):
    """What `resight.Extractor` is."""

    def tolerant(self, pictures: Any) -> tuple[Vectors, Any]:
        """Vectors of the pictures that can be read, and a list of the others with `index`, `name` and `reason`."""
        ...


@dataclass
class Ingested:
    """What came of it.  known: pictures the gallery held already."""

    added: int = 0
    known: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)  # source and reason

    @property
    def seen(self) -> int:
        return self.added + self.known + len(self.unreadable)


def ingest(
    gallery: Store,
    pictures: Iterable[Picture],
    embed: TolerantEmbedder,
    progress: Callable[[int], None] | None = None,
) -> Ingested:
    """Add every picture that the gallery does not hold; started again after a stop it embeds only the rest.

    A picture is held when its bytes, source, camera and time are: the same picture of two cameras is two records.
    """
    done = Ingested()
    stream = iter(pictures)
    while block := list(islice(stream, BLOCK)):
        done.unreadable += [(picture.source, picture.reason) for picture in block if picture.data is None]
        fresh = _fresh(gallery, [picture for picture in block if picture.data is not None], done)
        if fresh:
            _add(gallery, fresh, embed, done)
        if progress is not None:
            progress(done.seen)
    return done


def _fresh(gallery: Store, block: list[Picture], done: Ingested) -> list[Picture]:
    """Those whose id is not there; of several with one id the first."""
    ids = [_record(picture).id for picture in block]
    held = set(gallery.backend.fetch(ids))
    fresh = {id: picture for id, picture in reversed(list(zip(ids, block, strict=True))) if id not in held}
    done.known += len(block) - len(fresh)
    return list(reversed(fresh.values()))


def _record(picture: Picture) -> Record:
    entry = {plural: picture.known.get(name) for name, plural in PLURAL.items()}
    entry |= {"sources": picture.source, "images": picture.data}
    return record_of(entry, np.empty(0, np.float32), 0.0)[0]


def _add(gallery: Store, fresh: list[Picture], embed: TolerantEmbedder, done: Ingested) -> None:
    vectors, broken = embed.tolerant([picture.data for picture in fresh])
    lost = {item.index: item.reason.replace(item.name, fresh[item.index].source, 1) for item in broken}
    done.unreadable += [(fresh[at].source, reason) for at, reason in lost.items()]
    kept = [picture for at, picture in enumerate(fresh) if at not in lost]
    if kept:
        columns: dict[str, Any] = {plural: [p.known.get(name) for p in kept] for name, plural in PLURAL.items()}
        columns |= {"sources": [p.source for p in kept], "images": [p.data for p in kept]}
        gallery.add(vectors, **columns)
        done.added += len(kept)
