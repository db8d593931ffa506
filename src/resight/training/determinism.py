"""Steps that repeat bit for bit: seeds, and deterministic kernels on CUDA."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # without it matrix products over several streams may differ


def mix(*numbers: int) -> int:
    """One 63-bit seed out of several numbers, well spread."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextlib.contextmanager
def repeatable(device: torch.device, wanted: bool) -> Iterator[None]:
    """Context with deterministic CUDA operations; if not `wanted`, cuDNN's fastest by trial.

    An operation without such a form is carried out all the same, and torch warns of it.  Elsewhere nothing changes:
    a processor repeats itself by nature.  What was set before is set again afterwards.
    """
    if device.type != "cuda":
        yield
        return
    if wanted:
        os.environ.setdefault(WORKSPACE, ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    filled = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    cudnn = torch.backends.cudnn
    chosen = cudnn.benchmark, cudnn.deterministic
    cudnn.benchmark, cudnn.deterministic = not wanted, wanted
    try:
        yield
    finally:
        cudnn.benchmark, cudnn.deterministic = chosen
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filled  # type: ignore[attr-defined]
