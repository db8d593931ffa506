"""Nothing is sent: OpenVINO and NNCF report their use by themselves, unless they are kept from it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import socket, sys, threading
calls = []
def refuse(self, address):
    calls.append(address)
    raise OSError("no network in this test")
socket.socket.connect = refuse
import numpy as np
from resight.export.quantization import quantize
from resight.models.exported.runtimes import openvino
ov = openvino()
from openvino import opset13 as ops
pixels = ops.parameter([-1, 3, 16, 8], np.float32)
weights = ops.constant(np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32))
model = ov.Model([ops.convolution(pixels, weights, [1, 1], [1, 1], [1, 1], [1, 1])], [pixels])
quantize(model, [np.zeros((1, 3, 16, 8), np.float32)] * 2, None)
for thread in threading.enumerate():
    if thread is not threading.current_thread() and not thread.daemon:
        thread.join(10)
assert not calls, calls
assert sys.modules["openvino_telemetry"] is None
"""


@pytest.mark.slow
def test_quantization_opens_no_connection_and_leaves_no_mark(tmp_path: Path) -> None:
    pytest.importorskip("nncf")
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    kept |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=kept, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "intel").exists()  # where consent and a client's number would be kept
