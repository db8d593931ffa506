"""The running service: a process on loopback, slow clients, stopping, and being killed."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from resight.cli import group, main
from resight.gallery import Gallery
from resight.serving import Client, Keys
from resight.serving.client import ServiceError
from tests.serving.conftest import Shop

START = 90  # seconds a service may take on a busy machine


@dataclass
class Running:
    process: subprocess.Popen[str]
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[Running]:
    command = [sys.executable, "-m", "resight", "serve", "--gallery", str(folder), "--port", "0", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        said = ""
        while (found := re.search(r"http://[^:]+:(\d+)/", said)) is None:
            line = process.stderr.readline()
            assert line, said
            said += line
        threading.Thread(target=process.stderr.read, daemon=True).start()  # so that its log never blocks it
        yield Running(process, int(found[1]))
    finally:
        process.kill()
        process.wait()


def test_a_service_needs_keys_beyond_this_machine(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(shop.folder)
    for options in (["--host", "0.0.0.0"], ["--host", "0.0.0.0", "--keys", str(tmp_path / "none.json")]):
        with pytest.raises(SystemExit) as stopped:
            main(["serve", "--gallery", folder, *options])
        assert stopped.value.code == 2
        assert "resight keys create" in capsys.readouterr().err


def test_a_port_in_use_or_no_gallery_is_a_sentence(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with pytest.raises(SystemExit) as stopped:
            main(["serve", "--gallery", str(shop.folder), "--port", port])
    assert stopped.value.code == 2
    assert "Choose another --port" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["serve", "--gallery", str(shop.folder / "nothing"), "--port", "0"])
    assert stopped.value.code == 2
    assert "there is no gallery" in capsys.readouterr().err


def test_keys_on_the_command_line(tmp_path: Path) -> None:
    from click.testing import CliRunner

    file = ["--file", str(tmp_path / "keys.json")]
    runner = CliRunner()
    made = runner.invoke(group, ["keys", "create", "desk", "--days", "2", *file])
    key = made.stdout.strip()
    assert Keys(tmp_path / "keys.json").find(key)
    (row,) = json.loads(runner.invoke(group, ["keys", "list", "--json", *file]).stdout)
    assert (row["name"], row["role"]) == ("desk", "search")
    assert key.rpartition("_")[2] not in json.dumps(row)
    assert runner.invoke(group, ["keys", "revoke", row["id"], *file]).exit_code == 0
    assert Keys(tmp_path / "keys.json").find(key) is None


@pytest.mark.slow
def test_a_client_works_like_a_gallery(shop: Shop, tmp_path: Path) -> None:
    keys = Keys(tmp_path / "keys.json")
    reader, admin = keys.create("reader", "search"), keys.create("boss", "admin")
    path = shop.samples[0].path
    with serving(shop.folder, "--keys", str(keys.path)) as running:
        with Client(running.url, key=reader) as client:
            assert client.search(path, k=3)[0][0].id == "r0"
            assert client.search_people(path, k=2)[0][0].pid == str(shop.samples[0].pid)
            with pytest.raises(ServiceError) as refused:
                client.delete("r0")
            assert (refused.value.status, refused.value.code) == (403, "forbidden")
        with Client(running.url, key=admin) as client:
            (id,) = client.add(path, pids=["anna"], cameras=["gate"], times=["2026-03-01T14:05:00"])
            found = client.get(id)
            assert found is not None
            assert (found.pid, found.camera, found.source) == ("anna", "gate", str(path))
            assert client.update(id, note="seen").note == "seen"
            picture = client.picture(id)
            assert picture is not None
            assert picture[:2] == b"\xff\xd8"
            assert client.delete(id) == 1
            assert client.get(id) is None
            assert len(client.list(limit=5, cameras="c1")) == 5
            assert client.embed([path, path.read_bytes()]).shape == (2, shop.extractor.model.embedding_dim)
        with pytest.raises(ServiceError, match="a key is needed"), Client(running.url) as client:
            client.galleries()
    with pytest.raises(ServiceError, match="Is the service running"), Client(running.url) as client:
        client.galleries()


@pytest.mark.slow
def test_slow_and_silent_clients_do_not_stop_others(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(shop.folder) as running:
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(200)]
        for one in silent[100:]:
            one.sendall(b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Trickle: ")
        with Client(running.url) as client:
            assert client.search(shop.samples[0].path, k=1)[0][0].id == "r0"
        silent[0].settimeout(30)
        began = time.monotonic()
        assert silent[0].recv(1) == b""  # closed by the service, not by this test
        assert time.monotonic() - began < 25
        for one in silent:
            one.close()


@pytest.mark.slow
def test_stopping_finishes_what_was_begun(shop: Shop) -> None:
    with serving(shop.folder) as running:
        statuses: list[int] = []

        def work() -> None:
            with Client(running.url) as client:
                try:
                    while True:
                        client.search([sample.path for sample in shop.samples[:8]], k=3)
                        statuses.append(200)
                except ServiceError as error:
                    statuses.append(error.status)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(statuses) < 4:
            time.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) in (0, -signal.SIGTERM)
        for thread in threads:
            thread.join(60)
    assert 500 not in statuses
    assert statuses.count(0) + statuses.count(503) == 4  # each ended by the closed door, not by an error


@pytest.mark.slow
def test_killed_in_the_middle_of_writes_nothing_acknowledged_is_lost(shop: Shop, picture: bytes) -> None:
    acknowledged: dict[str, list[str]] = {"added": [], "deleted": []}
    for round_ in range(3):
        with serving(shop.folder) as running:

            def work(round_: int = round_, running: Running = running) -> None:
                with Client(running.url) as client:
                    try:
                        for number in range(10_000):
                            acknowledged["added"] += client.add(picture, ids=[f"k{round_}-{number}"])
                            if number % 3 == 2:
                                client.delete(f"k{round_}-{number - 1}")
                                acknowledged["deleted"].append(f"k{round_}-{number - 1}")
                    except ServiceError:
                        pass

            thread = threading.Thread(target=work)
            thread.start()
            aim = len(acknowledged["added"]) + 5
            while len(acknowledged["added"]) < aim:
                time.sleep(0.01)
            running.process.kill()
            thread.join(30)
    with Gallery.open(shop.folder) as gallery:
        there = {record.id for record in gallery.list(limit=10_000)}
        last = {ids[-1] for ids in acknowledged.values()}  # the call under way when the kill came may have been done
        assert gallery.verify() == []
    assert set(acknowledged["added"]) - set(acknowledged["deleted"]) - there <= last
    assert not set(acknowledged["deleted"]) & there
