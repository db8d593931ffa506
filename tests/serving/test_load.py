"""The service under load, for some seconds: what benchmarks/serving.py does for ten minutes, with a small model."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import pytest

import resight
from resight.models import save_model
from resight.serving import Keys

pytestmark = pytest.mark.slow
DECLARED = {"200", "429", "503"}  # served, or told when to ask again
FLAT = 1.05  # times the memory after the warm-up
FLOOR = 0.25  # of the bare rate, on a machine that does other things as well; the benchmark states the true share


@pytest.fixture(scope="module")
def bench() -> Any:
    path = Path(__file__).parents[2] / "benchmarks" / "serving.py"
    spec = importlib.util.spec_from_file_location("serving_benchmark", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_under_load_and_beside_bad_clients_it_serves_within_its_limits(bench: Any, tmp_path: Path) -> None:
    model = resight.models.build("strong_baseline", 0, backbone="resnet18", input_size=[256, 128])
    save_model(model, tmp_path / "model.safetensors")
    embed = resight.Extractor(model, device="cpu", precision="fp32", batch_size=32)
    files = bench.people(tmp_path / "people", embed, 64)
    keys = Keys(tmp_path / "keys.json")
    key, other = keys.create("clients", "search"), keys.create("others", "search")
    options = ("--keys", str(keys.path), "--precision", "fp32", "--device", "cpu", "--per-minute", "6000")
    bare = bench.bare_rate_of_threads(embed, files, 3)
    with bench.serving(tmp_path / "people", str(tmp_path / "model.safetensors"), *options) as (pid, url):
        with bench.Load(url, files, 32, key) as load:
            time.sleep(5)
            loaded = load.count(12, pid, samples=4)
        beside = {}
        for kind in ("hangs", "trickles", "floods"):
            with bench.beside(kind, url, other), bench.Load(url, files, 8, key) as load:
                time.sleep(1)
                beside[kind] = load.count(4, pid, samples=1)
    rate = loaded["pictures_per_second"]
    print(f"{rate} pictures/s are {rate / bare:.2f} of the bare {bare}; {loaded}; {beside}")
    assert set(loaded["statuses"]) <= DECLARED
    assert rate > FLOOR * bare
    first, *later = loaded["memory_mib"]
    assert max(later) < FLAT * first
    for found in beside.values():
        assert set(found["statuses"]) <= DECLARED
        assert found["pictures_per_second"] > FLOOR * FLOOR * bare
