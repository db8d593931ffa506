"""Which calibration goes with a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from resight.cli.judging import home
from resight.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from resight.evaluation import Calibration

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
