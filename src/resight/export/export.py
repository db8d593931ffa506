"""Export of a model: write the file, check it against the model, then give it its name."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from resight.data import load_dataset
from resight.errors import CheckpointError, UsageError
from resight.export.gates import DEFAULT_GATES
from resight.export.graph import trace
from resight.export.proof import prove
from resight.export.quantization import calibration_pictures
from resight.export.writers import FILES, check_format, write
from resight.inference.evaluate import environment
from resight.models.base import ReIDModel
from resight.models.exported import PROOF, Description, ExportedModel, Proof

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from resight.data import Dataset
    from resight.export.gates import Gates
    from resight.export.writers import Format
    from resight.models.exported import Precision

REJECTED = ".rejected"


@dataclass(frozen=True)
class Exported:
    """An exported file and its proof.  Where the proof failed, both names end in .rejected."""

    path: Path
    proof: Proof


def export_model(
    model: ReIDModel,
    out: str | Path,
    *,
    to: Format = "onnx",
    precision: Precision = "fp32",
    raw: bool = False,
    proof: Dataset | None = None,
    card: Mapping[str, Any] | None = None,
    gates: Gates | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Export a model as one file, with a proof that it gives the model's descriptors.

    A file that fails a gate gets .rejected behind its name, and so does its proof; an earlier export in `out` stays.

    Args:
        model: a model of `resight.models`.
        out: the folder: model.onnx, model.xml (with .bin) or model.pt2, and proof.json.
        to: onnx, openvino or pt2.
        precision: of the file; see `DEFAULT_GATES`.
        raw: input is float in [0, 1] at the model's input size, not uint8 of any size.
        proof: the data set whose query and gallery are compared, and whose training pictures calibrate int8; default
            the bundled sample.
        card: recipe, data and terms of the weights, kept inside the file.
        gates: in place of DEFAULT_GATES[precision].
        seed: of the draw of calibration pictures.
        progress: called with (done, total).

    Raises:
        UsageError: the model or the format cannot be exported.
        MissingExtraError: a package is missing.
    """
    if not isinstance(model, ReIDModel):
        raise UsageError("only a model of resight.models can be exported; this one is exported already, or another's.")
    check_format(to, precision)
    dataset = proof or load_dataset("sample")
    description = describe(model, precision, raw=raw, card=card or {})
    bare = without_heads(model)
    pictures = calibration_pictures(dataset, model, seed, raw=raw) if precision == "int8" else None
    calibration = {"dataset": dataset.name, "split": "train", "pictures": len(pictures.samples), "seed": seed} \
        if pictures else {}  # fmt: skip
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".export-", dir=out) as drafts:
        program = trace(bare, raw=raw, autocast=to == "pt2" and precision == "bf16")
        path = write(program, to, description, Path(drafts), pictures)
        files = [path.with_name(name) for name in FILES[to]]
        proven = prove(
            bare, ExportedModel(path), dataset, gates or DEFAULT_GATES[precision], form=to, files=files,
            calibration=calibration, progress=progress,
        )  # fmt: skip
        ending = "" if proven.passed else REJECTED
        for file in files:
            file.replace(out / (file.name + ending))
        proven.save(out / (PROOF + ending))
    return Exported(out / (path.name + ending), proven)


def describe(model: ReIDModel, precision: Precision, *, raw: bool, card: Mapping[str, Any]) -> Description:
    """What the file will say of itself."""
    return Description(
        model=model.spec.name,
        fingerprint=model.fingerprint(),
        input_size=model.input_size,
        interpolation=model.interpolation,
        dimension=model.embedding_dim,
        metric=model.metric,
        precision=precision,
        raw=raw,
        card=card,
        software=environment()["software"],
    )


def without_heads(model: ReIDModel) -> ReIDModel:
    """A copy on the CPU, in evaluation mode, without the classifiers, which no file needs to carry."""
    bare = copy.deepcopy(model).cpu().eval()
    for name, _ in [*bare.classifiers()]:
        parent, _, child = name.rpartition(".")
        setattr(bare.get_submodule(parent), child, nn.Identity())
    return bare


def refuse(exported: Exported) -> None:
    """Raises CheckpointError naming the gates that failed, where any did."""
    failed = [
        f"{name} {gate['value']} (bound {gate['bound']})"
        for name, gate in exported.proof.gates.items()
        if not gate["passed"]
    ]
    if failed:
        raise CheckpointError(
            f"{exported.path} is not the same model: {'; '.join(failed)}. The measurements are in "
            f"{exported.path.with_name(PROOF + REJECTED)}. Export in a higher precision or to another format."
        )
