"""A collection on a Milvus server: its schema, and rows in and out.

It is made with consistency level Strong, so a read sees every write that was acknowledged before it.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from resight.errors import GalleryError, MissingExtraError, UsageError
from resight.gallery.backend import Vectors
from resight.gallery.milvus.rows import FIELDS, UNKNOWABLE, Row, among, quoted

if TYPE_CHECKING:
    from resight.types import Metric

T = TypeVar("T")

TOKEN = "RESIGHT_MILVUS_TOKEN"  # environment variable with "user:password" or an API key
BLOCK = 1000  # rows a request
PAGE = 10_000  # rows a query, below Milvus's limit of 16,384
MOST = 16_384  # hits a search
PATIENCE = 100  # tenths of a second that another process may take to make an index
MAX_BYTES = 16_384  # of a text, which has at most 4096 characters
INDEXES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # parameters of building and of a search
    "FLAT": ({}, {}),
    "IVF_FLAT": ({"nlist": 1024}, {"nprobe": 64}),
    "IVF_SQ8": ({"nlist": 1024}, {"nprobe": 64}),
    "IVF_RABITQ": ({"nlist": 1024, "refine": True, "refine_type": "FP32"}, {"nprobe": 64, "refine_k": 8}),
    "HNSW": ({"M": 32, "efConstruction": 200}, {}),
    "DISKANN": ({}, {}),
}


class Collection:
    """One collection, made where there is none.

    Raises:
        GalleryError: the server does not answer, or the collection is no gallery or holds vectors of another model.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.name: str = settings["collection"]
        self.index: str = settings["index"]
        with _sentences():
            self.client = _client(settings["server"])
            self._own(settings)

    def _own(self, settings: dict[str, Any]) -> None:
        """Make the collection, or see that the one there holds vectors of this model."""
        mine = {key: settings[key] for key in ("fingerprint", "metric", "dim")}
        if not self.client.has_collection(self.name):
            self._make(json.dumps({"resight": mine}), settings["dim"], settings["metric"])
            return
        try:
            theirs = json.loads(self.client.describe_collection(self.name)["description"])["resight"]
        except (ValueError, KeyError, TypeError) as error:
            raise GalleryError(f"the collection {self.name} is not a gallery. Choose another --collection.") from error
        if theirs != mine:
            raise GalleryError(
                f"the collection {self.name} holds vectors of another model ({str(theirs.get('fingerprint'))[:12]}; "
                f"this one is {mine['fingerprint'][:12]}). Choose another --collection."
            )
        self._await_index()
        self.client.load_collection(self.name)

    def _await_index(self) -> None:
        """A collection that another process is just making is there before its index."""
        for _ in range(PATIENCE):
            if self.client.list_indexes(self.name):
                return
            time.sleep(0.1)

    def _make(self, description: str, dim: int, metric: Metric) -> None:
        from pymilvus import DataType

        schema = self.client.create_schema(auto_id=False, enable_dynamic_field=False, description=description)
        schema.add_field("id", DataType.VARCHAR, is_primary=True, max_length=MAX_BYTES)
        for text in (*UNKNOWABLE, "source"):
            schema.add_field(text, DataType.VARCHAR, max_length=MAX_BYTES)
        for number in ("time", "aged", "added"):
            schema.add_field(number, DataType.DOUBLE)
        schema.add_field("timed", DataType.BOOL)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dim)
        indexes = self.client.prepare_index_params()
        by = "IP" if metric == "cosine" else "L2"
        indexes.add_index("vector", index_type=self.index, metric_type=by, params=INDEXES[self.index][0])
        self.client.create_collection(self.name, schema=schema, index_params=indexes, consistency_level="Strong")

    def upsert(self, rows: Sequence[Row]) -> None:
        with _sentences():
            for block in _blocks(rows):
                self.client.upsert(self.name, block)

    def delete(self, ids: Sequence[str]) -> None:
        with _sentences():
            for block in _blocks(ids):
                self.client.delete(self.name, filter=among("id", block))  # ids= would not escape them

    def rows(self, ids: Sequence[str], fields: list[str]) -> Iterator[Row]:
        """Those of these ids that are there."""
        for block in _blocks(list(dict.fromkeys(ids))):
            yield from self._query(among("id", block), fields)

    def select(self, condition: str, fields: list[str], after: str = "", size: int = PAGE) -> Iterator[Row]:
        """Rows that meet the condition and whose id is larger than `after`, by id.

        `reduce_stop_for_best` keeps the order of ids over several segments.  An answer ends where any one segment has
        no more to add to it, so a short one, or one longer than `size`, is not the last: only an empty one is.
        """
        while True:
            later = f"id > {quoted(after)}" + (f" and ({condition})" if condition else "")
            rows = self._query(later, fields, limit=size, reduce_stop_for_best=True)
            if not rows:
                return
            yield from rows
            after = rows[-1]["id"]

    def count(self, condition: str) -> int:
        return int(self._query(condition, ["count(*)"])[0]["count(*)"])

    def search(self, queries: Vectors, k: int, condition: str, exact: bool) -> list[list[tuple[Row, float]]]:
        """For each query (Q, D) at most k rows with Milvus's distance, best first."""
        if k > MOST:
            raise UsageError(f"k={k}; Milvus gives at most {MOST:,} hits a query.")
        with _sentences():
            found = self.client.search(
                self.name, data=queries.tolist(), limit=k, filter=condition, output_fields=FIELDS,
                search_params={"params": self._search_params(k, exact)},
            )  # fmt: skip
        return [[(hit["entity"], float(hit["distance"])) for hit in hits] for hits in found]

    def _search_params(self, k: int, exact: bool) -> dict[str, Any]:
        """Raises GalleryError for an exact search with another index than FLAT.  Any other is approximate however wide
        it is searched: what it does not hold yet the server finds by an index of its own, whose width is configured."""
        if exact and self.index != "FLAT":
            raise GalleryError(f"the index {self.index} gives no exact answers. Use FLAT where they are needed.")
        if self.index == "HNSW":
            return {"ef": max(2 * k, 128)}
        if self.index == "DISKANN":
            return {"search_list": max(2 * k, 128)}
        return INDEXES[self.index][1]

    def seal(self) -> None:
        """Close the growing segments, so that the server indexes them."""
        with _sentences():
            self.client.flush(self.name)

    def compact(self) -> None:
        with _sentences():
            self.client.compact(self.name)

    def server(self) -> str:
        """Its version."""
        with _sentences():
            return str(self.client.get_server_version())

    def close(self) -> None:
        self.client.close()

    def _query(self, condition: str, fields: list[str], **options: Any) -> list[Row]:
        with _sentences():
            return list(self.client.query(self.name, filter=condition, output_fields=fields, **options))


def check_server(server: str) -> None:
    """Raises GalleryError where no Milvus server answers there."""
    with _sentences():
        _client(server).close()


@contextlib.contextmanager
def _sentences() -> Iterator[None]:
    """Milvus's errors as ours."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        raise GalleryError(
            f"the Milvus server answers: {str(error.message).strip()[:300]}. Is it running, and is {TOKEN} set if "
            f"it asks for one?"
        ) from error


def _blocks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """What fits a request."""
    for start in range(0, len(values), BLOCK):
        yield values[start : start + BLOCK]


def _client(server: str) -> Any:
    try:
        from pymilvus import MilvusClient
    except ImportError as error:
        raise MissingExtraError("a gallery on a Milvus server", "milvus") from error
    return MilvusClient(server, token=os.environ.get(TOKEN, ""))
