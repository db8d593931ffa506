"""Run a function on several gloo processes and hand back what each returned."""

from __future__ import annotations

import multiprocessing
import os
import socket
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as c10d
import torch.multiprocessing as mp

if TYPE_CHECKING:
    from collections.abc import Callable


PRELOAD = ["torch", "torch.distributed", "resight.run"]


def run(world: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """work(*arguments) on each of `world` processes, in one process group; results by rank.

    `work` is a function of a module, its result anything torch.save takes.  The processes are forked from a
    clean server that has imported torch once.
    """
    multiprocessing.set_forkserver_preload(PRELOAD)
    with tempfile.TemporaryDirectory() as folder:
        handed = (world, folder, work, arguments)
        mp.start_processes(  # type: ignore[attr-defined, no-untyped-call]
            _enter, handed, nprocs=world, start_method="forkserver"
        )
        return [torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(world)]


def _enter(rank: int, world: int, folder: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    c10d.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=world,
        timeout=timedelta(minutes=10),
    )
    try:
        torch.save(work(*arguments), Path(folder) / f"{rank}.pt")
    finally:
        c10d.destroy_process_group()


def launch(world: int, work: Callable[..., Any], *arguments: Any, seconds: float = 120.0) -> list[Any]:
    """The same as torchrun leaves it: told by the environment where to meet; None of a process that never returned."""
    multiprocessing.set_forkserver_preload(PRELOAD)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("forkserver")
    with tempfile.TemporaryDirectory() as folder:
        handed = [(rank, world, port, folder, work, arguments) for rank in range(world)]
        processes = [context.Process(target=_told, args=each) for each in handed]
        for process in processes:
            process.start()
        for process in processes:
            process.join(seconds)
            process.kill()
        files = [Path(folder) / f"{rank}.pt" for rank in range(world)]
        return [torch.load(file, weights_only=False) if file.exists() else None for file in files]


def _told(rank: int, world: int, port: int, folder: str, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    told = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in told.items()})
    torch.save(work(*arguments), Path(folder) / f"{rank}.pt")


def backward(value: torch.Tensor) -> None:
    """value.backward(), which torch has not typed."""
    value.backward()  # type: ignore[no-untyped-call]


def own_share(rows: torch.Tensor) -> torch.Tensor:
    """This rank's block of a batch every rank has: (W n, ...) -> (n, ...)."""
    return rows.chunk(c10d.get_world_size())[c10d.get_rank()] if c10d.is_initialized() else rows


def averaged(tensor: torch.Tensor) -> torch.Tensor:
    """What data-parallel training makes of the ranks' gradients."""
    if not c10d.is_initialized():
        return tensor
    total = tensor.detach().clone()
    c10d.all_reduce(total)
    return total / c10d.get_world_size()
