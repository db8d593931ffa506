"""Every example runs as it is written."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.py"))
EXPECTED = {"embed_and_compare": "1.000", "evaluate_other_features": "re-ranked"}


@pytest.mark.parametrize("path", [path for path in EXAMPLES if path.stem in EXPECTED], ids=lambda path: path.stem)
def test_an_example_runs(path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [str(path)])
    runpy.run_path(str(path), run_name="__main__")
    assert EXPECTED[path.stem] in capsys.readouterr().out
