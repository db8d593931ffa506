"""Description inside an exported file: JSON, written on export and read on loading."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from resight.errors import CheckpointError
from resight.types import Interpolation, Metric

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KEY = "resight"  # of the metadata entry in ONNX and OpenVINO files, and name of the JSON file in a pt2 archive
Precision = Literal["fp32", "bf16", "int8"]


@dataclass(frozen=True, kw_only=True)
class Description:
    """How to use the file, and where it comes from.

    The input is RGB, (B, 3, h, w): uint8 of any size, or with `raw` float in [0, 1] at `input_size`.  The output is
    (B, dimension) float32, of unit length where the metric is cosine.
    """

    model: str
    fingerprint: str
    input_size: tuple[int, int]  # (H, W)
    interpolation: Interpolation = "bilinear"
    dimension: int
    metric: Metric
    precision: Precision = "fp32"
    raw: bool = False
    card: Mapping[str, Any] = field(default_factory=dict)  # recipe, data and terms, licence: the run's card.json
    software: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str | None, path: Path) -> Description:
        """Raises CheckpointError where `text`, the metadata of `path`, is not of this form."""
        try:
            if text is None:
                raise ValueError("it holds no description")
            found = json.loads(text)
            height, width = map(int, found["input_size"])
            return cls(
                model=str(found["model"]),
                fingerprint=str(found["fingerprint"]),
                input_size=(height, width),
                interpolation=_one_of(found.get("interpolation", "bilinear"), get_args(Interpolation)),
                dimension=int(found["dimension"]),
                metric=_one_of(found["metric"], get_args(Metric)),
                precision=_one_of(found["precision"], get_args(Precision)),
                raw=bool(found["raw"]),
                card=dict(found["card"]),
                software=dict(found["software"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{path} was not written by resight export ({error}). Export the model again: resight export MODEL."
            ) from error


def _one_of(value: object, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise ValueError(f"{value!r} is none of {', '.join(known)}")
    return value
