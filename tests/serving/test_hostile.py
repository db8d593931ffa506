"""Hostile input: a clear 4xx, nothing written, nothing leaked, and the service goes on."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from resight.gallery import Gallery
from resight.serving import create_app
from tests.serving.conftest import Shop
from tests.serving.test_routes import ask, data, error


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A PNG of some kilobytes that claims billions of pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(200_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


PLAIN = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 32, 3), np.uint8))
JPEG = encoded(PLAIN, "JPEG")
BAD = {
    "empty": b"",
    "text": b"not a picture",
    "truncated": JPEG[: len(JPEG) // 2],
    "header alone": JPEG[:20],
    "bomb": bomb(),
    "40,000 wide": bomb(40_000, 40_000),
    "html": b"<html><script>alert(1)</script></html>",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "zip": b"PK\x03\x04" + bytes(100),
    "pickle": b"\x80\x04\x95" + bytes(50),
    "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage",
    "zero pixels": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 54, 0, 0, 54, 40, 0, 0, 1, 24, 0, 0, 0, 0, 0, 0),
}
TURNED = Image.Exif()
TURNED[0x0112] = 6  # upright after a quarter turn
GOOD = {
    "1x1": encoded(PLAIN.resize((1, 1)), "PNG"),
    "CMYK": encoded(PLAIN.convert("CMYK"), "JPEG"),
    "gray": encoded(PLAIN.convert("L"), "PNG"),
    "16-bit": encoded(Image.fromarray(np.full((8, 4), 30_000, np.uint16)), "PNG"),
    "palette": encoded(PLAIN.convert("P"), "GIF"),
    "transparent": encoded(PLAIN.convert("RGBA"), "PNG"),
    "animated": encoded(PLAIN, "GIF", save_all=True, append_images=[PLAIN.rotate(90)]),
    "rotated by EXIF": encoded(PLAIN, "JPEG", exif=TURNED),
    "picture with a script behind it": JPEG + b"<script>alert(1)</script>",
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, extractor: Any) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("hostile") / "people"
    with Gallery.open(folder, model=extractor.model, audit=True) as gallery:
        gallery.add(extractor([JPEG]), ids=["one"], pids=[1], images=[JPEG])
    with Shop(folder, extractor, []).client() as client:
        yield client


@pytest.mark.parametrize("name", BAD)
def test_a_bad_picture_is_refused_and_nothing_is_written(served: TestClient, name: str) -> None:
    for route in ("/v1/search", "/v1/records", "/v1/embed"):
        answer = served.post(route, files=[("pictures", ("../../x.jpg", BAD[name]))])
        assert "picture 1" in error(answer, 422, "image")["message"]
    assert data(served.get("/v1/galleries"))[0]["records"] == 1


@pytest.mark.parametrize("name", GOOD)
def test_an_odd_picture_is_taken(served: TestClient, name: str) -> None:
    assert len(data(ask(served, [GOOD[name]], k=1))["hits"][0]) == 1


def test_one_bad_picture_among_good_ones_adds_none(served: TestClient) -> None:
    error(served.post("/v1/records", files=[("pictures", ("a", JPEG)), ("pictures", ("b", b"no"))]), 422, "image")
    assert data(served.get("/v1/galleries"))[0]["records"] == 1


BODIES: tuple[tuple[str, bytes], ...] = (
    ("application/json", b""), ("application/json", b"null"), ("application/json", b"[]"),
    ("application/json", b"{"), ("application/json", b'{"k": NaN}'), ("application/json", b'{"k": 1e999}'),
    ("application/json", b"[" * 50_000), ("application/json", b"\xff\xfe"), ("application/json", b'{"k": "\\ud800"}'),
    ("application/json", b'{"min_similarity": Infinity}'), ("application/json", b'{"pictures": ["@@@"]}'),
    ("application/json", b'{"after": "yesterday", "records": ["one"]}'),
    ("application/json", b'{"pids": ["\\ud800"], "records": ["one"]}'),
    ("application/json", b'{"pids": ["a\\u0000b"], "records": ["one"]}'),
    ("text/plain", b"hello"), ("", b"hello"), ("multipart/form-data", b"hello"),
    ("multipart/form-data; boundary=x", b"hello"), ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--"),
    ("multipart/form-data; boundary=" + "x" * 300, b"--x--"), ("application/x-www-form-urlencoded", b"k=1"),
)  # fmt: skip


@pytest.mark.parametrize("kind", range(len(BODIES)))
def test_a_broken_body_is_a_sentence(served: TestClient, kind: int) -> None:
    media, body = BODIES[kind]
    answer = served.post("/v1/search", content=body, headers={"content-type": media} if media else {})
    assert 400 <= answer.status_code < 500
    assert answer.json()["ok"] is False


@pytest.mark.parametrize(
    "path", ["/v1/records/..%2f..%2fetc%2fpasswd", "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py",
             "/static//etc/passwd", "/v1/records/%00", "/v1/records/" + "x" * 5000]
)  # fmt: skip
def test_paths_lead_nowhere(served: TestClient, path: str) -> None:
    answer = served.get(path)
    assert answer.status_code in (400, 404)
    assert "import" not in answer.text
    assert "root:" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"host": "evil.example"}, 421), ({"host": "127.0.0.1.evil.example"}, 421), ({"host": ""}, 421),
     ({"origin": "https://evil.example"}, 403), ({"origin": "null"}, 403), ({"sec-fetch-site": "cross-site"}, 403),
     ({"origin": "http://127.0.0.1"}, 200), ({"sec-fetch-site": "same-origin"}, 200), ({"content-length": "-1"}, 413)],
)  # fmt: skip
def test_other_sites_and_names_are_refused(served: TestClient, headers: dict[str, str], status: int) -> None:
    answer = served.post("/v1/search", json={"records": ["one"]}, headers=headers)
    assert answer.status_code == status


def test_another_gallerys_records_are_not_reached(tmp_path: Any, extractor: Any) -> None:
    galleries = {}
    for name in ("one", "two"):
        galleries[name] = Gallery.open(tmp_path / name, model=extractor.model)
        galleries[name].add(extractor([JPEG]), ids=[f"in {name}"], images=[JPEG])
    with TestClient(create_app(galleries, extractor, threads=1), base_url="http://localhost") as client:
        assert "gallery" in error(client.get("/v1/records"), 422, "invalid")["message"]
        for path in ("/v1/records/in two", "/v1/records/in two/picture", "/v1/records/in two/attention"):
            error(client.get(path, params={"gallery": "one"}), 404, "not_found")
            assert client.get(path, params={"gallery": "two"}).status_code == 200
        error(client.delete("/v1/records/in two", params={"gallery": "one"}), 404, "not_found")
        error(ask(client, records=["in two"], gallery="one"), 404, "not_found")
        assert len(data(client.get("/v1/galleries"))) == 2


def test_a_script_in_a_label_stays_text(served: TestClient) -> None:
    script = '"><img src=x onerror=alert(1)>'
    data(served.patch("/v1/records/one", json={"label": script, "note": script}))
    answer = served.get("/v1/records/one")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.json()["data"]["label"] == script


def test_every_answer_carries_the_headers(served: TestClient) -> None:
    for path in ("/", "/static/app.js", "/v1/health", "/nothing", "/v1/records/one/picture"):
        headers = served.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == ("no-cache" if path.startswith("/static") else "no-store")


def test_an_error_says_nothing_of_the_machine(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("/secret/path")

    monkeypatch.setattr(Gallery, "count", broken)
    found = error(served.get("/v1/galleries"), 500, "error")
    assert "/secret" not in json.dumps(found)


def test_nothing_of_an_upload_touches_the_disk(served: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a temporary file was made")

    monkeypatch.setattr(tempfile, "TemporaryFile", forbidden)
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", forbidden)
    large = encoded(PLAIN.resize((1200, 1200)), "BMP")  # 4 MB
    data(ask(served, [large], k=1))


@pytest.mark.slow
def test_whatever_the_description_allows_is_answered(served: TestClient) -> None:
    """Requests made from the OpenAPI description, right ones and wrong ones: never a 500, always the one shape."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_dict(served.get("/v1/openapi.json").json())
    for found in schema.get_all_operations():
        operation: Any = found.ok()  # type: ignore[union-attr]

        @given(case=operation.as_strategy())
        @settings(
            max_examples=15,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: Any) -> None:
            sent = case.as_transport_kwargs(base_url="http://127.0.0.1")
            sent = {
                key: value
                for key, value in sent.items()
                if key in ("method", "url", "params", "json", "headers", "content", "files")
            }
            try:
                answer = served.request(**sent)
            except (UnicodeEncodeError, ValueError, TypeError):
                return  # no client can send it
            assert answer.status_code < 500, answer.text
            if answer.headers.get("content-type") == "application/json" and "openapi" not in str(sent["url"]):
                assert answer.json().keys() in ({"ok", "data"}, {"ok", "error"})

        check()
