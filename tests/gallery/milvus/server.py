"""A real Milvus standalone server for tests, from PyPI, in an environment of its own.

RESIGHT_MILVUS_SERVER names a `milvus-server` executable; without it one is installed once into the temporary folder.
Where that cannot be done tests are skipped, except in CI.
"""

from __future__ import annotations

import contextlib
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
ETCD = """name: default
listen-client-urls: http://127.0.0.1:{etcd}
advertise-client-urls: http://127.0.0.1:{etcd}
listen-peer-urls: http://127.0.0.1:{peer}
initial-advertise-peer-urls: http://127.0.0.1:{peer}
initial-cluster: default=http://127.0.0.1:{peer}
"""  # without it the etcd inside takes port 2380 besides its own, and a second server cannot start
QUICK = (  # milliseconds; what tests would wait for most of their time
    "proxy.timeTickInterval=20",  # of 200, for each strongly consistent read
    "dataCoord.segment.assignmentExpiration=100",  # of 2000, for each flush
)
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
    """Start a server on free ports of this machine, beside any other, and stop it; its address."""
    ports = dict(zip((*PORTS, "peer"), _free_ports(len(PORTS) + 1), strict=True))
    etcd = data.parent / "etcd.yaml"
    etcd.write_text(ETCD.format(**ports), encoding="utf-8")
    settings = [text for setting in QUICK for text in ("--extra-config", setting)]
    chosen = [text for name in PORTS for text in (f"--{name}-port", str(ports[name]))]
    command, environment = [str(executable()), "--data", str(data)], os.environ | {"ETCD_CONFIG_PATH": str(etcd)}
    with (data.parent / "milvus.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, *settings, *chosen], stdout=log, stderr=log, start_new_session=True, env=environment
        )
    try:
        _wait_for(ports["proxy"], server, data.parent / "milvus.log")
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


def _wait_for(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    from pymilvus import MilvusClient
    from pymilvus.exceptions import MilvusException

    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and server.poll() is None:
        try:
            MilvusClient(f"http://127.0.0.1:{port}", timeout=2).list_collections()
            return
        except MilvusException:
            time.sleep(0.5)
    raise RuntimeError(f"the Milvus server did not start: {log.read_text(errors='replace')[-2000:]}")
