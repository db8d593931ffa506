"""The ten-line example of docs/evaluation.md runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "evaluation.md"


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    example = found[1]
    assert len(example.strip().splitlines()) <= 10
    rng = np.random.default_rng(0)
    for name, count in (("q", 20), ("g", 50)):
        vectors, pids, camids = rng.normal(size=(count, 8)), rng.integers(1, 6, count), rng.integers(1, 4, count)
        np.savez(tmp_path / f"{name}.npz", vectors=vectors, pids=pids, camids=camids)
    monkeypatch.chdir(tmp_path)
    exec(example, {})
    said = capsys.readouterr().out
    assert said.startswith("mAP ") and "queries 20/20, rectangle AP, cosine, no re-ranking" in said
