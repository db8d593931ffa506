"""Load on the service beside the bare rate of decoding and model with the same threads.

    python benchmarks/serving.py                       # 64 clients for 10 minutes, ResNet-50 at 256x128
    python benchmarks/serving.py --seconds 60          # short
    python benchmarks/serving.py --model synth_small --seconds 20 --clients 16

Prints throughput, p50 and p99, errors by status, the clients' share of the processor, the service's memory by minute,
and then how it fares beside a client that hangs, one that trickles and one that floods.
"""

from __future__ import annotations

import argparse
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
from typing import Any

import httpx
import numpy as np

import resight
from resight.data.loading.decode import decode
from resight.gallery import Gallery
from resight.models import save_model

ROUND = 5.0  # seconds of the bare rate


def build(name: str, folder: Path) -> Path | str:
    """A model to serve: a name of the package, or a ResNet-50 strong baseline at 256x128 with random weights."""
    if name != "resnet50":
        return name
    model = resight.models.build("strong_baseline", 0, backbone="resnet50", input_size=[256, 128])
    path = folder / "resnet50.safetensors"
    save_model(model, path)
    return path


def bare_rate(embed: resight.Extractor, files: list[bytes], batch_size: int) -> float:
    """Pictures a second: decode, resize and embed, one after the other in this process."""
    size = embed.model.input_size
    import torch

    def once() -> None:
        pixels = np.stack([decode(data, size) for data in files[:batch_size]])
        embed(torch.from_numpy(pixels).permute(0, 3, 1, 2))

    once()
    done, began = 0, time.perf_counter()
    while time.perf_counter() - began < ROUND:
        once()
        done += min(batch_size, len(files))
    return done / (time.perf_counter() - began)


def memory(pid: int) -> float:
    """MiB of a process."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


def load(url: str, files: list[bytes], clients: int, seconds: float, pid: int) -> dict[str, Any]:
    """Closed loop: each client searches with one picture, waits for the answer, and searches again."""
    statuses: Counter[str] = Counter()
    times: list[float] = []
    until = time.monotonic() + seconds
    lock = threading.Lock()

    def work(number: int) -> None:
        with httpx.Client(base_url=url, timeout=90, trust_env=False) as http:
            turn = number
            while time.monotonic() < until:
                began = time.perf_counter()
                try:
                    answer = http.post("/v1/search", files={"pictures": files[turn % len(files)]})
                    status = str(answer.status_code)
                except httpx.HTTPError as error:
                    status = type(error).__name__
                with lock:
                    statuses[status] += 1
                    if status == "200":
                        times.append(time.perf_counter() - began)
                turn += clients

    before = time.process_time()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    by_minute = []
    while any(thread.is_alive() for thread in threads):
        by_minute.append(round(memory(pid), 1))
        time.sleep(min(60.0, max(0.5, until - time.monotonic())))
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    return {
        "pictures_per_second": round(len(times) / took, 2),
        "p50_ms": round(1000 * float(np.percentile(times, 50)), 1) if times else None,
        "p99_ms": round(1000 * float(np.percentile(times, 99)), 1) if times else None,
        "statuses": dict(statuses),
        "clients_cpu_share": round((time.process_time() - before) / took, 3),
        "memory_mib": by_minute,
    }


def beside(kind: str, port: int, end: threading.Event) -> None:
    """A client that hangs, trickles or floods until told to end."""
    while not end.is_set():
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
                head = b"POST /v1/search HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                if kind == "hangs":
                    line.sendall(head + b"Content-Length: 1000\r\n\r\n")
                    end.wait(20)
                elif kind == "trickles":
                    line.sendall(head + b"Content-Length: 100000\r\n\r\n")
                    while not end.wait(0.2):
                        line.sendall(b" ")
                else:
                    line.sendall(b"GET /v1/galleries HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
                    line.recv(4096)
        except OSError:
            continue


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--beside-seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        name = build(options.model, Path(scratch))
        embed = resight.Extractor(resight.load_model(name), batch_size=options.batch_size)
        samples = resight.load_dataset("sample").gallery
        files = [sample.path.read_bytes() for sample in samples]
        folder = Path(scratch) / "people"
        with Gallery.open(folder, model=embed.model) as gallery:
            gallery.add(embed([sample.path for sample in samples]), images=[sample.path for sample in samples])
        bare = bare_rate(embed, files, options.batch_size)
        print(json.dumps({"bare_pictures_per_second": round(bare, 2)}), flush=True)
        command = [
            *(sys.executable, "-m", "resight", "serve", "--gallery", str(folder), "--model", str(name), "--port", "0"),
            *("--batch-size", str(options.batch_size), "--per-minute", "1000000"),
        ]
        log = Path(scratch) / "log"
        with log.open("w") as handle:
            server = subprocess.Popen(command, stderr=handle, env=os.environ)
        try:
            while (found := re.search(r"http://[^:]+:(\d+)/", log.read_text())) is None:
                time.sleep(0.2)
            port, url = int(found[1]), f"http://127.0.0.1:{found[1]}"
            result = load(url, files, options.clients, options.seconds, server.pid)
            result["share_of_bare"] = round(result["pictures_per_second"] / bare, 3)
            print(json.dumps(result), flush=True)
            for kind in ("hangs", "trickles", "floods"):
                end = threading.Event()
                others = [threading.Thread(target=beside, args=(kind, port, end)) for _ in range(4)]
                for other in others:
                    other.start()
                found_ = load(url, files, 8, options.beside_seconds, server.pid)
                end.set()
                for other in others:
                    other.join()
                print(json.dumps({"beside_a_client_that": kind, **found_}), flush=True)
        finally:
            server.terminate()
            server.wait()


if __name__ == "__main__":
    main()
