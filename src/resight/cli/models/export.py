"""The verb `resight export`: write a model as one file that other runtimes take, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params

if TYPE_CHECKING:
    from resight.models.exported import Proof


@click.command(
    epilog=output.example(
        "resight export runs/first --to onnx",
        "resight export runs/first --to openvino --precision int8 --proof market1501 --root data/market1501",
        "resight export synth_small --to onnx --raw --out deepstream",
    )
)
@click.argument("model", type=params.MODEL)
@click.option("--to", type=click.Choice(["onnx", "openvino", "pt2"]), default="onnx", show_default=True,
              help="Format.")  # fmt: skip
@click.option("--precision", type=click.Choice(["fp32", "bf16", "int8"]), default="fp32", show_default=True,
              help="bf16: openvino and pt2.  int8: onnx and openvino.")  # fmt: skip
@click.option("--raw", is_flag=True,
              help="Input is float in [0, 1] at the model's size, for engines that resize themselves.")  # fmt: skip
@click.option("--out", type=params.OUT_FOLDER, help="Folder to write.  Default: MODEL/export/FORMAT-PRECISION.")
@click.option("--proof", default="sample", show_default=True, metavar="DATASET",
              help="Proved on its query and gallery; its training pictures calibrate int8.")  # fmt: skip
@click.option("--root", type=params.FILE, help="Folder of that data set.")
@params.reader_option
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Of the draw of calibration pictures.")
@params.json_option
def command(
    model: Path, to: Any, precision: Any, raw: bool, out: Path | None, proof: str, root: Path | None,
    settings: tuple[str, ...], seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Write MODEL (a run folder, a weights file, a packaged name) as one file that other runtimes take, and prove it.

    The file holds everything from RGB bytes of any size to the finished vector, and says what it is. It gets its name
    once it has shown, on real crops, that it is still the same model: proof.json beside it has the measurements. A file
    that fails a gate is left with the ending .rejected, and the exit code is 1. The model's calibration, if
    there is one, is copied beside it.
    """
    from resight.cli.common.run_folder import NAME, calibration_of, home
    from resight.data import load_dataset
    from resight.export import export_model
    from resight.export.export import refuse
    from resight.models import read_model

    network = read_model(model)
    folder = out or home(model) / "export" / f"{to}-{precision}{'-raw' if raw else ''}"
    exported = export_model(
        network, folder, to=to, precision=precision, raw=raw, card=_card(model), seed=seed,
        proof=output.say_left_out(load_dataset(proof, root, **params.reader_options(settings))),
        progress=output.counting(output.bar(), "embedding"),
    )  # fmt: skip
    calibration = calibration_of(model, network.fingerprint())
    if exported.proof.passed:
        (folder / NAME).unlink(missing_ok=True)  # of what was exported here before
        if calibration is not None:
            calibration.save(folder / NAME)
    output.result(
        as_json,
        {"file": str(exported.path), "passed": exported.proof.passed} | vars(exported.proof),
        _summary(exported.path, exported.proof),
    )
    refuse(exported)


def _card(model: Path) -> dict[str, Any]:
    """What the weights were made of, as far as it is known: the card beside them, or that of packaged weights."""
    from resight.models import trained, trained_card
    from resight.run import Run

    if not model.exists() and str(model) in trained():
        return trained_card(str(model))
    return Run(model if model.is_dir() else model.parent).card


def _summary(path: Path, proof: Proof) -> str:
    """A line for the file, one for each gate, and the scores before and after."""
    lines = [f"{path}  {proof.format} {proof.precision}, model {proof.fingerprint[:12]}"]
    for name, gate in proof.gates.items():
        lines.append(f"  {'passed' if gate['passed'] else 'FAILED'}  {name}: {gate['value']} (bound {gate['bound']})")
    for name, score in proof.scores.items():
        interval = f"[{score['low']:+.2f}, {score['high']:+.2f}]"
        change = f"{score['difference']:+.2f} points, 95 % interval {interval}"
        lines.append(f"  {name:<6} {score['before']:.2f} % before, {score['after']:.2f} % after: {change}")
    lines.append(
        f"  least agreement with the model, over {proof.crops['pictures']} crops: {proof.crops['minimum']:.7f}"
    )
    return "\n".join(lines)
