"""What the client refuses before it asks the service, and answers that are no service's."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from resight import Client
from resight.errors import ImageError, ImageNotFoundError, UsageError
from resight.serving.client import ServiceError
from tests.serving.conftest import BASE, Shop


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://localhost", "http://[::1"])
def test_what_is_no_address_is_a_sentence(url: str) -> None:
    with pytest.raises(UsageError, match="is no address of a service"):
        Client(url)


def test_a_picture_that_cannot_be_read_is_a_sentence_before_anything_is_sent(tmp_path: Path) -> None:
    with Client("http://127.0.0.1:9") as client:
        with pytest.raises(ImageNotFoundError, match=r"none.jpg cannot be opened"):
            client.search(tmp_path / "none.jpg")
        with pytest.raises(ImageError, match="is not a file"):
            client.embed([tmp_path])


def test_an_answer_of_something_else_is_a_sentence() -> None:
    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Client(f"http://127.0.0.1:{server.server_port}") as client:
            for ask in (client.galleries, lambda: client.get("r1")):
                with pytest.raises(ServiceError, match="no service of resight"):
                    ask()
        server.shutdown()


def test_it_takes_every_form_that_a_gallery_takes(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    service = shop.client()
    monkeypatch.setattr("httpx.Client", lambda **_: service)
    path, pid = shop.samples[0].path, shop.samples[0].pid
    with Client() as client:
        (hits,) = client.search(path, k=30, cameras="c2", after=datetime.fromtimestamp(BASE, UTC))
        assert hits and {hit.camera for hit in hits} == {"c2"}
        assert {person.pid for person in client.search_people(path, pids=pid)[0]} == {str(pid)}
        assert {record.pid for record in client.list(pids=[pid], after="2020-01-01")} == {str(pid)}
        (id,) = client.add(path, pids=[7], cameras=[-1], times=[datetime(2026, 3, 1, 14, tzinfo=UTC)])
        added = client.update(id, pid=8, time=datetime(2026, 3, 1, 15, tzinfo=UTC))
        assert (added.pid, added.camera, added.time) == ("8", None, 1772377200.0)
        assert client.delete(pids=8) == 1
