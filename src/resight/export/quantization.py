"""int8 by NNCF, after training: ranges of activations from some pictures, biases corrected."""

from __future__ import annotations

import contextlib
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resight.data.loading.decode import decode
from resight.errors import ImageError, MissingExtraError, UsageError
from resight.models.exported.runtimes import silence_telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from resight.data import Dataset
    from resight.models import ReIDModel
    from resight.types import Interpolation, Sample

COUNT = 300  # pictures; NNCF's own default
FULL_PRECISION = ("Interpolate", "Resize", "Divide", "Div", "ReduceL2")  # resizing, std, unit length: not the network


@dataclass(frozen=True)
class Pictures:
    """What quantization is calibrated on: pictures of the training split, none of which is evaluated on."""

    samples: tuple[Sample, ...]
    size: tuple[int, int]
    interpolation: Interpolation
    raw: bool

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """One picture at a time, (1, 3, H, W), as the graph takes it; unreadable ones are passed over."""
        for sample in self.samples:
            with contextlib.suppress(ImageError):
                pixels = decode(sample.path, self.size, self.interpolation).transpose(2, 0, 1)[None]
                yield pixels.astype(np.float32) / 255 if self.raw else pixels


def calibration_pictures(dataset: Dataset, model: ReIDModel, seed: int, *, raw: bool) -> Pictures:
    """COUNT pictures drawn from the training split, as the model takes them.  Raises UsageError where there is none."""
    if not dataset.train:
        raise UsageError(
            f"{dataset.name} has no training pictures, and int8 cannot be calibrated on those it is evaluated on. "
            f"Choose another --proof DATASET, or another precision."
        )
    count = min(COUNT, len(dataset.train))
    rows = np.sort(np.random.default_rng(seed).choice(len(dataset.train), count, replace=False))
    samples = tuple(dataset.train[row] for row in rows)
    return Pictures(samples, model.input_size, model.interpolation, raw)


def quantize(model: Any, pictures: Pictures, input_name: str | None) -> Any:
    """An ONNX or OpenVINO model -> its int8 form.  input_name: of the ONNX model's input."""
    silence_telemetry()
    try:
        import nncf
    except ImportError as error:
        raise MissingExtraError("int8", "openvino") from error
    nncf.set_log_level(logging.ERROR)
    items = [picture if input_name is None else {input_name: picture} for picture in pictures]
    with contextlib.redirect_stdout(sys.stderr):  # its progress; standard output is for the result
        return nncf.quantize(
            model,
            nncf.Dataset(items),
            subset_size=len(items),
            ignored_scope=nncf.IgnoredScope(types=list(FULL_PRECISION), validate=False),
        )
