"""Overlays follow the numbers they stand for, and a similarity is accounted for place by place."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from resight import models
from resight.cli.evaluation.explain import command
from resight.data import load_dataset
from resight.errors import ImageError, UsageError
from resight.explain.explain import drawn_people, explain, save_arrays
from resight.explain.panels import boxes, explanation_sheet, heat, ranging
from resight.explain.similarity_map import covered, support
from tests.people import write_people

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

SMALL = {"backbone": {"name": "resnet10", "width": 8}, "input_size": (64, 32)}
MODELS: dict[str, dict[str, Any]] = {
    "baseline": SMALL,
    "strong_baseline": SMALL,
    "verification": {**SMALL, "embedding": 16},
    "mancs": SMALL,
    "hacnn": {"input_size": (64, 32), "widths": (16, 16, 16), "dim": 16},
    "pyramid": {**SMALL, "input_size": (96, 32), "parts": 3, "width": 16},
    "mdpr": {**SMALL, "dim": 8},
    "pcb": {**SMALL, "input_size": (96, 32), "parts": 3, "dim": 8},
    "mgn": {**SMALL, "input_size": (96, 32), "dim": 8},
    "transreid": {"backbone": {"dim": 64, "depth": 2}, "input_size": (64, 32)},
}


def small(name: str, **options: Any) -> ReIDModel:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.build(name, 0, **{**MODELS[name], **options}).eval()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = write_people(tmp_path_factory.mktemp("people"), train_ids=2, test_ids=1, shots=1)
    return sorted((root / "bounding_box_train").iterdir())


def image(seed: int, size: tuple[int, int] = (64, 32)) -> torch.Tensor:
    return torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_has_something_to_show(name: str, pictures: list[Path]) -> None:
    for against in (None, pictures[2]):
        (shown,) = explain(small(name), pictures[:1], against, device="cpu")
        assert len(shown.panels) >= 2
        assert shown.arrays
        assert all(np.isfinite(array).all() for array in shown.arrays.values())
        assert all(panel.title for panel in shown.panels)


@pytest.mark.parametrize(("name", "options"), [
    ("mancs", {"attention": False}), ("mdpr", {"branches": "hard"}), ("hacnn", {"soft": "none"}),
])  # fmt: skip
def test_a_model_without_attention_shows_its_support(name: str, options: dict[str, Any], pictures: list[Path]) -> None:
    (shown,) = explain(small(name, **options), pictures[:1], device="cpu")
    assert "support" in shown.arrays


def test_average_pooling_accounts_for_the_whole_cosine() -> None:
    model, one, two = small("baseline"), image(1), image(2)
    found = support(model, one, two)
    with torch.no_grad():
        cosine = float(torch.cosine_similarity(model.embed(one), model.embed(two)))
    assert found.similarity == pytest.approx(cosine, abs=1e-5)
    assert found.placed == pytest.approx(cosine, abs=1e-5)
    assert float(found.map.sum()) == pytest.approx(cosine, abs=1e-5)
    assert support(model, one, one).similarity == pytest.approx(1, abs=1e-5)


def test_contributions_are_the_products_of_the_map_with_the_target() -> None:
    model, one, two = small("baseline"), image(1), image(2)
    assert isinstance(model.backbone, torch.nn.Module)
    with torch.no_grad():
        map, f, t = model.backbone(model.normalize(one)), model.embed(one), model.embed(two)
    by_hand = torch.einsum("chw,c->hw", map[0], t[0]) / map.shape[2] / map.shape[3] / f.norm() / t.norm()
    np.testing.assert_allclose(support(model, one, two).map, by_hand.numpy(), atol=1e-6)


def test_covering_points_to_the_place_that_matters() -> None:
    """A model that sees only the upper left corner falls only when that is covered."""

    class Corner(torch.nn.Module):
        def embed(self, images: torch.Tensor) -> torch.Tensor:
            return images[:, :, :4, :4].float().flatten(1)

    found = covered(Corner(), image(3), torch.nn.functional.normalize(Corner().embed(image(3))))  # type: ignore[arg-type]
    assert found.map[0, 0] > 0.01
    np.testing.assert_allclose(found.map[3:], 0, atol=1e-6)


def test_guidance_is_shown_with_and_without(pictures: list[Path]) -> None:
    model = small("mdpr")
    before = explain(model, pictures[:1], device="cpu")[0].arrays
    assert before["unguided/res4"].shape == before["attention/res4"].shape
    assert not np.allclose(before["unguided/res4"], before["attention/res4"])
    again = explain(model, pictures[:1], device="cpu")[0].arrays  # the hook is gone
    np.testing.assert_array_equal(again["attention/res4"], before["attention/res4"])
    assert "unguided/res4" not in explain(small("mdpr", guidance=False), pictures[:1], device="cpu")[0].arrays


def test_a_picture_against_itself_is_alike_in_every_stripe(pictures: list[Path]) -> None:
    (shown,) = explain(small("pyramid"), pictures[:1], pictures[0], device="cpu")
    assert shown.arrays["stripes"].shape == (6,)
    alike = shown.arrays["stripes"]
    assert np.all((np.abs(alike - 1) < 1e-5) | (alike == 0))  # 0: a branch that answers nothing
    assert [panel.title for panel in shown.panels][-2:] == ["stripes most alike", "the same in the hit"]


def test_an_overlay_is_bright_where_the_map_is_high() -> None:
    values = np.zeros((4, 2), np.float32)
    values[0, 0] = 0.75
    panel = heat(torch.full((1, 3, 64, 32), 128, dtype=torch.uint8), values, "map")
    drawn = np.asarray(panel.image, np.int64).sum(axis=2)
    assert drawn[8, 8] > drawn[-8, -8] + 100
    assert panel.note == "0 to 0.75"


def test_a_flat_map_is_given_away_by_its_range() -> None:
    assert ranging(0.4999, 0.5003) == "0.5 and 0.0004 above"
    assert ranging(0.5, 0.5) == "0.5 and 0 above"
    assert ranging(5e-44, 0.123456) == "0 to 0.123"


def test_a_box_is_drawn_where_the_window_is_even_half_outside() -> None:
    gray = torch.full((1, 3, 64, 32), 128, dtype=torch.uint8)
    corners = np.array([[[0.25, 0.5], [0.75, 0.75]], [[-0.5, -0.5], [0.5, 0.1]], [[2, 2], [3, 3]]], np.float32)
    drawn = np.asarray(boxes(gray, corners, "windows").image, np.int64)
    changed = (drawn != 128).any(axis=2)
    assert changed[128, 40:90].all()  # upper edge at half the height
    assert not changed[150:180, 50:80].any()  # nothing inside


def test_sheet_and_arrays(pictures: list[Path], tmp_path: Path) -> None:
    shown = explain(small("hacnn"), pictures[:2], device="cpu")
    sheet = explanation_sheet(shown, height=64, title="hacnn")
    assert sheet.height > 2 * 64
    save_arrays(shown, tmp_path / "explain.npz")
    kept = np.load(tmp_path / "explain.npz")
    assert kept["windows/1"].shape == (2, 4, 2, 2)
    assert kept["pictures"].tolist() == [str(path) for path in pictures[:2]]


def test_people_of_the_test_set_are_drawn_each_with_a_hit_from_elsewhere() -> None:
    sample = load_dataset("sample")
    who = {s.path: (s.pid, s.camid) for s in (*sample.query, *sample.gallery)}
    pairs = drawn_people(sample, 10, seed=3)
    assert len({who[query][0] for query, _ in pairs}) == 10
    for query, hit in pairs:
        assert who[query][0] == who[hit][0] > 0 and who[query][1] != who[hit][1]
    assert pairs == drawn_people(sample, 10, seed=3) != drawn_people(sample, 10, seed=4)
    with pytest.raises(UsageError, match="people in two cameras"):
        drawn_people(sample, 1000, seed=0)


def test_each_picture_is_held_against_its_own_hit(pictures: list[Path]) -> None:
    one, two = explain(small("pyramid"), pictures[:2], pictures[2:4], device="cpu")
    (alone,) = explain(small("pyramid"), pictures[1:2], pictures[3], device="cpu")
    np.testing.assert_array_equal(two.arrays["stripes"], alone.arrays["stripes"])
    assert not np.allclose(one.arrays["stripes"], two.arrays["stripes"])


def test_wrong_questions_are_answered_in_a_sentence(pictures: list[Path], tmp_path: Path) -> None:
    model = small("baseline")
    with pytest.raises(UsageError, match="give 1 to 64"):
        explain(model, [])
    with pytest.raises(UsageError, match="2 pictures and 1 hits"):
        explain(model, pictures[:2], pictures[:1])
    with pytest.raises(ImageError):
        explain(model, [tmp_path / "nobody.jpg"])
    with pytest.raises(UsageError, match="nothing to show"):
        explanation_sheet([])
    with pytest.raises(UsageError, match="32 to 1024"):
        explanation_sheet(explain(model, pictures[:1]), height=5)


def test_the_verb_writes_a_sheet_and_its_numbers(pictures: list[Path], tmp_path: Path) -> None:
    models.save_model(small("mancs"), tmp_path / "model.safetensors")
    asked = [str(tmp_path / "model.safetensors"), str(pictures[0]), "--out", str(tmp_path / "out"), "--device", "cpu"]
    done = CliRunner().invoke(command, asked, catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "out" / "explain.png").stat().st_size > 1000
    assert "conv2" in np.load(tmp_path / "out" / "explain.npz")


def test_without_a_run_it_is_written_where_results_about_the_model_are_kept(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(command, ["synth_small", str(pictures[0]), "--device", "cpu"], catch_exceptions=False)
    assert done.exit_code == 0 and (tmp_path / "runs" / "synth_small" / "explain" / "explain.png").is_file()


def test_one_command_shows_people_of_the_test_set(tmp_path: Path) -> None:
    file = str(models.save_model(small("pyramid"), tmp_path))

    def ask(*words: str) -> Any:
        return CliRunner().invoke(command, [file, *words, "--device", "cpu", "--json"], catch_exceptions=False)

    plain, held = (json.loads(ask("--people", "3", "--dataset", "sample", *more).stdout) for more in ((), ("--hits",)))
    assert plain["pictures"] == held["pictures"] and len(plain["pictures"]) == 3
    assert "stripes" in held["arrays"] and "stripes" not in plain["arrays"]
    for words, sentence in (
        ([], "say what to explain"), ([plain["pictures"][0], "--people", "3"], "say what to explain"),
        ([plain["pictures"][0], "--hits"], "--hits belongs to --people"), (["--people", "3"], "carries no recipe"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=sentence):
            ask(*words)
