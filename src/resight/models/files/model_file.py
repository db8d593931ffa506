"""Model files: safetensors, with the specification of the model in the header.

Nothing that is loaded is executed.  Shapes are compared before memory is taken, and whatever does not fit is
an error that names it; only classifiers are ever dropped, on purpose, and said so.
"""

from __future__ import annotations

import copy
import json
import logging
import re
from contextlib import nullcontext
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from resight._version import __version__
from resight.errors import CheckpointError, ModelNotFoundError, UnknownNameError, suggestion
from resight.files import write_atomically
from resight.models.backbones.pretrained import listing
from resight.models.base import ModelSpec, ReIDModel
from resight.models.checkpoints import convert
from resight.models.exported import ExportedModel, is_exported, open_exported
from resight.models.files.file_header import KEY, is_described, read_header
from resight.models.files.fitting import classifier_tensors, refuse_misfits, sketch, without_sources
from resight.models.files.hub import from_hub
from resight.models.registry import build
from resight.models.undrawn import Undrawn

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

log = logging.getLogger(__name__)

FILE = "model.safetensors"
SHELF = Path(str(files("resight.models") / "trained"))  # a folder a name: the weights and their card.json


def save_model(model: ReIDModel, path: str | Path, *, half: bool = False) -> Path:
    """Write a model to a safetensors file, whole or not at all.

    Args:
        model: its options go into the header.
        path: a .safetensors file, or a folder that gets model.safetensors.
        half: store float16, at half the size; the loaded weights are float32, rounded, with a fingerprint of their own.

    Returns:
        The file.
    """
    if half:
        model = rounded(model)
    path = Path(path)
    target = path if path.suffix == ".safetensors" else path / FILE
    header = {"spec": model.spec.as_dict(), "fingerprint": model.fingerprint(), "resight": __version__}
    state = {name: stored(tensor, half) for name, tensor in model.state_dict().items()}

    def write(draft: Path) -> None:
        try:
            save_file(state, draft, metadata={KEY: json.dumps(header, sort_keys=True)})
        except SafetensorError as error:
            raise OSError(str(error)) from error

    write_atomically(target, write)
    return target


def rounded(model: ReIDModel) -> ReIDModel:
    """A copy with the numbers float16 can hold."""
    return copy.deepcopy(model).half().float()


def stored(tensor: Tensor, half: bool) -> Tensor:
    tensor = tensor.detach().cpu().contiguous()
    return tensor.half() if half and tensor.is_floating_point() else tensor


@overload
def load_model(where: str | Path, num_ids: int) -> ReIDModel: ...
@overload
def load_model(where: str | Path, num_ids: None = None) -> ReIDModel | ExportedModel: ...
def load_model(where: str | Path, num_ids: int | None = None) -> ReIDModel | ExportedModel:
    """Load a model, in evaluation mode, on the CPU.

    Args:
        where: a run folder, a .safetensors file, a name of `trained()`, a hub id ("owner/name", "hf://owner/name/FILE"),
            a checkpoint of another project (`resight.models.checkpoints`), or an exported file (.onnx, .xml, .pt2).
        num_ids: build for another number of identities; the stored classifiers are dropped and the log says so.

    Returns:
        The model; for an exported file an `ExportedModel`, which embeds and has no weights to train.

    Raises:
        CheckpointError: nothing usable is found.
    """
    if num_ids is None and is_exported(Path(where)):
        return open_exported(Path(where))
    return read_model(where, num_ids)


def read_model(where: str | Path, num_ids: int | None = None) -> ReIDModel:
    """Load the network itself, in evaluation mode, on the CPU.

    Args:
        where: as in `load_model`, but no exported file.
        num_ids: as in `load_model`.

    Raises:
        CheckpointError: nothing usable is found, or the file is an exported model.
    """
    source = open_source(where)
    spec = source.spec
    stored = sketch(spec, source.path)
    refuse_misfits(stored, source.shapes, str(source.path), dropped=set())
    ids = spec.num_ids if num_ids is None else num_ids
    dropped = set() if ids == spec.num_ids else classifier_tensors(stored, identities_only=True)
    with Undrawn() if ids == spec.num_ids else nullcontext():
        model = build(spec.name, ids, **without_sources(spec.options))
    fill(model, source, dropped)
    return model.eval()


def load_weights(model: ReIDModel, where: str | Path) -> ReIDModel:
    """Fill a model with the weights of another file of the same architecture, in place.

    Args:
        model: the model to fill.
        where: as in `load_model`.

    Returns:
        The same model.  Classifiers of other labels are dropped, which the log says.

    Raises:
        CheckpointError: a tensor does not fit; the message names it.
    """
    source = open_source(where)
    shapes = source.shapes
    own = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    heads = classifier_tensors(model) | classifier_tensors(sketch(source.spec, source.path))
    dropped = {name for name in heads if own.get(name) != shapes.get(name)}
    refuse_misfits(model, shapes, f"{source.path} ({source.spec.name})", dropped)
    say_differences(model.spec, source.spec, source.path)
    fill(model, source, dropped)
    return model


@dataclass(frozen=True)
class Source:
    """Where a model's tensors come from: a file of ours, or another project's, `converted` in memory."""

    path: Path
    spec: ModelSpec
    shapes: Mapping[str, tuple[int, ...]]
    converted: ReIDModel | None = None

    def tensors(self, names: Iterable[str]) -> dict[str, Tensor]:
        if self.converted is not None:
            state = self.converted.state_dict()
            return {name: state[name] for name in names}
        with safe_open(self.path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in names}


def open_source(where: str | Path) -> Source:
    """Raises CheckpointError where there is no model."""
    path = locate(where)
    if is_described(path):
        return Source(path, *read_header(path))
    found = convert(path)
    log.warning(
        "%s: %s of %s, %d tensors used, %d dropped. Licence of the code: %s. Data of the weights: %s.",
        path, found.arch, found.family.project, found.used, len(found.dropped), found.family.code, found.family.data,
    )  # fmt: skip
    shapes = {name: tuple(tensor.shape) for name, tensor in found.model.state_dict().items()}
    return Source(path, found.model.spec, shapes, found.model)


def say_differences(own: ModelSpec, theirs: ModelSpec, path: Path) -> None:
    """Warn of options that no tensor shows, such as a stride, and that differ from the file's."""
    mine, other = without_sources(own.options), without_sources(theirs.options)
    passing = {"attributes", "retrieval", "input_size", "head"}
    differing = sorted(key for key in mine.keys() & other.keys() if mine[key] != other[key] and key not in passing)
    if differing:
        told = ", ".join(f"{key} = {other[key]} there and {mine[key]} here" for key in differing)
        log.warning("%s was made with other options of the model: %s.", path, told)


def fill(model: ReIDModel, source: Source, dropped: set[str]) -> None:
    model.load_state_dict(source.tensors(name for name in source.shapes if name not in dropped), strict=False)
    if dropped & source.shapes.keys():
        log.warning(
            "%s: classifiers dropped on purpose, for another set of labels: %s",
            source.path,
            listing("tensors", dropped),
        )


def trained() -> list[str]:
    """Names of the weights that come with the package; what they were made of is in `trained_card`."""
    return sorted(folder.name for folder in SHELF.iterdir() if (folder / FILE).is_file())


def trained_card(name: str) -> dict[str, Any]:
    """Data, terms, figures and limits of packaged weights.  Raises UnknownNameError for a name there is not."""
    if name not in trained():
        raise UnknownNameError("trained model", name, trained())
    card: dict[str, Any] = json.loads((SHELF / name / "card.json").read_text(encoding="utf-8"))
    return card


def locate(where: str | Path) -> Path:
    path = Path(where)
    if is_exported(path):
        raise CheckpointError(
            f"{path} is an exported model: it embeds, and holds no weights to build on. Give the run it was made from."
        )
    if not path.exists() and str(where) in trained():
        path = SHELF / where
    if path.is_dir():
        path = path / FILE
    if path.is_file():
        return path
    if Path(where).is_dir():
        raise ModelNotFoundError(
            f"there is no model at {where}: the folder holds no {FILE}. Name a run folder or a file."
        )
    text = where if isinstance(where, str) else where.as_posix()
    if (hub := re.fullmatch(r"hf:/{1,2}(.+)", text)) is not None:  # a Path holds one slash where two were written
        return from_hub(hub[1], FILE)
    if not path.parent.exists() and re.fullmatch(r"[\w.-]+/[\w.-]+", text):
        return from_hub(text, FILE)
    raise ModelNotFoundError(
        f"there is no model at {where}.{suggestion(str(where), trained())} Expected a folder with {FILE}, a "
        f".safetensors file, one of {', '.join(trained())}, or a hub id: owner/name, hf://owner/name/FILE."
    )
