"""A traced graph as a file: ONNX, OpenVINO or pt2, with its description inside."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from resight.errors import MissingExtraError, UsageError
from resight.models.exported.description import KEY
from resight.models.exported.runtimes import onnxruntime, openvino

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram

    from resight.export.quantization import Pictures
    from resight.models.exported import Description

Format = Literal["onnx", "openvino", "pt2"]
FORMATS: dict[Format, tuple[str, ...]] = {  # and the precisions each of them can be proved in on a processor
    "onnx": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "int8"),
    "pt2": ("fp32", "bf16"),
}
FILES: dict[Format, tuple[str, ...]] = {  # the first is the one to load
    "onnx": ("model.onnx",),
    "openvino": ("model.xml", "model.bin"),
    "pt2": ("model.pt2",),
}
OPSET = 18  # the first whose Resize can antialias


def check_format(to: Format, precision: str) -> None:
    """Raises UsageError for a format or precision that is not offered, MissingExtraError for what is not installed."""
    if to not in FORMATS:
        raise UsageError(f"there is no format {to!r}; choose {', '.join(FORMATS)}.")
    if precision not in FORMATS[to]:
        offered = "; ".join(f"{name}: {', '.join(precisions)}" for name, precisions in FORMATS.items())
        raise UsageError(
            f"--to {to} cannot be had in {precision}, because no runtime here could prove it on a processor. "
            f"Offered: {offered}."
        )
    if to == "openvino":
        openvino()
    if to != "pt2":
        onnx()
        onnxruntime()


def write(
    program: ExportedProgram, to: Format, description: Description, folder: Path, pictures: Pictures | None
) -> Path:
    """Write the files of one export into `folder`; returns the one to load.  pictures: what int8 is calibrated on."""
    path = folder / FILES[to][0]
    if to == "pt2":
        write_pt2(program, description, path)
    elif to == "onnx":
        write_onnx(program, description, path, pictures)
    else:
        write_openvino(program, description, path, pictures)
    return path


def write_pt2(program: ExportedProgram, description: Description, path: Path) -> None:
    """Without the example's tensors and the stack traces of the code, which name folders of this machine."""
    program._example_inputs = None
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)
    torch.export.save(program, path, extra_files={f"{KEY}.json": description.to_json()})


def write_onnx(program: ExportedProgram, description: Description, path: Path, pictures: Pictures | None) -> None:
    """One file, weights inside; quantized where there are pictures for it."""
    to_onnx(program, path)
    model = onnx().load(path)
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces of the code, which name folders of this machine
    if pictures is not None:
        from resight.export.quantization import quantize

        model = quantize(model, pictures, "images")
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, description.to_json()
    onnx().save(model, path)


def to_onnx(program: ExportedProgram, path: Path) -> None:
    """The graph as ONNX, by torch's exporter, the one that takes an ExportedProgram."""
    onnx()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own future, none of the model
        converted = torch.onnx.export(
            program, dynamo=True, opset_version=OPSET, input_names=["images"], output_names=["vectors"], verbose=False
        )
    assert converted is not None
    converted.save(path, external_data=False)


def write_openvino(program: ExportedProgram, description: Description, path: Path, pictures: Pictures | None) -> None:
    """Converted from ONNX, which keeps static channels and takes a tenth of the time of converting the program.

    bf16 is what the file asks its runtime to compute in; its weights are stored in float16, which rounds less.
    """
    onnx_file = path.with_suffix(".onnx")
    to_onnx(program, onnx_file)
    convert_onnx(onnx_file, description, path, pictures)
    onnx_file.unlink()


def convert_onnx(onnx_file: Path, description: Description, path: Path, pictures: Pictures | None) -> None:
    """An ONNX file as OpenVINO's model `path` (.xml, with .bin)."""
    package = openvino()
    model = package.Core().read_model(onnx_file)
    antialias(model)
    fold_constants(model)
    if pictures is not None:
        from resight.export.quantization import quantize

        model = quantize(model, pictures, None)
    model.set_rt_info(description.to_json(), [KEY])
    package.save_model(model, path, compress_to_fp16=description.precision == "bf16")


def antialias(model: Any) -> None:
    """Make the resizing of a converted OpenVINO model antialiased, as the ONNX file asks.

    OpenVINO's reader drops that wish without a word: shrunk pictures come out with a cosine of 0.4 to 0.9.  Its own
    operation in Pillow's manner does what the file says.
    """
    from openvino import opset11 as ops

    for node in model.get_ordered_ops():
        attributes = node.get_attributes()
        if node.get_type_name() == "Interpolate" and attributes.get("antialias"):
            start, stop, step = (ops.constant(np.array([value], np.int64)) for value in (2, 4, 1))
            sizes = ops.slice(node.input_value(1), start, stop, step)  # (H, W) of (B, C, H, W)
            mode = "bicubic_pillow" if attributes["mode"] == "cubic" else "bilinear_pillow"
            resized = ops.interpolate(
                node.input_value(0), sizes, mode, "sizes", axes=ops.constant(np.array([2, 3], np.int64)),
                coordinate_transformation_mode="half_pixel", pads_begin=[0, 0, 0, 0], pads_end=[0, 0, 0, 0],
                cube_coeff=attributes["cube_coeff"],
            )  # fmt: skip
            node.output(0).replace(resized.output(0))
    model.validate_nodes_and_infer_types()


def fold_constants(model: Any) -> None:
    """Turn what the reader leaves as arithmetic on constants into constants.

    The weights of depthwise convolutions come with a reshape to a computed shape, behind which NNCF takes the kernel's
    columns for the channels: such a layer is quantized badly, and OpenVINO then computes it in floating point.
    """
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)


def onnx() -> Any:
    """The package, and the one that torch's exporter writes with."""
    try:
        import onnx
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("export to ONNX", "onnx") from error
    return onnx
