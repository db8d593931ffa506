"""What all tests share: one thread a worker, and the way to real crops."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported: two workers share two cores
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # torch is compiled once, not again in every process a test starts
sys.dont_write_bytecode = False


@pytest.fixture(scope="session")
def real_crops() -> Path:
    """The folder of pku-reid-mini; without RESIGHT_DATA the test is skipped."""
    home = os.environ.get("RESIGHT_DATA")
    if not home:
        pytest.skip("RESIGHT_DATA is not set: no real crops to read")
    folder = Path(home) / "pku-reid-mini"
    if not folder.is_dir():
        pytest.skip(f"RESIGHT_DATA holds no pku-reid-mini: {folder}")
    return folder


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Market-1501 tree of made-up people, to be read only."""
    from tests.people import write_people

    return write_people(tmp_path_factory.mktemp("people"))


@pytest.fixture(autouse=True)
def float32_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """`precision="auto"` takes float32: which of two is faster for a model of milliseconds depends on the load."""
    monkeypatch.setattr("resight.inference.precision.SHORT", 60.0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test writes into the user's cache."""
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
