"""A real Milvus standalone server for tests, from PyPI, in an environment of its own.

RESIGHT_MILVUS_SERVER names a `milvus-server` executable; without it one is installed once into the temporary folder.
Where that cannot be done tests are skipped, except in CI.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("milvus==2.3.5", "setuptools<81")  # it imports pkg_resources
PORTS = ("proxy", "proxy-internal", "etcd", "root-coord", "query-coord", "query-node", "index-coord", "index-node",
         "data-coord", "data-node")  # fmt: skip
TICK = "proxy.timeTickInterval=100"  # milliseconds a strongly consistent read waits for; 200 where nothing is said
PATIENCE = 120.0  # seconds to start


def executable() -> Path:
    """The server, installed if need be; skips the test where it cannot be had."""
    if named := os.environ.get("RESIGHT_MILVUS_SERVER"):
        return Path(named)
    home = Path(tempfile.gettempdir()) / f"resight-milvus-2.3.5-{os.getuid()}"
    if not (home / "whole").exists():
        try:
            _install(home)
        except (OSError, subprocess.CalledProcessError) as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(f"no Milvus server: {error}")
    return home / "bin" / "milvus-server"


def _install(home: Path) -> None:
    python = home / "bin" / "python"
    if uv := shutil.which("uv"):
        subprocess.run([uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(home)], check=True)
        subprocess.run([uv, "pip", "install", "-q", "--python", str(python), *PACKAGES], check=True)
    else:
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    (home / "whole").touch()


@contextlib.contextmanager
def running(data: Path) -> Iterator[str]:
    """Start a server on free ports of this machine and stop it; its address.

    One at a time: the port its etcd talks to others on, 2380, cannot be chosen.
    """
    with (Path(tempfile.gettempdir()) / f"resight-milvus-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield from _running(data)


def _running(data: Path) -> Iterator[str]:
    ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
    options = [text for name, port in ports.items() for text in (f"--{name}-port", str(port))]
    command = [str(executable()), "--data", str(data), "--extra-config", TICK, *options]
    with (data.parent / "milvus.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for(ports["proxy"], server)
        yield f"http://127.0.0.1:{ports['proxy']}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            MilvusClient(f"http://127.0.0.1:{port}", timeout=2).list_collections()
            return
        except MilvusException:
            time.sleep(0.5)
    raise RuntimeError("the Milvus server did not start; see milvus.log. Its port 2380 may be another program's.")
