from __future__ import annotations

from pathlib import Path

import pytest

from resight.errors import RecipeError, UnknownNameError
from resight.recipe import Recipe, recipes
from resight.training.optimization.optimizer import OptimConfig

SMALL = """
name = "small"
[data]
name = "folder"
root = "somewhere"
val_folds = 3
[model]
name = "baseline"
[model.backbone]
name = "resnet18"
[[objective.terms]]
name = "id"
loss = "cross_entropy"
on = "logits.identity"
label_smoothing = 0.1
[feed.main]
sampler = "random"
batch_size = 8
[optim]
lr = 1e-4
"""


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_reads_and_writes_itself(name: str) -> None:
    recipe = Recipe.load(name)
    assert recipe.name == name
    assert recipe.about
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert Recipe.from_toml(recipe.to_toml()).hash == recipe.hash


def test_keys_of_no_piece_are_options_of_the_named_thing() -> None:
    recipe = Recipe.from_toml(SMALL)
    assert recipe.data.options == {"val_folds": 3}
    assert recipe.model.options == {"backbone": {"name": "resnet18"}}
    assert recipe.objective.terms[0].options == {"label_smoothing": 0.1}
    assert recipe.optim.lr == 1e-4
    assert recipe.feed["main"].size == 8


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("optim.lrr=1", r"optim.lrr: .*Did you mean 'lr'"),
        ("optim.name=sdg", r"optim.name: found 'sdg'; input should be 'sgd', 'adam' or 'adamw'"),
        ("optim.lr=fast", r"optim.lr: found 'fast'; input should be a valid number"),
        ("feed.main.ids=[1]", r"feed.main.ids: .*found \[1\]"),
        ("objective.terms.triplet.margin=1", r"no item 'triplet'; there are id"),
        ("schedule.name.x=1", r"schedule.name is a single value"),
        ("trian.epochs=1", r"trian: there is no such table; known here: name"),
        ("epochs", "found no KEY=VALUE; expected such as train.epochs=80"),
        ("augment.flip=yes", r"augment.flip"),
        ("optim.bettas=", r"optim.bettas: there is nothing to take away; known here: .*betas"),
        ("objective.terms.triplet=", r"no item 'triplet'; there are id"),
    ],
)
def test_a_wrong_override_names_the_key_and_the_choices(setting: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        Recipe.from_toml(SMALL).override(setting)


@pytest.mark.parametrize(
    "setting",
    [
        "optim.lr=-1", "optim.lr=nan", "optim.betas=[2, 3]", "optim.momentum=1", "optim.clip_norm=-1",
        "optim.clip_norm=0", "optim.weight_decay=-1", "optim.groups=[{match='*', lr=-1}]",
        "optim.groups=[{match='*', lr_scale=-1}]", "schedule.warmup=nan", "schedule.warmup_factor=-1",
        "schedule.gamma=-1", "schedule.floor=-1", "schedule.milestones=[-1]", "feed.main.ids=0", "feed.main.images=0",
        "feed.main.batch_size=0", "feed={}", "train.epochs=0", "train.steps_per_epoch=0", "train.log_every=0",
        "train.ema=1", "train.save_seconds=nan", "train.gradient_cache=-1", "train.recover=-1",
        "train.recover_factor=1.5", "validate.fraction=1", "validate.every=0",
        "labels.every=0", "objective.weighting={alpha=0}", "objective.weighting={max_hold=0}",
    ],
)  # fmt: skip
def test_a_number_that_makes_no_sense_is_refused_with_its_key(setting: str) -> None:
    with pytest.raises(RecipeError, match="^" + setting.partition("=")[0].replace(".", r"\.")):
        Recipe.from_toml(SMALL).override(setting)


def test_overrides_set_one_value_and_leave_the_recipe_alone() -> None:
    recipe = Recipe.from_toml(SMALL)
    changed = recipe.override(
        "optim.lr=2e-4",
        "objective.terms.id.label_smoothing=0",
        "objective.terms.0.weight=3",
        "data.root=/with space/x",
        "train.epochs=7",
        "model.backbone.name=resnet34",
    )
    assert changed.optim.lr == 2e-4
    assert changed.objective.terms[0].options["label_smoothing"] == 0
    assert changed.objective.terms[0].weight == 3
    assert changed.data.root == "/with space/x"
    assert changed.train.epochs == 7
    assert changed.model.options["backbone"]["name"] == "resnet34"
    assert recipe == Recipe.from_toml(SMALL)


def test_a_key_without_a_value_is_taken_away() -> None:
    recipe = Recipe.from_toml(SMALL)
    changed = recipe.override("objective.terms.id.label_smoothing=", "optim.lr=", "data.val_folds=", "model.backbone=")
    assert changed.objective.terms[0].options == changed.data.options == changed.model.options == {}
    assert changed.optim.lr == OptimConfig().lr
    two = recipe.override("feed.other={sampler='random'}")
    assert list(two.feed) == ["main", "other"]
    assert two.override("feed.other=") == recipe
    assert recipe.override("objective.terms.id=").objective.terms == ()
    assert recipe.override('about=""').about == ""


def test_an_exchanged_loss_keeps_the_options_it_has_too() -> None:
    recipe = Recipe.load("strong_baseline_market1501")
    old = next(term for term in recipe.objective.terms if term.name == "triplet")
    assert "margin" in old.options
    circle = recipe.override("objective.terms.triplet.scale=30", "objective.terms.triplet.loss=pairwise_circle")
    (term,) = [term for term in circle.objective.terms if term.name == "triplet"]
    assert (term.loss, term.options) == ("pairwise_circle", {"margin": old.options["margin"], "scale": 30})
    identity = recipe.override(
        "objective.terms.triplet.loss=cross_entropy", "objective.terms.triplet.on=logits.identity"
    )
    assert next(term for term in identity.objective.terms if term.name == "triplet").options == {}


def test_an_exchanged_model_or_data_set_keeps_the_options_it_has_too() -> None:
    recipe = Recipe.from_toml(SMALL).override("model.pooling=gem", "model.input_size=[64, 32]")
    assert recipe.override("model.name=hacnn").model.options == {"input_size": [64, 32]}
    assert recipe.override("model.name=strong_baseline").model.options == recipe.model.options
    boxes = Recipe.from_toml(SMALL).override("data.val_folds=", "data.name=cuhk03").override("data.boxes=labeled")
    assert boxes.data.options == {"boxes": "labeled"}
    assert boxes.override("data.name=msmt17").data.options == {}


@pytest.mark.parametrize("written", ['backbone = "resnet18"', ""])
def test_a_group_is_reached_however_it_was_written(written: str) -> None:
    text = SMALL.replace('[model.backbone]\nname = "resnet18"\n', written + "\n")
    recipe = Recipe.from_toml(text).override("model.backbone.width=32", "model.backbone.name=resnet34")
    assert recipe.model.options["backbone"] == {"name": "resnet34", "width": 32}


@pytest.mark.parametrize("text", ["2024-05-01", "2024", "1e5", "true", "07:32:00", "a=b", "[x", "with space/ä"])
def test_text_stays_text(text: str) -> None:
    recipe = Recipe.from_toml(SMALL).override(f"data.root={text}", f"name={text}", f"objective.terms.id.target={text}")
    assert (recipe.data.root, recipe.name, recipe.objective.terms[0].target) == (text, text, text)
    reader = Recipe.from_toml(SMALL).override("data.name=csv", f"data.images={text}")
    assert reader.data.options["images"] == text
    assert Recipe.from_toml(SMALL).override(f'data.root="{text}"').data.root == text


def test_the_hash_follows_the_method_not_the_place_of_the_data() -> None:
    recipe = Recipe.from_toml(SMALL)
    assert recipe.override("data.root=elsewhere", "about=words").hash == recipe.hash
    assert recipe.override("optim.lr=2e-4").hash != recipe.hash
    assert recipe.override("seed=1").hash != recipe.hash


def test_an_unknown_recipe_is_answered_with_the_known() -> None:
    with pytest.raises(UnknownNameError, match="strong_baseline_sample"):
        Recipe.load("strong_baselin_sample")


def test_a_missing_file_and_a_broken_file_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no recipe file"):
        Recipe.load(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(RecipeError, match="is not TOML"):
        Recipe.load(tmp_path / "broken.toml")


def test_a_run_of_an_earlier_version_means_what_it_meant(tmp_path: Path) -> None:
    plan = Recipe.load("pyramid_market1501").override("objective.weighting.combine=normalized")
    (tmp_path / "recipe.toml").write_text(plan.to_toml().replace('"normalized"', '"normalised"'))
    assert Recipe.of_run(tmp_path) == plan
    with pytest.raises(RecipeError, match="normalized"):
        Recipe.load(tmp_path / "recipe.toml")


@pytest.mark.parametrize(("method", "hash"), [("bilinear", "b77c81a10760"), ("bicubic", "b1a378d29cce")])
def test_how_pictures_are_resized_stood_among_the_data_once(method: str, hash: str, tmp_path: Path) -> None:
    plan = Recipe.from_toml(SMALL).override(*([] if method == "bilinear" else [f"model.interpolation={method}"]))
    text = plan.to_toml().replace(f'interpolation = "{method}"\n', "")
    (tmp_path / "recipe.toml").write_text(text.replace("[data]\n", f'[data]\ninterpolation = "{method}"\n'))
    assert Recipe.of_run(tmp_path) == plan
    assert Recipe.of_run(tmp_path).hash == plan.hash == hash
    with pytest.raises(RecipeError, match=r"^data\.interpolation: .* now called 'model\.interpolation'"):
        Recipe.load(tmp_path / "recipe.toml")
