"""The adaptation: statistics taken anew, training on clusters, a look at the result."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight import models
from resight.adapt.batch_statistics import retake_statistics
from resight.adapt.plan import plan_for, recipe_for, resized, together
from resight.adapt.result_checks import advice
from resight.clustering import require_scikit_learn
from resight.data import load_dataset, open_pixels
from resight.dist import rank
from resight.dist.processes import local_rank_zero_first, on_rank_zero, process_group
from resight.errors import CheckpointError, DatasetError, TrainingError
from resight.files import refuse_own_weights, write_text
from resight.inference import Extractor, embed_samples, evaluate, resolve_device
from resight.inference.search import search
from resight.recipe import Recipe
from resight.reporting.adaptation import answer_changes, changes_by_epoch
from resight.run import Run, train
from resight.training.monitoring.progress import Silent, progress_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from resight.data import Dataset
    from resight.models import ReIDModel
    from resight.training.monitoring.progress import Display

START, RECORD = "start.safetensors", "adaptation.json"
FEWEST_PICTURES = 16


@dataclass(frozen=True)
class Adaptation:
    """A finished adaptation: its run, and signs of a bad result."""

    run: Run
    record: Mapping[str, Any]

    @cached_property
    def model(self) -> ReIDModel:
        return self.run.model

    @property
    def advice(self) -> list[str]:
        """Sentences; none where the result is recommended."""
        return list(self.record["advice"])

    @property
    def recommended(self) -> bool:
        return not self.advice


def adapt(
    model: str | Path,
    pictures: Dataset,
    out: str | Path,
    *,
    recipe: str | Path | None = None,
    settings: Sequence[str] = (),
    keep: Dataset | None = None,
    statistics_only: bool = False,
    device: str = "auto",
    fresh: bool = False,
    display: Display | None = None,
) -> Adaptation:
    """Train `model` on without labels, into the folder `out`; the same call goes on where an earlier one stopped.

    Args:
        model: a run folder, a weights file, a packaged name or a hub id.  It stays as it is.
        pictures: from `crops`; of any data set the training pictures, their labels unread.
        out: run folder; beside what every run leaves there: start.safetensors, the weights with statistics taken anew,
            and adaptation.json, what is known of the result.
        recipe: the method; its `[model]` is replaced by that of `model`.  None: `recipe_for(pictures)`.
        settings: changes to the recipe, as `Recipe.override` takes them; "model.input_size=[192, 96]" goes on with
            larger pictures.
        keep: a data set whose training pictures and their persons go on being learned, as half of every batch.
        statistics_only: stop before any weight is changed.
        device: auto, cpu, cuda, cuda:N or mps.
        fresh: throw away an earlier run in `out` first.
        display: shows the progress.

    Raises:
        DatasetError: too few pictures.
        TrainingError: the pictures show too few people to tell apart.
        Interrupted: stopped on request, with everything saved.
    """
    folder = Path(out)
    refuse_own_weights(model, folder)
    if not statistics_only:
        require_scikit_learn()
    with process_group(device):
        shown = display if display is not None and rank() == 0 else Silent()
        source = models.load_model(model, num_ids=0)
        if len(pictures.train) < FEWEST_PICTURES:
            raise DatasetError(
                f"{pictures.root} holds {len(pictures.train)} pictures; adapting needs at least {FEWEST_PICTURES}, and "
                f"learns from some thousands. Use the model as it is."
            )
        plan = plan_for(
            source, Recipe.load(recipe or recipe_for(pictures)), settings, len(pictures.train), keep=keep is not None
        )
        start = _start(source, plan, pictures, folder, device, shown, fresh=fresh)
        if statistics_only:
            return _statistics_only(source, start, pictures, folder, plan, device)
        try:
            shows = pictures if keep is None else together(pictures, keep)
            run = train(plan, folder, device=device, fresh=fresh, display=shown, dataset=shows, start=start)
        except TrainingError as error:
            raise type(error)(f"{error} {folder / START} has the statistics of these pictures alone.") from error
        return _recorded(run, source, pictures, device, keep)


def ask(
    source: ReIDModel,
    result: ReIDModel,
    pictures: Dataset,
    queries: Sequence[Path],
    *,
    k: int = 10,
    device: str = "auto",
) -> list[dict[str, Any]]:
    """What is found for some queries by the model before and after the adaptation.

    Args:
        source: the model before.
        result: the model after.
        pictures: those to search in.
        queries: picture files.
        k: hits a query.
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        An entry a query; see `resight.reporting.adaptation.answer_changes`.

    Raises:
        ImageError: a query cannot be read.
    """
    found = []
    for model in (source, result):
        extractor = Extractor(model, device)
        gallery, _ = embed_samples(extractor, pictures.train, pictures.root)
        found.append([answer.to_dict() for answer in search(extractor, list(queries), gallery, k)])
    return answer_changes(*found)


def _start(
    source: ReIDModel, plan: Recipe, pictures: Dataset, folder: Path, device: str, display: Display, *, fresh: bool
) -> ReIDModel:
    """The model with statistics taken anew, from the folder where an earlier call left it."""
    kept = folder / START
    record = _record(folder)
    if kept.is_file() and not fresh:
        if record.get("source") != source.fingerprint():
            raise CheckpointError(
                f"{folder} holds an adaptation of another model. Choose another --out, or give --fresh to throw that "
                f"one away."
            )
        return models.load_model(kept, num_ids=0)
    chosen, start = resolve_device(device), resized(source, plan.model.options["input_size"])
    with progress_of(display, "taking statistics", len(pictures.train)) as advance:
        pixels = local_rank_zero_first(
            lambda: open_pixels(
                pictures.train,
                start.input_size,
                mode=plan.data.pixels,
                interpolation=start.interpolation,
                device=chosen,
                progress=lambda done, _: advance(done),
            )
        )
    retake_statistics(start, pixels, chosen, seed=plan.seed)
    on_rank_zero(lambda: models.save_model(start.cpu(), kept))
    on_rank_zero(lambda: _write(folder, {"source": source.fingerprint(), "labels_used": 0, "advice": []}))
    return start


def _statistics_only(
    source: ReIDModel, start: ReIDModel, pictures: Dataset, folder: Path, plan: Recipe, device: str
) -> Adaptation:
    """The weights as they are, their statistics of the pictures: a run folder without a run."""
    on_rank_zero(lambda: models.save_model(start, folder))
    text = plan.to_toml()
    on_rank_zero(lambda: write_text(folder / "recipe.toml", text))
    card = {"recipe": plan.name, "adapted": "batch statistics only", "data": _data(pictures, len(pictures.train))}
    text_of_card = json.dumps(card, indent=1)
    on_rank_zero(lambda: write_text(folder / "card.json", text_of_card))
    return _recorded(Run(folder), source, pictures, device)


def _recorded(run: Run, source: ReIDModel, pictures: Dataset, device: str, keep: Dataset | None = None) -> Adaptation:
    """Looks at the result without labels of the pictures, and writes down what it finds."""
    clusterings = [line for line in run.journal if line["event"] == "clusters"]
    sample = load_dataset("sample")
    scores = [evaluate(model, sample, device=device).report.mAP for model in (source, run.model)]
    record = {
        "source": source.fingerprint(),
        "result": run.model.fingerprint(),
        **_data(pictures, len(pictures.train)),
        **({} if keep is None else {"kept": {"name": keep.name, "labels": run.card["data"]["labels_used"]}}),
        "first": clusterings[0] if clusterings else None,
        "last": clusterings[-1] if clusterings else None,
        "changes": changes_by_epoch(run.folder),
        "bundled_people_mAP": {"before": round(scores[0], 4), "after": round(scores[1], 4)},
        "advice": advice(clusterings, len(pictures.train), scores[0], scores[1]),
    }
    on_rank_zero(lambda: _write(run.folder, record))
    return Adaptation(run, record)


def _data(pictures: Dataset, count: int) -> dict[str, Any]:
    return {"name": pictures.name, "version": pictures.version, "pictures": count, "labels_used": 0}


def _record(folder: Path) -> dict[str, Any]:
    """What an earlier call wrote; nothing where there is none, or it is damaged."""
    try:
        found: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return {}


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    text = json.dumps(record, indent=1)
    write_text(folder / RECORD, text + "\n")
