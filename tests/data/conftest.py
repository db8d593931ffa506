from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or fills the user's cache."""
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def pku_root() -> Path:
    """The real crops, where the environment has them."""
    home = os.environ.get("RESIGHT_DATA")
    if not home or not (Path(home) / "pku-reid-mini").is_dir():
        pytest.skip("RESIGHT_DATA names no folder with pku-reid-mini")
    return Path(home) / "pku-reid-mini"
