"""Calibration: thresholds for false-match rates, and a probability for every similarity.

FMR is the share of different-person pairs accepted, FNMR that of same-person pairs rejected (ISO/IEC 19795-1).
Calibrate on people who are neither trained nor tested on; `docs/evaluation.md` says how.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from resight.errors import CalibrationNotFoundError, EvaluationError, UsageError
from resight.files import write_text

if TYPE_CHECKING:
    from resight.evaluation.labels import FloatArray
    from resight.types import Metric

Method = Literal["isotonic", "logistic"]


@dataclass(frozen=True, slots=True)
class Operating:
    """A threshold and what it costs, measured on people held out from choosing it."""

    fmr: float  # asked for
    threshold: float  # accept at or above this similarity
    fmr_found: float  # on held-out people, and ...
    fnmr: float  # ... with
    fnmr_low: float  # a 95% interval from resampling people
    fnmr_high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """One point of the reliability plot: pairs of about one stated probability, on held-out people."""

    stated: float  # mean probability given
    found: float  # share that are the same person
    weight: float  # pairs, at equal numbers of same and different


@dataclass(frozen=True, slots=True)
class CameraCheck:
    """How the first operating point does between two cameras."""

    cameras: tuple[int, int]
    same: int  # pairs
    different: int
    fmr: float  # NaN where there are no such pairs
    fnmr: float


@dataclass(frozen=True)
class Calibration:
    """What goes with a model.  Probabilities are for an even chance beforehand unless a prior is given."""

    method: Method
    metric: Metric
    knots: tuple[float, ...]  # isotonic: similarity; logistic: empty
    values: tuple[float, ...]  # isotonic: probability at the knots; logistic: slope and intercept
    operating: tuple[Operating, ...]
    reliability: tuple[Bin, ...]
    cameras: tuple[CameraCheck, ...]
    log_loss: float  # nats a pair on held-out people, same and different at equal weight; 0.693 is chance
    people: int
    model: str = ""  # fingerprint of the model the features came from
    different: int = 0  # pairs of two people it was fitted on; 0 where that was not written down
    source: str = ""  # whose people: a data set or a folder
    test_set: bool = False  # made from the people of an evaluation, whose figures its thresholds flatter

    def probability(self, similarity: npt.ArrayLike, prior: float = 0.5) -> FloatArray:
        """P(same person | similarity), for a chance `prior` beforehand."""
        if not 0 < prior < 1:
            raise UsageError(f"prior={prior}: the chance beforehand lies strictly between 0 and 1.")
        x = np.asarray(similarity, dtype=np.float64)
        even = np.clip(curve(self.method, self.knots, self.values, x), 1e-12, 1 - 1e-12)
        odds = even / (1 - even) * prior / (1 - prior)
        return np.asarray(odds / (1 + odds))

    def threshold(self, fmr: float) -> float:
        """The similarity to accept at, for one of the false-match rates that were calibrated."""
        for point in self.operating:
            if np.isclose(point.fmr, fmr, rtol=1e-9):
                return point.threshold
        rates = ", ".join(f"{point.fmr:g}" for point in self.operating)
        raise EvaluationError(f"no threshold was calibrated for a false-match rate of {fmr:g}; there are {rates}.")

    @property
    def too_rare(self) -> tuple[float, ...]:
        """Rates asked for that are below one in `different`: their thresholds rest on no false match at all."""
        return tuple(point.fmr for point in self.operating if 0 < self.different * point.fmr < 1)

    def to_dict(self) -> dict[str, Any]:
        """For JSON; NaN becomes None."""
        record = asdict(self)
        record["cameras"] = [
            {name: None if value != value else value for name, value in line.items()} for line in record["cameras"]
        ]
        return record

    @classmethod
    def from_dict(cls, record: dict[str, Any]) -> Calibration:
        """The inverse of `to_dict`."""
        try:
            parts = {
                "knots": tuple(record["knots"]),
                "values": tuple(record["values"]),
                "operating": tuple(Operating(**line) for line in record["operating"]),
                "reliability": tuple(Bin(**line) for line in record["reliability"]),
                "cameras": tuple(_camera_check(line) for line in record["cameras"]),
            }
            return cls(**(record | parts))
        except (KeyError, TypeError) as error:
            raise EvaluationError(f"this is no calibration: {error}.") from error

    def save(self, path: str | Path) -> None:
        """Write as JSON, whole or not at all."""
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        write_text(Path(path), text)

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """A file written by `save`.  Raises CalibrationNotFoundError, or EvaluationError for another file."""
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise CalibrationNotFoundError(
                f"there is no calibration {path}. Make one with: resight calibrate"
            ) from None
        except OSError as error:
            raise EvaluationError(f"{path} cannot be read: {error.strerror}.") from error
        except (ValueError, AttributeError, EvaluationError) as error:
            raise EvaluationError(f"{path} is not a file of resight calibrate ({error}).") from error


def curve(method: Method, knots: tuple[float, ...], values: tuple[float, ...], x: FloatArray) -> FloatArray:
    """A fitted curve at x: straight lines between knots, or the logistic function."""
    if method == "logistic":
        slope, intercept = values
        return np.asarray(1 / (1 + np.exp(-np.clip(slope * x + intercept, -700, 700))))
    return np.asarray(np.interp(x, knots, values))


def _camera_check(line: dict[str, Any]) -> CameraCheck:
    rates = {name: float("nan") if line[name] is None else line[name] for name in ("fmr", "fnmr")}
    return CameraCheck(**(line | rates | {"cameras": tuple(line["cameras"])}))
