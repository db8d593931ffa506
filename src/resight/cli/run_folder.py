"""Which data a run is judged on, what must be said beside its figures, and where its verdicts lie."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from resight.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from resight.data import Dataset
    from resight.evaluation import Calibration
    from resight.inference import Result


def dataset_for(
    run: Path, name: str | None, root: Path | None, options: Mapping[str, object]
) -> tuple[Dataset, dict[str, Any]]:
    """The data set asked for, else the one of the run's recipe; and the recipe's hash and seed for the record.

    options  of the data set's reader; where the recipe names the set, over those it has
    """
    from resight.data import load_dataset
    from resight.models import trained
    from resight.run import Run

    if not (run / "recipe.toml").is_file():
        if name is None:
            if not run.exists() and str(run) not in trained():
                raise UsageError(
                    f"there is no run {run}; for weights from the hub say what to judge on with --dataset NAME."
                )
            raise UsageError(f"{run} carries no recipe; say what to judge on with --dataset NAME --root FOLDER.")
        return load_dataset(name, root, **options), {"weights": run.name}
    opened = Run.open(run)
    context = {
        "run": run.name,
        "recipe": opened.recipe.name,
        "recipe_hash": opened.recipe.hash,
        "seed": opened.recipe.seed,
    }
    if name is None:
        own = opened.recipe.data
        return load_dataset(own.name, root or own.root, **{**own.options, **options}), context
    return load_dataset(name, root, **options), context


def home(model: Path) -> Path:
    """Where findings about a model are kept: its run folder, beside its weights, or runs/NAME for packaged ones.

    A run's folder need not exist yet.
    """
    from resight.models import trained

    if not model.exists() and str(model) in trained():
        return Path("runs") / model
    return model if model.is_dir() or not model.suffix else model.parent


def newest(where: Path) -> Path | None:
    """The folder of a verdict: this one, or the newest of a run; None where there is none."""
    if (where / "result.json").is_file():
        return where
    found = sorted((where / "evaluation").glob("*/result.json"), key=lambda path: path.stat().st_mtime)
    return found[-1].parent if found else None


def result_of(where: Path) -> Result:
    """The verdict kept in a folder or in a run; UsageError where there is none."""
    from resight.inference import Result

    folder = newest(where)
    if folder is None:
        raise UsageError(f"there is no evaluation in {where}. Make one with: resight evaluate {where}")
    return Result.load(folder)


NAME = "calibration.json"


def calibration_of(model: Path, fingerprint: str, file: Path | None = None) -> Calibration | None:
    """The file named, else the one kept with the model, if any.  Raises CheckpointError for another model's."""
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
    """What a verb uses: none where it shall do without, else `calibration_of`, which must know `fmr` if asked for."""
    if without and (file is not None or fmr is not None):
        raise UsageError("--no-calibration goes with neither --calibration nor --fmr; choose one.")
    found = None if without else calibration_of(model, fingerprint, file)
    if fmr is not None:
        if found is None:
            raise UsageError(f"--fmr needs a calibration. Make one with: resight calibrate VECTORS --model {model}")
        found.threshold(fmr)  # raises, naming the rates there are
    return found


def kept_at(model: Path) -> Path:
    """Where a run's calibration lies, be it named by its folder or by its weights."""
    return home(model) / NAME
