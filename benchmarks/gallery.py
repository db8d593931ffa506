"""The gallery beside FAISS Flat on the same vectors: indexing, memory, time to open, searches with and without filters.

    python benchmarks/gallery.py --records 100000
    python benchmarks/gallery.py --records 1000000 --folder /big/disk/bench     # about 6 GB of disk, 5 of memory

A filter is a camera's name in ours and a selector in Flat's, whose bits are made from the cameras in the call, as any
search by camera has to.  Each search is timed in turn with Flat's, so that a busy moment hits both.  Figures mean
something on idle cores only.  Memory is what a fresh process holds (RssAnon of /proc/self/status, which leaves out the
pages of mapped files) after its first searches, beyond what it held with everything imported; Flat's is its vectors.
A folder that holds the gallery of an earlier run is searched as it is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import faiss as _faiss
import numpy as np
import numpy.typing as npt

from clustered import Size, clustered
from resight.gallery import Gallery

faiss: Any = _faiss  # its stubs do not know what its Python adds to the classes
Vectors = npt.NDArray[np.float32]
DEPTH = 50
SHARES = {"50 %": range(10), "5 %": range(10, 11), "0.1 %": range(100, 101)}  # cameras that make up so much


def cameras_of(count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Camera of each record: 0 to 9 hold half of all, 10 a 20th, 100 a thousandth, 11 to 20 the rest."""
    draw = rng.random(count)
    rest = rng.integers(11, 21, count)
    rest[draw < 0.551] = 100
    rest[draw < 0.55] = 10
    halves = rng.integers(0, 10, count)
    return np.where(draw < 0.5, halves, rest)


def fill(folder: Path, vectors: Vectors, cameras: npt.NDArray[np.int64]) -> dict[str, float]:
    with Gallery.open(folder, dim=vectors.shape[1], thumbnail=0) as gallery:
        begin = time.perf_counter()
        for start in range(0, len(vectors), 10_000):
            part = slice(start, start + 10_000)
            ids = [f"{row:09}" for row in range(start, min(start + 10_000, len(vectors)))]
            gallery.add(vectors[part], ids=ids, cameras=cameras[part].tolist())
        added = time.perf_counter()
        gallery.optimize()
        done = time.perf_counter()
    return {
        "records a second, added and acknowledged": len(vectors) / (added - begin),
        "seconds to optimize": done - added,
        "bytes of disk a record": sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / len(vectors),
    }


MEASURED_APART = """
import json, sys, time, faiss, numpy as np
from pathlib import Path
from resight.gallery import Gallery
def anonymous():
    lines = Path('/proc/self/status').read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith('RssAnon'))
queries = np.load(sys.argv[2])
before = anonymous()
begin = time.perf_counter()
gallery = Gallery.open(sys.argv[1])
first = gallery.search(queries[:1], 50)
opened = time.perf_counter() - begin
for query in queries[:20]:
    gallery.search(query, 50)
plain = anonymous() - before
begin = time.perf_counter()
gallery.search(queries[:1], 50, cameras=['10'])
filtered = time.perf_counter() - begin
print(json.dumps({'seconds to open and answer once': opened, 'seconds to the first filtered answer': filtered,
                  'MiB held': plain, 'MiB held once filters were used': anonymous() - before}))
"""


def apart(folder: Path, queries: Vectors) -> dict[str, float]:
    """Time to open and memory, in a process of its own."""
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file.name, queries)
        command = [sys.executable, "-c", MEASURED_APART, str(folder), file.name]
        return dict(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds, and what the call returns."""
    begin = time.perf_counter()
    result = call()
    return 1000 * (time.perf_counter() - begin), result


def compare(
    name: str, gallery: Gallery, flat: Callable[[Vectors], Any], queries: Vectors, batch: int, options: dict[str, Any]
) -> dict[str, Any]:  # fmt: skip
    """Milliseconds of both, taken in turn, their ratio, and recall of ours."""
    ours, theirs, shares = [], [], []
    for start in range(0, len(queries), batch):
        block = queries[start : start + batch]
        took, found = timed(partial(gallery.search, block, DEPTH, **options))
        ours.append(took)
        took, truth = timed(partial(flat, block))
        theirs.append(took)
        for hits, rows in zip(found, truth, strict=True):
            there = {f"{row:09}" for row in rows if row >= 0}
            shares.append(len(there & {hit.id for hit in hits}) / max(1, len(there)))
    p50, p99, flat50, flat99 = (float(np.percentile(t, p)) for t in (ours, theirs) for p in (50, 99))
    return {"search": name, "batch": batch, "p50_ms": p50, "p99_ms": p99, "flat_p50_ms": flat50, "flat_p99_ms": flat99,
            "times_as_fast_as_flat": flat50 / p50, "recall": float(np.mean(shares))}  # fmt: skip


def searches(gallery: Gallery, flat: Any, queries: Vectors, cameras: npt.NDArray[np.int64]) -> list[dict[str, Any]]:
    """Every kind of search, alone and in batches of 64, printed as they come."""

    def plainly(block: Vectors, numbers: list[int] | None) -> Any:
        if numbers is None:
            return flat.search(block, DEPTH)[1]
        bits = np.packbits(np.isin(cameras, numbers), bitorder="little")
        return flat.search(block, DEPTH, params=faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits)))[1]

    cases: list[tuple[str, Any, dict[str, Any]]] = [("no filter", None, {}), ("exact=True", None, {"exact": True})]
    for share, numbers in SHARES.items():
        options: dict[str, Any] = {"cameras": [str(number) for number in numbers]}
        cases.append((f"camera filter, {share} of the records", list(numbers), options))
    found = []
    for name, keep, options in cases:
        gallery.search(queries[:1], DEPTH, **options)  # the first filter reads the columns
        for batch in (1, 64):
            line = compare(name, gallery, partial(plainly, numbers=keep), queries, batch, options)
            found.append(line)
            print(
                f"{name}, batch {batch}: {line['p50_ms']:.2f} / {line['p99_ms']:.2f} ms (p50 / p99), Flat "
                f"{line['flat_p50_ms']:.2f} / {line['flat_p99_ms']:.2f} ms, "
                f"{line['times_as_fast_as_flat']:.2f} times as fast, recall {line['recall']:.4f}",
                flush=True,
            )
    return found


def measured(folder: Path, asked: argparse.Namespace) -> dict[str, Any]:
    size = Size(people=asked.records // 30, cameras=10, queries=asked.queries, gallery=asked.records,
                distractors=asked.records // 10, dim=asked.dim)  # fmt: skip
    split = clustered(size)
    cameras = cameras_of(asked.records, np.random.default_rng(1))
    report: dict[str, Any] = {"records": asked.records, "dim": asked.dim}
    report |= {} if folder.exists() else fill(folder, split.gallery, cameras)
    report |= apart(folder, split.query) | {"MiB of Flat": split.gallery.nbytes / 2**20}
    flat = faiss.IndexFlatIP(asked.dim)
    flat.add(split.gallery)
    with Gallery.open(folder) as gallery:
        report["candidates"] = gallery.stats()["candidates"]
        for key, value in report.items():
            print(f"{key}: {value:,.1f}" if isinstance(value, float) else f"{key}: {value:,}", flush=True)
        report["searches"] = searches(gallery, flat, split.query, cameras)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--queries", type=int, default=192)
    parser.add_argument("--folder", type=Path, help="where the gallery is made, and left")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    faiss.omp_set_num_threads(asked.threads)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="resight-gallery-"))
    try:
        report = measured(folder / "g", asked)
        if asked.json:
            asked.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    finally:
        if asked.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
