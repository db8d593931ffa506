"""resight export: a file in its folder, or a failure that says why."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from resight import models
from resight.cli import main
from resight.cli.common.run_folder import NAME, calibration_of
from resight.evaluation import Calibration
from resight.export import DEFAULT_GATES, Gates
from tests.export.examples import people, ready

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("onnxscript")


@pytest.fixture(autouse=True)
def some_people(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.data.load_dataset", lambda *_, **__: people())


def test_a_run_is_exported_beside_its_weights(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    models.save_model(ready(), run)
    (run / "card.json").write_text(json.dumps({"licence": "nobody's"}))
    main(["export", str(run), "--to", "pt2"])
    said = capsys.readouterr().out
    assert "passed  every crop" in said
    assert "rank1" in said
    file = run / "export" / "pt2-fp32" / "model.pt2"
    found = models.load_model(file)
    assert isinstance(found, models.exported.ExportedModel)
    assert found.description.card == {"licence": "nobody's"}
    monkeypatch.setitem(DEFAULT_GATES, "fp32", Gates(consistency=0.9, cosine=1.5))
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(run), "--to", "pt2", "--json"])
    assert stopped.value.code == 1
    said, sentence = capsys.readouterr()
    record = json.loads(said)
    assert record["passed"] is False
    assert record["file"] == f"{file}.rejected"
    assert "is not the same model: every crop" in sentence
    assert models.load_model(file).fingerprint() == found.fingerprint()


def test_the_calibration_goes_with_the_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    network = ready()
    models.save_model(network, tmp_path / "run")
    calibration = a_calibration(network.fingerprint())
    calibration.save(tmp_path / "run" / NAME)
    folder = tmp_path / "exported"
    main(["export", str(tmp_path / "run"), "--to", "pt2", "--out", str(folder)])
    found = models.load_model(folder / "model.pt2")
    assert calibration_of(folder / "model.pt2", found.fingerprint()) == calibration
    assert calibration_of(folder, found.fingerprint()) == calibration
    (tmp_path / "run" / NAME).unlink()
    main(["export", str(tmp_path / "run"), "--to", "pt2", "--out", str(folder)])
    assert calibration_of(folder / "model.pt2", found.fingerprint()) is None


def a_calibration(fingerprint: str) -> Calibration:
    return Calibration(
        method="logistic", metric="cosine", knots=(), values=(10.0, -5.0), operating=(), reliability=(), cameras=(),
        log_loss=0.5, people=2, model=fingerprint,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [["--precision", "bf16"], ["--to", "tensorrt"], ["--to", "pt2", "--precision", "int8"]]
)
def test_what_is_not_offered_is_asked_wrongly(arguments: list[str], tmp_path: Path) -> None:
    models.save_model(ready(), tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main(["export", str(tmp_path), *arguments])
    assert stopped.value.code == 2
