"""A run's data set, its evaluations and its calibration: where they are read from and written to."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.cli.common.params import HUB_ID, packaged_weights
from resight.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.data import Dataset
    from resight.evaluation import Calibration
    from resight.inference import Result
    from resight.run import Run


def dataset_for(
    run: Path, name: str | None, root: Path | None, options: Mapping[str, object]
) -> tuple[Dataset, dict[str, Any]]:
    """The data set to evaluate on, and what the result record says of the run.

    Args:
        run: a run folder, or weights.
        name: the data set; default: the recipe's.
        root: its folder; default: the recipe's.
        options: of the reader; where the recipe names the data set, they replace those it has.

    Returns:
        The data set, and the recipe's name, hash and seed.
    """
    from resight.data import load_dataset
    from resight.run import Run

    context: dict[str, Any] = {"weights": run.name}
    where: str | Path | None = root
    if (run / "recipe.toml").is_file():
        opened = Run.open(run)
        recipe = opened.recipe
        context = {"run": run.name, "recipe": recipe.name, "recipe_hash": recipe.hash, "seed": recipe.seed}
        if name is None:
            name, where = recipe.data.name, root or _root_of(opened)
            options = {**recipe.data.options, **options}
    if name is None:
        raise UsageError(f"{run} carries no recipe; say what to evaluate on with --dataset NAME --root FOLDER.")
    dataset = load_dataset(name, where, **options)
    return dataset, context | {"root": str(dataset.root.resolve())}


def _root_of(run: Run) -> str | None:
    """Where the data of a run's recipe lie; a relative root that is not here is what it was where the run was made."""
    root, made = run.recipe.data.root, run.card.get("data", {}).get("root")
    if root is None or Path(root).exists() or made is None or not Path(made).is_dir():
        return root
    return str(made)


def home(model: Path) -> Path:
    """Where results about a model are kept: its run folder, the folder of its weights, or runs/NAME for others.

    Packaged weights and hub ids are kept in runs/NAME and runs/OWNER--NAME.
    """
    if model.exists():
        return model if model.is_dir() else model.parent
    if str(model) in packaged_weights() or (HUB_ID.fullmatch(model.as_posix()) and not model.parent.exists()):
        return Path("runs") / "--".join(model.parts)
    return model.parent if model.suffix else model


def evaluation_folder(run: Path, dataset: Dataset, rules: str = "") -> Path:
    """Where an evaluation of a run is written: RUN/evaluation/DATASET, unless that holds another evaluation.

    Args:
        run: the model.
        dataset: what it is evaluated on.  Another version, or a data set of the same format in another place, goes
            into a folder named after it.
        rules: what is done besides the data set's own protocol, as in "rerank-20-6-0.3"; part of the folder's name.
    """
    name = "-".join(filter(None, (dataset.name, rules)))
    folder = home(run) / "evaluation" / name
    if _serves(folder, dataset):
        return folder
    named = folder.with_name(f"{name}-{_slug(dataset.version)}")
    place = hashlib.sha256(str(dataset.root.resolve()).encode(errors="surrogateescape")).hexdigest()[:6]
    return named if _serves(named, dataset) else named.with_name(f"{named.name}-{place}")


def _serves(folder: Path, dataset: Dataset) -> bool:
    """Whether a folder is free, or holds an evaluation on this very data set."""
    from resight.data import DATASETS

    try:
        context = json.loads((folder / "result.json").read_text(encoding="utf-8"))["context"]
        kept, root = context.get("version", ""), context.get("root")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True
    published = dataset.name in DATASETS and bool(DATASETS[dataset.name].counts)
    return kept == dataset.version and (published or root in (None, str(dataset.root.resolve())))


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.")[:60]


def newest(where: Path) -> Path | None:
    """The folder of a result: this one, or the newest plain one of a run, else the newest; None where there is none."""
    if (where / "result.json").is_file():
        return where
    found = sorted((where / "evaluation").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    plain = [path for path in found if len(found) == 1 or _is_plain(path)]
    return (plain or found)[-1].parent if found else None


def _is_plain(file: Path) -> bool:
    """Whether an evaluation's vectors were compared as they are, without re-ranking or expansion."""
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        return not (record.get("rerank") or record.get("expansion") or record["context"].get("multi_query"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True  # whoever reads it says what is wrong


def result_of(where: Path) -> Result:
    """The evaluation result kept in a folder or in a run; UsageError where there is none."""
    from resight.inference import Result

    folder = newest(where)
    if folder is None:
        raise UsageError(f"there is no evaluation in {where}. Make one with: resight evaluate {where}")
    return Result.load(folder)


NAME = "calibration.json"


def calibration_of(model: Path, fingerprint: str, file: Path | None = None) -> Calibration | None:
    """The calibration file named, else the one kept with the model, if any; CheckpointError for another model's."""
    from resight.evaluation import Calibration

    kept = file or kept_at(model)
    if file is None and not kept.is_file():
        return None
    found = Calibration.load(kept)
    if found.model not in ("", fingerprint):
        raise CheckpointError(
            f"{kept} was made for another model ({found.model[:12]}, this one is {fingerprint[:12]}). "
            f"Calibrate this one, or go on without: --no-calibration."
        )
    return found


def calibration_for(
    model: Path, fingerprint: str, file: Path | None, fmr: float | None, without: bool
) -> Calibration | None:
    """The calibration a verb uses: None with `without`, else `calibration_of`, which must hold a given `fmr`."""
    if without and (file is not None or fmr is not None):
        raise UsageError("--no-calibration goes with neither --calibration nor --fmr; choose one.")
    found = None if without else calibration_of(model, fingerprint, file)
    if fmr is not None:
        if found is None:
            raise UsageError(f"--fmr needs a calibration. Make one with: resight calibrate VECTORS --model {model}")
        found.threshold(fmr)  # raises, naming the rates there are
    return found


def kept_at(model: Path) -> Path:
    """Where a model's calibration lies: in its run folder, beside its weights, or with the packaged ones."""
    from resight.models import trained
    from resight.models.files.model_file import SHELF

    if not model.exists() and str(model) in trained():
        return SHELF / model / NAME
    return home(model) / NAME
