"""Loading of weights into a backbone, with a report of what matched, what was dropped and what is missing.

A file is a safetensors file or a PyTorch checkpoint; the latter is read with `weights_only`, so nothing in
it is executed.  Training frameworks wrap the names (DistributedDataParallel, MoCo, LUPerson, fast-reid, ...):
the wrapping under which most tensors fit is taken off.
"""

from __future__ import annotations

import logging
import pickle
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from resight.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

Respell = Callable[[str], str]

# Between wrappings that fit equally well the earlier wins: MoCo's query encoder, never its momentum copy.
PREFIXES = tuple(
    outer + inner
    for inner in (
        "",
        "encoder_q.",
        "base_encoder.",
        "momentum_encoder.",
        "backbone.",
        "base.",
        "model.",
        "student.",
    )
    for outer in ("", "module.", "model.", "module.model.")
)
# A score that was saved beside the weights is often a scalar of numpy's, under its old or its new name: plain numbers.
_scalar = np.float64(0).__reduce__()[0]
SCALARS: list[Any] = [
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    np.dtype, *(type(np.dtype(kind)) for kind in ("float64", "float32", "int64")),
]  # fmt: skip

TRUNKS = ("backbone.", "base.")  # wrappings of a whole model's trunk, beside which its heads lie
# What a trunk's file may hold beyond its features: classifiers, what stands before them, counters, computed places.
ENDINGS = re.compile(
    r"(fc|head\w*|classifier\w*|last_linear|conv_head|bn2|norm\d?|fc_norm|semantic_embed_[wb]\.3)\..*"
    r"|.*(num_batches_tracked|relative_position_index|attn_mask)"
)

WRAPPERS = ("state_dict", "model", "model_state_dict", "network", "student", "teacher")


@dataclass(frozen=True)
class WeightsReport:
    """Which tensors went where when `source` was loaded.  Names as the receiving module spells them."""

    source: str
    prefix: str
    matched: tuple[str, ...]
    dropped: tuple[str, ...]  # in the file, of no use here
    missing: tuple[str, ...]  # wanted, not in the file: left as initialised

    def __str__(self) -> str:
        stripped = f" (prefix {self.prefix!r} removed)" if self.prefix else ""
        return (
            f"{self.source}{stripped}: {len(self.matched)} tensors loaded, "
            f"{listing('dropped', self.dropped)}, {listing('missing', self.missing)}"
        )


def listing(word: str, names: Iterable[str], shown: int = 6) -> str:
    names = sorted(names)
    if not names:
        return f"none {word}"
    tail = ", ..." if len(names) > shown else ""
    return f"{len(names)} {word} ({', '.join(names[:shown])}{tail})"


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or .pth file by name.  Raises CheckpointError for anything else."""
    if not path.is_file():
        raise CheckpointError(f"there is no weights file {path}. Check the path.")
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(SCALARS):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        OSError,
        RuntimeError,
        EOFError,
        KeyError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if isinstance(error, pickle.UnpicklingError):  # torch's own words advise to execute the file
            reason = "it is not PyTorch's format, or holds more than tensors"
        raise CheckpointError(
            f"{path} cannot be read as weights ({reason[:200]}). Expected safetensors, or a PyTorch file "
            f"that holds nothing but tensors; save the state dict alone and try again."
        ) from error
    return unwrap(found, path)


def unwrap(found: Any, path: Path) -> dict[str, Tensor]:
    """The state dict inside a checkpoint: the thing itself, or under one of the usual keys."""
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        inner = next((found[key] for key in WRAPPERS if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = inner
    tensors = {str(k): v for k, v in found.items() if isinstance(v, Tensor)} if isinstance(found, Mapping) else {}
    if not tensors:
        raise CheckpointError(f"{path} holds no tensors by name. Expected the state dict of a network.")
    return tensors


def spelled(names: Iterable[str], prefix: str, respell: Respell) -> dict[str, str]:
    """Names of the module's tensors under `prefix` -> names in the file."""
    return {respell(name.removeprefix(prefix)): name for name in names if name.startswith(prefix)}


def load_weights_file(module: nn.Module, path: Path, partial: bool = False, respell: Respell = str) -> WeightsReport:
    """Fill `module` from a file and report.  `respell` turns the file's names, unwrapped, into the module's.

    Raises CheckpointError when nothing fits, when a shape differs, when a layer of the file's trunk has no place here,
    or when tensors are missing and `partial` is false; with `partial` the missing ones are warned of by name and keep
    their initial values.
    """
    tensors, own = read_weights(path), module.state_dict()
    # The wrapping under which most wanted names are found; the plainest of equals.
    prefix = max(PREFIXES, key=lambda prefix: len(own.keys() & spelled(tensors, prefix, respell).keys()))
    origin = {name: source for name, source in spelled(tensors, prefix, respell).items() if name in own}
    matched = {name: tensors[source] for name, source in origin.items()}
    missing = [name for name in own if name not in matched and not name.endswith("num_batches_tracked")]
    dropped = tensors.keys() - set(origin.values())
    report = WeightsReport(str(path), prefix, tuple(sorted(matched)), tuple(sorted(dropped)), tuple(sorted(missing)))
    shapes = {name: (t.shape, own[name].shape) for name, t in matched.items() if t.shape != own[name].shape}
    refuse_misfits(report, shapes, partial)
    refuse_other_trunks(report)
    module.load_state_dict(matched, strict=False)
    if missing:
        warnings.warn(str(report), stacklevel=2)
    else:  # what a file holds in vain is told as well, where somebody listens to warnings only
        log.log(logging.WARNING if report.dropped else logging.INFO, "%s", report)
    return report


def refuse_other_trunks(report: WeightsReport) -> None:
    """A trunk whose other layers would be left out computes something else: non-local blocks, vectors of cameras."""
    if report.prefix.endswith(TRUNKS):
        inside = [name for name in report.dropped if name.startswith(report.prefix)]
        layers = [name for name in inside if not ENDINGS.fullmatch(name.removeprefix(report.prefix))]
        if layers:
            raise CheckpointError(
                f"{report.source}: its trunk has layers that this one has not, {listing('without a place', layers)}, "
                f"and is another network without them. Bring in the whole model: resight import {report.source}"
            )


def refuse_misfits(report: WeightsReport, shapes: Mapping[str, tuple[torch.Size, torch.Size]], partial: bool) -> None:
    """Raise CheckpointError where too few tensors match."""
    if not report.matched:
        raise CheckpointError(
            f"{report.source} fits nothing here: it holds {listing('tensors', report.dropped)}, "
            f"expected {listing('tensors', report.missing)}. Is it another network?"
        )
    if shapes:
        name, (found, expected) = next(iter(sorted(shapes.items())))
        raise CheckpointError(
            f"{report.source}: {len(shapes)} tensors have another shape, first {name}: found {tuple(found)}, "
            f"expected {tuple(expected)}. Choose the backbone (name, width) these weights were trained with."
        )
    if report.missing and not partial:
        raise CheckpointError(f"{report}. Set backbone.partial = true to leave the missing ones as initialised.")
