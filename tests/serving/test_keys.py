"""Keys: made once, kept as hashes, with roles and an expiry."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from resight.errors import UsageError
from resight.serving import Keys
from tests.serving.conftest import Shop
from tests.serving.test_routes import data, error


def test_only_the_hash_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key = Keys(path).create("desk", "search", days=1)
    assert key.split("_", 2)[2] not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    found = Keys(path).find(key)
    assert found is not None
    assert (found.name, found.role) == ("desk", "search")


def test_another_secret_or_shape_is_no_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    key = keys.create("desk", "search")
    for wrong in ("", "resight", key[:-1], key[:-1] + ("a" if key[-1] != "a" else "b"), key + "x", key.upper(), "ключ"):
        assert keys.find(wrong) is None


def test_an_expired_or_revoked_key_stops_working(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(tmp_path / "keys.json")
    short, long = keys.create("short", "search", days=1), keys.create("long", "search")
    other = Keys(tmp_path / "keys.json")  # the running service's view
    assert other.find(short)
    keys.revoke(short.split("_")[1])
    assert other.find(short) is None
    assert other.find(long)
    last = keys.create("last", "search", days=1)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * 86_400)
    assert keys.find(last) is None
    assert keys.find(long)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"keys": [{"id": 1}]}', "\0"])
def test_another_file_is_a_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a file of keys"):
        Keys(path)


@pytest.mark.parametrize(("name", "role", "days"), [("", "search", 1), ("a", "root", 1), ("a", "search", -1)])
def test_what_makes_no_key(tmp_path: Path, name: str, role: Any, days: float) -> None:
    with pytest.raises(UsageError):
        Keys(tmp_path / "keys.json").create(name, role, days)


ROUTES = {
    "search": [("GET", "/v1/galleries"), ("GET", "/v1/records"), ("GET", "/v1/me"), ("GET", "/v1/labels")],
    "write": [("PATCH", "/v1/records/r0"), ("POST", "/v1/labels"), ("POST", "/v1/records")],
    "admin": [("DELETE", "/v1/records/r0"), ("POST", "/v1/records/delete"), ("POST", "/v1/records/undo"),
              ("GET", "/v1/audit"), ("POST", "/v1/retention"), ("GET", "/v1/stats"), ("GET", "/metrics")],
}  # fmt: skip


def test_each_role_may_what_it_may(shop: Shop, keyed: Any) -> None:
    keys, headers = keyed
    roles = list(ROUTES)
    sent = {role: headers(role) for role in roles}
    with shop.client(keys) as client:
        for role, routes in ROUTES.items():
            for method, path in routes:
                assert error(client.request(method, path, json={}), 401, "unauthorized")
                for other in roles:
                    answer = client.request(method, path, json={}, headers=sent[other])
                    allowed = roles.index(other) >= roles.index(role)
                    assert (answer.status_code != 403) == allowed, (other, method, path)
        assert client.request("GET", "/v1/me").headers["www-authenticate"] == "Bearer"
        assert data(client.get("/v1/health"))["keys"] is True


def test_the_description_names_no_key(shop: Shop, keyed: Any) -> None:
    keys, headers = keyed
    headers("admin")
    with shop.client(keys) as client:
        text = client.get("/v1/openapi.json").text + client.get("/").text
    assert all(row["hash"] not in text for row in json.loads(keys.path.read_text())["keys"])


def test_a_file_of_keys_that_breaks_is_no_way_in_and_tells_nothing(shop: Shop, keyed: Any) -> None:
    keys, headers = keyed
    admin = headers("admin")
    whole = keys.path.read_text(encoding="utf-8")
    with shop.client(keys) as client:
        keys.path.write_text("{", encoding="utf-8")
        found = error(client.get("/v1/galleries", headers=admin), 503, "busy")
        assert str(keys.path) not in str(found)
        assert client.get("/v1/health").status_code == 200
        keys.path.write_text(whole, encoding="utf-8")
        assert client.get("/v1/galleries", headers=admin).status_code == 200
