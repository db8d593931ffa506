"""`resight import`: a run folder with its card, nothing dropped in silence, and what starts from it."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from resight import models
from resight.assembly import starting_model
from resight.checkpoint_import import import_checkpoint
from resight.cli.models.import_ import FAMILIES, command
from resight.data import Dataset
from resight.errors import CheckpointError, UsageError
from resight.models import checkpoints
from resight.recipe import Recipe, starting_weights
from resight.run import Run
from resight.types import Sample
from tests.models.checkpoints.peers import record, state

OPTIONS: dict[str, Any] = {"input_size": [64, 32], "backbone": {"stride": 12}}
SET = ("--set", "input_size=[64,32]", "--set", "backbone.stride=12")


@pytest.fixture
def peer() -> dict[str, Tensor]:
    """TransReID with jigsaw and three cameras."""
    return state(record("transreid_full"))


def saved(tensors: dict[str, Any], folder: Path) -> Path:
    torch.save(tensors, folder / "peer.pth")
    return folder / "peer.pth"


def test_a_run_folder_with_its_card(peer: dict[str, Tensor], tmp_path: Path) -> None:
    file = saved(peer, tmp_path)
    out = tmp_path / "run"
    result = CliRunner().invoke(command, [str(file), "--from", "transreid", "--out", str(out), *SET])
    assert result.exit_code == 0, result.output
    assert "14 because the last block lives on in two copies" in result.output
    run = Run.open(out)
    imported = run.card["imported"]
    assert (imported["family"], imported["arch"], imported["code_licence"]) == ("transreid", "transreid", "MIT")
    assert imported["tensors_used"] + len(imported["tensors_dropped"]) == len(peer)
    assert len(imported["sha256"]) == 64
    assert "unknown" in run.card["data"]["terms"]
    assert "research only" in run.card["licence"]
    assert run.recipe.model.name == "transreid"
    assert run.recipe.model.options["cameras"] == 3
    images = torch.rand(1, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(run.model.embed(images), models.load_model(out).embed(images))
    with pytest.raises(UsageError, match="holds a run already"):
        import_checkpoint(file, out, options=OPTIONS)


def test_what_the_weights_saw_is_the_users_word(peer: dict[str, Tensor], tmp_path: Path) -> None:
    words = [str(saved(peer, tmp_path)), "--out", str(tmp_path / "run"), "--data", "Market-1501, research only", *SET]
    result = CliRunner().invoke(command, [*words, "--json"])
    assert json.loads(result.stdout)["data"]["name"] == "Market-1501, research only"


@pytest.mark.parametrize("name", ["base.blocks.0.gate.weight", "base.sie_embed_2", "head.extra.weight"])
def test_a_tensor_without_a_place_is_an_error(name: str, peer: dict[str, Tensor], tmp_path: Path) -> None:
    file = saved(peer | {name: torch.ones(3)}, tmp_path)
    with pytest.raises(CheckpointError, match=rf"1 without a place \({name}\).*never dropped"):
        import_checkpoint(file, tmp_path / "run", options=OPTIONS)
    assert not (tmp_path / "run").exists()


def test_a_missing_or_misshapen_tensor_is_an_error(peer: dict[str, Tensor], tmp_path: Path) -> None:
    del peer["b2.1.weight"]
    peer["bottleneck.weight"] = torch.ones(7)
    with pytest.raises(CheckpointError, match=r"of another shape \(bottleneck.weight.*1 missing \(local.1.weight\)"):
        checkpoints.convert(saved(peer, tmp_path), **OPTIONS)


def test_non_local_blocks_and_cameras_are_never_lost(tmp_path: Path) -> None:
    """The two that used to vanish with a line in the log: each moves the descriptor, so each must be there."""
    file = saved(
        {"model": {k: t for k, t in state(record("transreid_full")).items() if k != "base.sie_embed"}}, tmp_path
    )
    without = checkpoints.convert(file, **OPTIONS).model
    with_cameras = checkpoints.convert(saved(state(record("transreid_full")), tmp_path), **OPTIONS).model
    with torch.no_grad():
        images = torch.rand(1, 3, 64, 32)
        assert not torch.allclose(without.embed(images), with_cameras.embed(images), rtol=1e-3)
    agw = state(record("fastreid_agw"))
    plan = checkpoints.FAMILIES["fastreid"].plan(agw, None, {})
    moved = {plan.rename(name) for name in agw if ".NL_" in name}
    assert len([name for name in moved if name.startswith("backbone.non_local.")]) == len(moved) == 60
    assert all(plan.reason(name) is None for name in agw if ".NL_" in name)


def test_the_wrong_family_and_the_wrong_network(peer: dict[str, Tensor], tmp_path: Path) -> None:
    file = saved(peer, tmp_path)
    with pytest.raises(CheckpointError, match="not the names of a network of fast-reid that has a home here"):
        checkpoints.convert(file, "fastreid")
    with pytest.raises(CheckpointError, match="is transreid by its tensors, not vit_base"):
        checkpoints.convert(file, "transreid", "vit_base", **OPTIONS)
    with pytest.raises(CheckpointError, match=r"10 patches: 0 of the usual .* --set input_size"):
        checkpoints.convert(file)
    with pytest.raises(CheckpointError, match="names of no project known here: torchreid"):
        checkpoints.convert(saved({"a.b": torch.ones(2)}, tmp_path))


def test_the_verb_knows_the_families() -> None:
    assert set(FAMILIES) == set(checkpoints.FAMILIES)


def test_numpy_scalars_beside_the_weights_are_read(peer: dict[str, Tensor], tmp_path: Path) -> None:
    """deep-person-reid saves its score as one."""
    import numpy as np

    kept = {"state_dict": peer, "rank1": np.float64(0.942), "mAP": np.float32(0.8), "epoch": 3}
    assert checkpoints.convert(saved(kept, tmp_path), **OPTIONS).used == 77


def test_pickled_modules_are_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2), tmp_path / "whole.pth")
    with pytest.raises(CheckpointError, match="save the state dict alone"):
        checkpoints.convert(tmp_path / "whole.pth")


def people(folder: Path) -> Dataset:
    pictures = [Sample(folder / f"{pid}_{n}.jpg", pid, 1, "train", "made") for pid in (1, 2, 3) for n in range(2)]
    return Dataset("made", "", folder, train=tuple(pictures))


def test_a_recipe_starts_from_imported_weights(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    peer = state(record("strong_baseline"))
    run = import_checkpoint(saved(peer, tmp_path), tmp_path / "run", options={"input_size": [64, 32]})
    recipe = Recipe.load("strong_baseline_market1501").override(
        "model.backbone.pretrained=false", "model.input_size=[64, 32]", f'model.weights="{run.folder}"'
    )
    assert recipe.starts_from == str(run.folder)
    model = starting_model(recipe, people(tmp_path))
    own = model.state_dict()
    torch.testing.assert_close(own["backbone.layer1.0.conv1.weight"], peer["base.layer1.0.conv1.weight"])
    assert own["classifier.weight"].shape == (3, 2048)
    assert own["classifier.weight"].abs().sum() > 0  # freshly drawn
    assert "stem_relu" in caplog.text  # the recipe's stem has a ReLU, the weights' has none
    straight = recipe.override(f'model.weights="{tmp_path / "peer.pth"}"')  # the file itself does as well
    again = starting_model(straight, people(tmp_path)).state_dict()
    assert torch.equal(again["neck.weight"], own["neck.weight"])


def test_the_list_says_what_each_recipe_starts_from() -> None:
    named = {
        name: starting_weights(name)
        for name in (
            "strong_baseline_market1501", "hacnn_market1501", "mdpr_market1501", "solider_market1501",
            "clip_reid_market1501", "osnet_x1_0_msmt17",
        )
    }  # fmt: skip
    assert list(named.values()) == ["ImageNet", "scratch", "your file", "your file", "CLIP", "scratch or a file"]
    backbone = 'model.backbone={name = "tf_efficientnet_lite0", pretrained = "efficientnet_lite0"}'
    assert Recipe.load("baseline_sample").override(backbone).starts_from == "efficientnet_lite0"


def test_runs_of_before_keep_their_hash() -> None:
    recipe = Recipe.load("strong_baseline_sample")
    assert recipe.hash != recipe.override("model.weights=synth_small").hash
    assert "weights" not in recipe.to_toml().split("[model.backbone]")[0]
