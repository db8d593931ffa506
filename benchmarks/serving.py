"""Load on the service beside the bare rate of decoding and model with the same threads.

    python benchmarks/serving.py                       # 64 clients for 10 minutes, ResNet-50 at 256x128
    python benchmarks/serving.py --seconds 60          # short
    python benchmarks/serving.py --model synth_small --seconds 20 --clients 16

The bare rate is that of bytes of the same pictures to vectors in one process, with the threads and the number format of
the service, before and after the load: by `Extractor` in batches of 32, and by threads with batches of 8 of their own.
The largest of the four counts.  Under load each client searches with one picture, waits for
the answer and searches again; the first seconds (--warm-up) are not counted.  Then the same with fewer clients, alone
and beside four clients with another key that hang, trickle or flood.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.cli import set_thread_defaults

set_thread_defaults()  # as the service has them; read when torch is imported

import httpx
import numpy as np
import torch

import resight
from resight.data.loading.decode import decode
from resight.gallery import Gallery
from resight.models import save_model
from resight.serving import Keys, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK = os.sysconf("SC_CLK_TCK")


class Load:
    """Closed loop of `clients` against `url`, each with one connection.

    `count(seconds)` counts what is answered from now on.
    """

    def __init__(self, url: str, files: list[bytes], clients: int, key: str) -> None:
        self._files, self._clients = files, clients
        self._end, self._lock = threading.Event(), threading.Lock()
        self._answers: list[tuple[str, float]] = []
        headers = {"Authorization": f"Bearer {key}"}
        self._http = [httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False) for _ in range(clients)]
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(clients)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
        for http in self._http:
            http.close()

    def count(self, seconds: float, pid: int, samples: int = 10) -> dict[str, Any]:
        """Rate, times and statuses of the answers of so many seconds, and what the processor and memory did."""
        with self._lock:
            self._answers = []
        began, ours, theirs, all_ = time.monotonic(), time.process_time(), _processor(pid), _machine()
        memory = []  # means of the parts
        for part in range(samples):
            seen = []
            while time.monotonic() < began + seconds * (part + 1) / samples:
                seen.append(_memory(pid))
                time.sleep(min(1.0, seconds / samples / 4))
            memory.append(round(float(np.mean(seen)), 1))
        with self._lock:
            answers, took = self._answers, time.monotonic() - began
        times = [1000 * each for status, each in answers if status == "200"] or [float("nan")]
        user, system = (after - before for after, before in zip(_processor(pid), theirs, strict=True))
        client = time.process_time() - ours
        busy, stolen = (after - before for after, before in zip(_machine(), all_, strict=True))
        return {
            "pictures_per_second": round(sum(status == "200" for status, _ in answers) / took, 2),
            "p50_ms": round(float(np.percentile(times, 50)), 1),
            "p99_ms": round(float(np.percentile(times, 99)), 1),
            "statuses": dict(Counter(status for status, _ in answers)),
            "clients_cpu_share": round(client / took, 3),
            "service_cpu_share": {"user": round(user / took, 3), "system": round(system / took, 3)},
            "others_cpu_share": {"processes": round((busy - user - system - client) / took, 3),
                                 "stolen": round(stolen / took, 3)},
            "memory_mib": memory,
        }  # fmt: skip

    def _work(self, number: int) -> None:
        turn, http = number, self._http[number]
        while not self._end.is_set():
            began, wait = time.perf_counter(), 0.0
            try:
                answer = http.post("/v1/search", files={"pictures": self._files[turn % len(self._files)]})
                status, wait = str(answer.status_code), float(answer.headers.get("retry-after", 0))
            except httpx.HTTPError as error:
                status = type(error).__name__
            with self._lock:
                self._answers.append((status, time.perf_counter() - began))
            self._end.wait(wait)
            turn += self._clients


@contextlib.contextmanager
def serving(gallery: Path, model: str, *options: str) -> Iterator[tuple[int, str]]:
    """A service in a process of its own: its id and its address."""
    command = [sys.executable, "-m", "resight", "serve", "--gallery", str(gallery), "--model", model, "--port", "0"]
    with tempfile.NamedTemporaryFile("r") as log:
        with Path(log.name).open("w") as handle:
            server = subprocess.Popen([*command, *options], stderr=handle)
        try:
            while (found := re.search(r"http://[^:]+:\d+(?=/)", Path(log.name).read_text())) is None:
                if server.poll() is not None:
                    raise RuntimeError(Path(log.name).read_text())
                time.sleep(0.2)
            yield server.pid, found[0]
        finally:
            server.terminate()
            server.wait()


@contextlib.contextmanager
def beside(kind: str, url: str, key: str, clients: int = 4) -> Iterator[None]:
    """Clients that hang in the middle of a body, trickle it, or flood, while the block lasts."""
    end, port = threading.Event(), int(url.rpartition(":")[2])
    threads = [threading.Thread(target=_misbehave, args=(kind, port, key, end)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def _misbehave(kind: str, port: int, key: str, end: threading.Event) -> None:
    common = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
    search = f"POST /v1/search {common}Content-Type: application/json\r\n"
    while not end.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            if kind == "hangs":
                line.sendall(f"{search}Content-Length: 1000\r\n\r\n".encode())
                end.wait(20)
            elif kind == "trickles":
                line.sendall(f"{search}Content-Length: 100000\r\n\r\n".encode())
                while not end.wait(0.2):
                    line.sendall(b" ")
            else:
                line.sendall(f"GET /v1/galleries {common}Connection: close\r\n\r\n".encode())
                line.recv(4096)


def people(folder: Path, embed: resight.Extractor, count: int | None = None) -> list[bytes]:
    """A gallery of the bundled synthetic people, all or the first `count` pictures, and the bytes of its files."""
    paths = [sample.path for sample in resight.load_dataset("sample").gallery][:count]
    with Gallery.open(folder, model=embed.model) as gallery:
        gallery.add(embed(paths), images=paths)
    return [path.read_bytes() for path in paths]


def bare_rate(embed: resight.Extractor, files: list[bytes], seconds: float) -> float:
    """Pictures a second from bytes to vectors, nothing else in between."""
    embed(files[: 2 * embed.batch_size])  # the first calls prepare kernels and memory
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        done += len(embed(files[: 4 * embed.batch_size]))
    return round(done / (time.perf_counter() - began), 2)


def bare_rate_of_threads(embed: resight.Extractor, files: list[bytes], seconds: float) -> float:
    """The same, each of torch's threads with batches of its own instead of all with parts of one."""
    threads, batch_size = torch.get_num_threads(), 8
    until, done = time.perf_counter() + seconds, [0] * threads

    def work(number: int) -> None:
        torch.set_num_threads(1)
        while time.perf_counter() < until:
            some = [decode(file, embed.model.input_size, embed.interpolation) for file in files[:batch_size]]
            pixels = np.stack(some)
            done[number] += len(embed.finish(embed.tensors(torch.from_numpy(pixels).permute(0, 3, 1, 2))))

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    torch.set_num_threads(threads)
    return round(sum(done) / (time.perf_counter() - began), 2)


def model_file(name: str, folder: Path) -> str:
    """What to serve: a name of the package, or a ResNet-50 strong baseline at 256x128 with random weights."""
    if name != "resnet50":
        return name
    model = resight.models.build("strong_baseline", 0, backbone="resnet50", input_size=[256, 128])
    save_model(model, folder / "resnet50.safetensors")
    return str(folder / "resnet50.safetensors")


def _memory(pid: int) -> float:
    """MiB a process has."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def _processor(pid: int) -> tuple[float, float]:
    """Seconds a process has computed, in its own code and in the system's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) / TICK, int(fields[12]) / TICK


def _machine() -> tuple[float, float]:
    """Seconds all processors have computed, and those another guest of a virtual machine's host had instead."""
    fields = [int(field) / TICK for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _disk, interrupts, soft, stolen = fields
    return user + nice + system + interrupts + soft, stolen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--per-minute", type=int, default=Limits.per_minute, help="requests of one key")
    parser.add_argument("--precision", default="auto", help="auto: what a trial takes, the same for both")
    parser.add_argument("--bare-seconds", type=float, default=15)
    parser.add_argument("--beside-seconds", type=float, default=20)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    figures: dict[str, Any] = {"command": " ".join(["python", *sys.argv])}

    def tell(**found: Any) -> None:
        figures.update(found)
        print(json.dumps(found), flush=True)
        if options.json:
            options.json.write_text(json.dumps(figures, indent=2) + "\n")

    with tempfile.TemporaryDirectory() as scratch:
        name = model_file(options.model, Path(scratch))
        embed = resight.Extractor(name, batch_size=32, precision=options.precision)
        files = people(Path(scratch) / "people", embed)
        bare = {rate.__name__: rate(embed, files, options.bare_seconds) for rate in (bare_rate, bare_rate_of_threads)}
        tell(precision=str(embed.chosen), threads=torch.get_num_threads(), bare_before=bare)
        keys = Keys(Path(scratch) / "keys.json")
        key, other = keys.create("clients", "search"), keys.create("others", "search")
        given = ("--precision", embed.chosen.name, "--per-minute", str(options.per_minute), "--keys", str(keys.path))
        with serving(Path(scratch) / "people", name, *given) as (pid, url):
            with Load(url, files, options.clients, key) as load:
                time.sleep(options.warm_up)
                minutes = max(10, round(options.seconds / 60))
                loaded = load.count(options.seconds, pid, samples=minutes)
            tell(clients=options.clients, **loaded)
            for kind in ("", "hangs", "trickles", "floods"):
                crowd = beside(kind, url, other) if kind else contextlib.nullcontext()
                with crowd, Load(url, files, 8, key) as load:
                    time.sleep(2)
                    found = load.count(options.beside_seconds, pid, samples=2)
                tell(**{f"8_clients_beside_one_that_{kind}" if kind else "8_clients": found})
        after = {rate.__name__: rate(embed, files, options.bare_seconds) for rate in (bare_rate, bare_rate_of_threads)}
        most = max(*bare.values(), *after.values())
        tell(bare_after=after, share_of_bare=round(loaded["pictures_per_second"] / most, 3))


if __name__ == "__main__":
    main()
