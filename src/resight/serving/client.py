"""A client of the service, with the words of `Gallery`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

import httpx
import numpy as np

from resight.data.loading.decode import read
from resight.errors import ResightError, UsageError
from resight.gallery.records import PLURAL, Conditions, Filter, Hit, Person, Record, moment, text

if TYPE_CHECKING:
    from typing import Self

    from numpy.typing import NDArray

    from resight.gallery.records import Moment

Picture = str | Path | bytes
Records = list[Record]  # `list` is a method below
Answers = list[list[Hit]]
Persons = list[list[Person]]
Texts = list[str]
Rows = list[dict[str, Any]]


class ServiceError(ResightError):
    """The service refused, or could not be reached.  status: of HTTP; 0 where there was no answer.

    code, hint: the service's own.  retry_after: seconds after which the same call may succeed, where it said so.
    """

    code = "service"

    def __init__(
        self, message: str, status: int = 0, code: str = "", hint: str = "", retry: float | None = None
    ) -> None:
        super().__init__(f"{message} {hint}".strip())
        self.status, self.hint, self.retry_after = status, hint, retry
        self.code = code or type(self).code


class Client:
    """A gallery behind a service.

    Args:
        url: the service's address.
        key: from `resight keys create`, where the service has keys.
        gallery: which one, where the service has several.
        timeout: seconds.

    Raises:
        UsageError: the address is none.
        ServiceError: in every method, what the service refuses or fails in.
        ImageError: before anything is sent, for a picture that cannot be read.

    Example:
        >>> with Client("http://127.0.0.1:8000", key="resight_...") as gallery:
        ...     for hit in gallery.search("query.jpg", k=10, exclude_cameras=["c3"])[0]:
        ...         print(hit.id, hit.pid, hit.camera, hit.similarity)
    """

    def __init__(
        self, url: str = "http://127.0.0.1:8000", *, key: str | None = None, gallery: str | None = None,
        timeout: float = 60.0,
    ) -> None:  # fmt: skip
        self.gallery = gallery
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{url!r} is no address of a service; expected such as http://127.0.0.1:8000.")
        try:
            self._http = httpx.Client(base_url=url, headers=headers, timeout=timeout, trust_env=False)
        except httpx.InvalidURL as error:
            raise UsageError(f"{url!r} is no address of a service: {error}.") from error

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def embed(self, pictures: Picture | Sequence[Picture]) -> NDArray[np.float32]:
        """Pictures -> vectors (N, D) of the service's model."""
        vectors: list[list[float]] = self._send("embed", {}, _several(pictures))["vectors"]
        return np.asarray(vectors, np.float32)

    def search(
        self, pictures: Picture | Sequence[Picture] = (), k: int = 10, *, records: Sequence[str] = (), **options: Any
    ) -> Answers:
        """The k records most like each picture or record; the options are those of `Gallery.search`."""
        query = {"k": k, "records": list(records), **_conditions(options)}
        return [[Hit(**hit) for hit in hits] for hits in self._send("search", query, _several(pictures))["hits"]]

    def search_people(self, pictures: Picture | Sequence[Picture], k: int = 10, **options: Any) -> Persons:
        """Like `search`, for k persons instead of k records."""
        found = self._send("search", {"k": k, "group": True, **_conditions(options)}, _several(pictures))["persons"]
        return [[Person(one["pid"], tuple(Hit(**hit) for hit in one["hits"])) for one in persons] for persons in found]

    def add(
        self, pictures: Picture | Sequence[Picture], *, ids: Sequence[str | None] | None = None,
        pids: Sequence[Any] | None = None, cameras: Sequence[Any] | None = None,
        times: Sequence[Moment | None] | None = None, labels: Sequence[str | None] | None = None,
        notes: Sequence[str | None] | None = None,
    ) -> Texts:  # fmt: skip
        """Add pictures and return their ids; when this returns, they survive a crash of the service."""
        files = _several(pictures)
        columns = {"id": ids, "pid": pids, "camera": cameras, "time": times, "label": labels, "note": notes}
        given = {name: list(values) for name, values in columns.items() if values is not None}
        records = [{name: _field(name, values[row]) for name, values in given.items()} for row in range(len(files))]
        sources = [str(picture) if isinstance(picture, str | Path) else None for picture in files]
        for record, source in zip(records, sources, strict=True):
            record |= {"source": source} if source else {}
        added: Texts = self._send("records", {"records": records}, files)["ids"]
        return added

    def get(self, id: str) -> Record | None:
        """The record, or None."""
        answer = self._record(id)
        return None if answer is None else Record(**self._data(answer))

    def list(self, *, limit: int = 100, after_id: str = "", **conditions: Any) -> Records:
        """Records by id, `limit` at a time."""
        query = {"limit": limit, "after_id": after_id, **_conditions(conditions)}
        return [Record(**record) for record in self._ask("GET", "records", params=query)["records"]]

    def picture(self, id: str) -> bytes | None:
        """The JPEG kept of a record, or None."""
        answer = self._record(id, "/picture")
        return None if answer is None else answer.content

    def update(self, id: str, **changes: Any) -> Record:
        """Set pid, camera, time, label or note; None clears."""
        return Record(
            **self._ask(
                "PATCH",
                f"records/{_path(id)}",
                json=self._where({name: _field(name, value) for name, value in changes.items()}),
            )
        )

    def delete(self, ids: str | Sequence[str] | None = None, **conditions: Any) -> int:
        """Delete records by id or by conditions; returns how many."""
        query = _conditions(conditions) | ({} if ids is None else {"ids": [ids] if isinstance(ids, str) else [*ids]})
        deleted: int = self._ask("POST", "records/delete", json=self._where(query))["deleted"]
        return deleted

    def mark(self, id: str, same: bool, *, similarity: float, query: str | None = None) -> None:
        """Keep whether a hit was right."""
        self._ask(
            "POST", "labels", json=self._where({"id": id, "same": same, "similarity": similarity, "query": query})
        )

    def galleries(self) -> Rows:
        """What the service has to search in."""
        found: Rows = self._ask("GET", "galleries", params={})
        return found

    def _where(self, query: dict[str, Any]) -> dict[str, Any]:
        return query if self.gallery is None else {"gallery": self.gallery, **query}

    def _send(self, route: str, query: dict[str, Any], pictures: Sequence[Picture]) -> Any:
        query = query if route == "embed" else self._where(query)
        files: list[tuple[str, Any]] = [("query", (None, json.dumps(query), "application/json"))]
        files += [("pictures", ("picture", _bytes(picture), "application/octet-stream")) for picture in pictures]
        return self._data(self._raw("POST", route, files=files))

    def _record(self, id: str, part: str = "") -> httpx.Response | None:
        """The answer about a record, or None where there is none."""
        try:
            return self._raw("GET", f"records/{_path(id)}{part}", params=self._where({}))
        except ServiceError as error:
            if error.status == 404:
                return None
            raise

    def _ask(self, method: Literal["GET", "POST", "PATCH"], route: str, **sent: Any) -> Any:
        if method == "GET":
            sent["params"] = {k: v for k, v in self._where(sent.get("params", {})).items() if v is not None}
        return self._data(self._raw(method, route, **sent))

    def _data(self, answer: httpx.Response) -> Any:
        try:
            return answer.json()["data"]
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError(f"{self._http.base_url} is no service of resight.", answer.status_code) from error

    def _raw(self, method: str, route: str, **sent: Any) -> httpx.Response:
        try:
            answer = self._http.request(method, f"/v1/{route}", **sent)
        except httpx.HTTPError as error:
            raise ServiceError(f"{self._http.base_url} does not answer ({error}). Is the service running?") from error
        if answer.is_success:
            return answer
        try:
            problem: dict[str, str] = answer.json()["error"]
        except (ValueError, KeyError, TypeError):
            problem = {"message": f"{self._http.base_url} answered {answer.status_code}."}
        wait = answer.headers.get("retry-after", "")
        raise ServiceError(
            problem["message"], answer.status_code, problem.get("code", ""), problem.get("hint", ""),
            float(wait) if wait.isdigit() else None,
        )  # fmt: skip


def _several(pictures: Picture | Sequence[Picture]) -> list[Picture]:
    return [pictures] if isinstance(pictures, str | Path | bytes) else [*pictures]


def _bytes(picture: Picture) -> bytes:
    return picture if isinstance(picture, bytes) else bytes(read(picture))


def _field(name: str, value: Any) -> Any:
    """A field of a record in any form that `Gallery` takes, as JSON has it."""
    return moment(value) if name == "time" else text(value, PLURAL.get(name, name))


def _conditions(options: dict[str, Any]) -> dict[str, Any]:
    """The options, their conditions in any form that `Gallery` takes as JSON has them."""
    given: Any = {name: value for name, value in options.items() if name in Conditions.__annotations__}
    where = Filter.of(conditions=given)
    return options | {name: getattr(where, name) for name in given}


def _path(id: str) -> str:
    return quote(id, safe="")
