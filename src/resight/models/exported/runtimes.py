"""ONNX and OpenVINO files, opened by the libraries that run them."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from resight.errors import CheckpointError, MissingExtraError
from resight.models.exported.description import KEY, Description

if TYPE_CHECKING:
    from pathlib import Path

OPENVINO_PRECISION = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}  # of what is not quantized


class OnnxFile:
    """An ONNX file in ONNX Runtime, on as many threads as torch has; on CUDA where its own build of it is here."""

    def __init__(self, path: Path) -> None:
        runtime = onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        wanted = [
            p for p in ("CUDAExecutionProvider", "CPUExecutionProvider") if p in runtime.get_available_providers()
        ]
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=wanted)
        except Exception as error:  # of classes of its own, all derived from Exception alone
            raise CheckpointError(
                f"ONNX Runtime cannot open {path}: {_line(error)}. Export the model again."
            ) from error
        self.description = Description.from_json(self.session.get_modelmeta().custom_metadata_map.get(KEY), path)
        self.input = self.session.get_inputs()[0].name

    def run(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {self.input: images.numpy()})[0])


class OpenVINOFile:
    """An OpenVINO model (.xml with its .bin) on the CPU, on as many threads as torch has."""

    def __init__(self, path: Path) -> None:
        self.core = openvino().Core()
        try:
            self.model = self.core.read_model(path)
            text = self.model.get_rt_info([KEY]).astype(str) if self.model.has_rt_info([KEY]) else None
        except RuntimeError as error:
            raise CheckpointError(f"OpenVINO cannot open {path}: {_line(error)}. Export it again.") from error
        self.description = Description.from_json(text, path)

    def run(self, images: Tensor) -> Tensor:
        at_size = tuple(images.shape[2:]) == self.description.input_size
        compiled = self._at_size if at_size else self._any_size
        return torch.from_numpy(compiled([images.numpy()])[0].copy())

    @cached_property
    def _any_size(self) -> Any:
        return self._compile(self.model)

    @cached_property
    def _at_size(self) -> Any:
        """For pictures of the input size, which need no resizing: OpenVINO would resize them all the same."""
        model = self.model.clone()
        height, width = self.description.input_size
        model.reshape([-1, 3, height, width])
        for node in model.get_ordered_ops():
            same = node.get_type_name() == "Interpolate" and (
                node.input(0).get_partial_shape() == node.output(0).get_partial_shape()
            )
            if same:
                node.output(0).replace(node.input_value(0))
        return self._compile(model)

    def _compile(self, model: Any) -> Any:
        """In the precision of the export: left alone, OpenVINO computes in bf16 wherever the processor can."""
        precision = OPENVINO_PRECISION[self.description.precision]
        return self.core.compile_model(
            model,
            "CPU",
            {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": torch.get_num_threads()},
        )


def onnxruntime() -> Any:
    """The package, its usage events (sent by its builds for Windows) turned off."""
    try:
        import onnxruntime as runtime
    except ImportError as error:
        raise MissingExtraError("an .onnx file", "onnx") from error
    runtime.disable_telemetry_events()
    return runtime


def openvino() -> Any:
    """The package, after `silence_telemetry`."""
    silence_telemetry()
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("an OpenVINO model", "openvino") from error
    return openvino


def silence_telemetry() -> None:
    """Keep OpenVINO and NNCF from reporting their use over the network, which they do unless a file in the home
    folder says no.

    Both go without where the package `openvino_telemetry` cannot be imported, so this process is told that it cannot.
    A program that imported them before resight has decided for itself.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]


def _line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
