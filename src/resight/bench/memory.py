"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

GIB = 2**30
STATUS = Path("/proc/self/status")


def peak_memory(device: torch.device) -> float:
    """GiB: what torch has had allocated on a CUDA device at once, elsewhere the process's largest resident set."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / GIB
    return _peak_resident() / GIB


def _peak_resident() -> int:
    """Bytes.  Linux keeps it beside the process; what getrusage says there includes the parent's at its birth."""
    for line in STATUS.read_text("utf-8").splitlines() if STATUS.exists() else ():
        if line.startswith("VmHWM:"):  # which some sandboxes leave out
            return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
