"""What an adaptation trains on: pictures without labels, and the recipe with the model's own network."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from resight import losses, models
from resight.data import Dataset
from resight.errors import CheckpointError, DatasetError, RecipeError
from resight.inference.image_sources import find, with_cameras
from resight.models.files.fitting import without_sources
from resight.options import setting
from resight.recipe import Recipe
from resight.types import UNKNOWN_CAMERA, UNKNOWN_PID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.models import ReIDModel

FEWEST_STEPS = 20  # an epoch, where the recipe does not say: few crops are shown often before they are grouped anew
WITHOUT_CAMERAS, WITH_CAMERAS = "cluster_contrast_small", "cluster_contrast_cameras_small"
OF_THE_MODEL = ("model.input_size", "model.second")  # what of the network a setting may change
FEWEST_KEPT = 2  # persons of a data set to keep


def crops(source: str | Path, camera: str | None = None) -> Dataset:
    """Pictures without labels as a data set to adapt to: persons that a table names are dropped.

    Args:
        source: a folder, a CSV with `path` (and `camid`, `frame` if known), or a text list.
        camera: finds the camera in file names, as "_c(\\d+)".
    """
    samples, root = find(Path(source))
    unnamed = [replace(sample, pid=UNKNOWN_PID, split="train") for sample in with_cameras(samples, root, camera)]
    return Dataset("crops", Path(source).resolve().name, root, train=tuple(unnamed), terms="the pictures' owner's")


def together(pictures: Dataset, kept: Dataset) -> Dataset:
    """Pictures without labels, and a data set whose training pictures keep their persons.

    Args:
        pictures: from `crops`.
        kept: its cameras are numbered after those of `pictures`.

    Raises:
        DatasetError: `kept` has fewer than two persons to train on.
    """
    first = max(sample.camid for sample in pictures.train) + 1
    known = [sample for sample in kept.train if sample.pid > 0]
    if len({sample.pid for sample in known}) < FEWEST_KEPT:
        raise DatasetError(
            f"{kept.name}: {len(known)} training pictures of known persons in {kept.root}; keeping what a model knows "
            f"needs at least {FEWEST_KEPT} persons."
        )
    moved = [sample if sample.camid < 0 else replace(sample, camid=first + sample.camid) for sample in known]
    return replace(pictures, train=(*pictures.train, *moved), version=f"{pictures.version} and {kept.name}")


def recipe_for(pictures: Dataset) -> str:
    """Name of the recipe for a processor: with camera proxies where every picture's camera is known."""
    cameras = {sample.camid for sample in pictures.train}
    return WITH_CAMERAS if len(cameras) > 1 and UNKNOWN_CAMERA not in cameras else WITHOUT_CAMERAS


def plan_for(
    source: ReIDModel, recipe: Recipe, settings: Sequence[str], pictures: int, *, keep: bool = False
) -> Recipe:
    """The recipe with the model of `source` and a memory for each feature it compares by.

    Terms without a memory stay on the output they name where the recipe is written for this network.

    Args:
        source: the model to adapt.
        recipe: the method.
        settings: changes to the recipe; of its `[model]` those in OF_THE_MODEL alone.
        pictures: how many there are.
        keep: half of every batch is of a labelled data set.

    Raises:
        RecipeError: a setting changes the network itself.
    """
    of_model = [text for text in settings if setting(text)[0].split(".")[0] == "model"]
    for path in (setting(text)[0] for text in of_model):
        if path not in OF_THE_MODEL:
            raise RecipeError(
                f"{path}: the network is that of the model adapted; of it, set " + " or ".join(OF_THE_MODEL) + "."
            )
    recipe = recipe.override(*(text for text in settings if text not in of_model))
    values = recipe.to_dict()
    values["model"] = {"name": source.spec.name, "second": recipe.model.second, **source.spec.options}
    names, same = source.retrieval, recipe.model.name == source.spec.name
    values["objective"]["terms"] = [
        {**term, "name": term["name"] + (f"/{name}" if len(names) > 1 else ""), "on": f"features.{name}"}
        if issubclass(losses.LOSSES[term["loss"]], losses.PseudoLabelLoss) or not same
        else term
        for term in values["objective"]["terms"]
        for name in names
    ]
    values["labels"]["keep"] = keep
    if recipe.train.steps_per_epoch is None:
        batch_size = next(iter(recipe.feed.values())).size // (2 if keep else 1)
        values["train"]["steps_per_epoch"] = max(pictures // batch_size, FEWEST_STEPS)
    return Recipe.from_dict(values).override(
        *(text for text in of_model if setting(text)[1])
    )  # without a value: as the model has it


def resized(model: ReIDModel, size: tuple[int, int]) -> ReIDModel:
    """A copy that takes pictures of another size (H, W), in pixels.

    Raises:
        CheckpointError: the weights are for one size alone, as learned positions are.
    """
    if size == model.input_size:
        return copy.deepcopy(model)
    options = {**model.spec.options, "input_size": size}
    copied = models.build(model.spec.name, num_ids=0, **without_sources(options))
    try:
        copied.load_state_dict(model.state_dict())
    except RuntimeError as error:
        (height, width), (tall, wide) = model.input_size, size
        raise CheckpointError(
            f"model.input_size: weights of {model.spec.name} for {height} x {width} pixels do not fit {tall} x {wide}."
        ) from error
    return copied.eval()
