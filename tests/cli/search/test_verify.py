"""`resight verify`: the model's own answer, the calibration's, or the similarity alone."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from click.testing import CliRunner

from resight import models
from resight.cli.search.verify import command
from resight.data.loading.decode import decode
from resight.errors import CheckpointError, DatasetError, EvaluationError, ImageError, ResightError, UsageError
from resight.evaluation import Calibration
from resight.evaluation.calibration.calibration import Operating
from tests.people import write_people

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

TRUNK = {"name": "resnet10", "width": 8}
SMALL: dict[str, dict[str, Any]] = {
    "baseline": {"input_size": (64, 32), "backbone": TRUNK},
    "pyramid": {"input_size": (96, 32), "backbone": TRUNK, "width": 8},
    "verification": {"input_size": (64, 32), "backbone": TRUNK, "embedding": 8},
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = write_people(tmp_path_factory.mktemp("people"))
    return sorted((root / "query").glob("*.jpg"))


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for name, options in SMALL.items():
        torch.manual_seed(0)
        models.save_model(models.build(name, 3, **options), folder / name)
    return {name: folder / name for name in SMALL}


def calibration(fingerprint: str, metric: Any, thresholds: tuple[float, float]) -> Calibration:
    """A logistic curve through one half at 0; two rates, the second the looser."""
    operating = tuple(Operating(r, t, r, 0.1, 0.0, 0.2) for r, t in zip((0.001, 0.01), thresholds, strict=True))
    return Calibration("logistic", metric, (), (2.0, 0.0), operating, (), (), 0.5, 10, fingerprint)


def call(*words: object) -> str:
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def asked(*words: object) -> Any:
    return json.loads(call(*words, "--json"))


def pixels(model: ReIDModel, path: Path) -> torch.Tensor:
    return torch.from_numpy(decode(path, model.input_size)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("name", SMALL)
def test_the_answer_is_the_models(name: str, homes: dict[str, Path], pictures: list[Path]) -> None:
    model = models.read_model(homes[name])
    with torch.inference_mode():
        expected = model.verify(pixels(model, pictures[0]), pixels(model, pictures[1]))
    said = asked(pictures[0], pictures[1], "--model", homes[name])
    assert said["similarity"] == pytest.approx(float(expected.similarity), abs=1e-5)
    if expected.probability is None:
        assert said["same"] is said["probability"] is said["calibrated"] is None
    else:
        assert said["probability"] == pytest.approx(float(expected.probability), abs=1e-5)
        assert (said["same"], said["by"]) == (said["probability"] >= 0.5, "model")


def test_without_a_calibration_nobody_can_tell(homes: dict[str, Path], pictures: list[Path]) -> None:
    text = call(pictures[0], pictures[1], "--model", homes["baseline"])
    assert text.startswith("same person: cannot tell  (similarity 0.")
    assert "resight calibrate" in text


def test_a_file_and_its_copy_show_one_person_whatever_is_calibrated(
    homes: dict[str, Path], pictures: list[Path], tmp_path: Path
) -> None:
    copy = shutil.copy(pictures[0], tmp_path / "copy.jpg")
    said = asked(pictures[0], copy, "--model", homes["baseline"])
    assert (said["same"], said["by"]) == (True, "equal files")
    assert call(pictures[0], copy, "--model", homes["baseline"]) == "same person: yes  (the two files are equal)\n"


def test_the_packaged_weights_answer_out_of_the_box(pictures: list[Path]) -> None:
    said = asked(pictures[0], pictures[1])
    assert said["by"] == "calibration" and said["same"] in (True, False) and said["fmr"] == 0.01


def test_no_answer_depends_on_the_current_folder(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = asked(*pictures[:2])
    for place in (tmp_path, tmp_path / "runs" / "synth_small"):
        place.mkdir(parents=True, exist_ok=True)
        calibration("other", "cosine", (0.99, 0.98)).save(place / "calibration.json")
    monkeypatch.chdir(tmp_path)
    assert asked(*pictures[:2]) == before


@pytest.mark.parametrize("name", ["baseline", "pyramid"])
def test_a_calibration_kept_with_the_model_decides(name: str, homes: dict[str, Path], pictures: list[Path]) -> None:
    """At the looser rate unless told otherwise; a distance counts as minus itself."""
    model = models.load_model(homes[name])
    plain = asked(pictures[0], pictures[1], "--model", homes[name])["similarity"]
    assert (plain < 0) == (model.metric == "euclidean")
    made = calibration(model.fingerprint(), model.metric, (plain + 0.01, plain - 0.01))
    made.save(homes[name] / "calibration.json")
    try:
        loose = asked(pictures[0], pictures[1], "--model", homes[name])
        strict = asked(pictures[0], pictures[1], "--model", homes[name] / "model.safetensors", "--fmr", "0.001")
        text = call(pictures[0], pictures[1], "--model", homes[name], "--fmr", "0.001")
        with pytest.raises(EvaluationError, match=r"0\.5; there are 0\.001, 0\.01"):
            call(pictures[0], pictures[1], "--model", homes[name], "--fmr", "0.5")
    finally:
        (homes[name] / "calibration.json").unlink()
    assert (loose["same"], loose["by"], loose["fmr"]) == (True, "calibration", 0.01)
    assert (strict["same"], strict["fmr"], strict["threshold"]) == (False, 0.001, pytest.approx(plain + 0.01))
    assert loose["calibrated"] == pytest.approx(float(made.probability(plain)))
    assert text.startswith("same person: no  (") and "a false-match rate of 0.001" in text


def test_a_siamese_answer_stands_above_the_calibration(homes: dict[str, Path], pictures: list[Path]) -> None:
    model, file = models.load_model(homes["verification"]), homes["verification"] / "other.json"
    said = asked(pictures[0], pictures[1], "--model", homes["verification"])
    never = calibration(model.fingerprint(), "cosine", (2.0, 2.0) if said["same"] else (-2.0, -2.0))
    never.save(file)
    both = asked(pictures[0], pictures[1], "--model", homes["verification"], "--calibration", file)
    assert (both["same"], both["by"]) == (said["same"], "model")
    assert both["calibrated"] is not None and both["threshold"] in (2.0, -2.0)
    replace(never, model="somebody else").save(file)
    with pytest.raises(CheckpointError, match="made for another model"):
        call(pictures[0], pictures[1], "--model", homes["verification"], "--calibration", file)


def test_a_file_of_pairs_is_answered_line_by_line(homes: dict[str, Path], pictures: list[Path], tmp_path: Path) -> None:
    rows = [(0, 1), (0, 0), (1, 0)]
    lines = [f"{pictures[a]},{pictures[b]}" for a, b in rows]
    (tmp_path / "pairs.csv").write_text("\n".join(["a,b", *lines]))
    answers = asked("--pairs", tmp_path / "pairs.csv", "--model", homes["verification"], "--batch", 2)
    assert [(each["a"], each["b"]) for each in answers] == [(str(pictures[a]), str(pictures[b])) for a, b in rows]
    one = asked(pictures[0], pictures[1], "--model", homes["verification"])
    assert answers[0] == pytest.approx(one, abs=1e-5)
    assert answers[1]["similarity"] == pytest.approx(1.0, abs=1e-5)
    assert answers[2]["similarity"] == pytest.approx(answers[0]["similarity"], abs=1e-5)
    assert call("--pairs", tmp_path / "pairs.csv", "--model", homes["verification"]).count("same person: ") == 3


def test_wrong_questions_get_a_sentence(homes: dict[str, Path], pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "columns.csv").write_text("left,right\nx,y\n")
    (tmp_path / "empty.csv").write_text("a,b\n")
    for words, kind, sentence in (
        (pictures[:1], UsageError, "1 pictures given; give two"),
        ([*pictures[:2], "--pairs", tmp_path / "empty.csv"], UsageError, "with --pairs alone"),
        ([pictures[0], tmp_path / "none.jpg"], UsageError, "there is no picture"),
        ([pictures[0], tmp_path / "broken.jpg"], ImageError, "broken.jpg"),
        (["--pairs", tmp_path / "columns.csv"], DatasetError, "has no column a or b"),
        (["--pairs", tmp_path / "empty.csv"], DatasetError, "has no rows"),
        ([*pictures[:2], "--fmr", "0.01"], UsageError, "--fmr needs a calibration"),
    ):
        with pytest.raises(kind, match=sentence) as caught:
            call(*words, "--model", homes["baseline"])
        assert isinstance(caught.value, ResightError)
