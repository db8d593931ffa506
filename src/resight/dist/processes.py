"""Processes of one run: joining the group, exchanging objects, barriers, and detection of a lost process.

    with process_group(device):                # launched by torchrun: joins the others; alone: nothing happens
        on_rank_zero(lambda: write(file))      # rank 0 writes, all wait, and all raise its error
        if max_over_ranks(int(stopped)): ...   # one was told to stop, all stop

All of it goes through gloo groups on the CPU, so that it may take long without blocking the device.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as c10d

from resight.dist import rank, world_size
from resight.errors import ResightError, TrainingError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

PATIENCE = timedelta(hours=2)  # for what is slow but alive: decoding a data set, writing to a slow disk
LOST = 30.0  # seconds without a sign of life after which a process is given up
BEAT = 5.0  # seconds between signs of life
GRACE = 10.0  # seconds in which the main thread may end by itself once another process is gone

GONE = (
    "a process of this run ended before the others; rank {rank} of {world} noticed ({why}). If it said why, its own "
    "message is above. What was saved is whole: the same command goes on from there, with as many processes or others."
)
ALONE = (
    "rank {rank} of {world} did not find all the others at {address} ({why}). Every process needs the same MASTER_ADDR, "
    "MASTER_PORT and WORLD_SIZE, and a RANK of its own; torchrun sets them, and ends all where one does not start."
)
_WIRE = re.compile(r"gloo|nccl|closed by peer|connection reset|broken pipe|timed? ?out", re.IGNORECASE)

_objects: c10d.ProcessGroup | None = None  # the group that objects go through; None: the default one


def local_rank() -> int:
    """Rank of this process on its machine, which is also the index of its device."""
    return int(os.environ.get("LOCAL_RANK", rank()))


@contextlib.contextmanager
def process_group(device: str = "auto", lost_after: float = LOST) -> Iterator[None]:
    """Join the processes that torchrun started, or those of an existing group; without either, run alone.

    device: auto, cuda or cpu; each process takes the device of its local rank.  lost_after: seconds without a sign
    of life until a process is given up.  Raises TrainingError when another process is gone, UsageError on a device
    that processes cannot share.  May be nested: the inner one does nothing.
    """
    global _objects
    if _objects is not None:
        yield
        return
    begun = _launched() and not c10d.is_initialized()
    if begun:
        with _rendezvous():
            _init_group(device)
    if world_size() == 1:
        yield
        return
    _objects = _gloo_group(PATIENCE)
    pulse = Heartbeat(lost_after)
    try:
        with _losing_a_process():
            yield
            gather_objects(None)  # no process leaves while another still needs it
        pulse.end(well=True)
        c10d.destroy_process_group(None if begun else _objects)
    except BaseException:
        pulse.end(well=False)
        raise
    finally:
        _objects = None


def on_rank_zero(work: Callable[[], T]) -> T:
    """Run `work()` on rank 0 while the others wait; return its result, or raise its ResightError, on every rank."""
    if world_size() == 1:
        return work()
    box: list[Any] = [_attempt(work) if rank() == 0 else None]
    c10d.broadcast_object_list(box, src=0, group=_objects)
    result, error = box[0]
    if error is not None:
        raise error
    found: T = result
    return found


def local_rank_zero_first(work: Callable[[], T]) -> T:
    """Run `work()` on every rank, on the first of each machine before the others, which then find its files."""
    if world_size() == 1:
        return work()
    first = local_rank() == 0
    result, error = _attempt(work) if first else (None, None)
    for each in gather_objects(error):
        if each is not None:
            raise each
    return result if first else work()  # type: ignore[return-value]


def gather_objects(value: T) -> list[T]:
    """Gather one picklable object from each rank, in their order."""
    if world_size() == 1:
        return [value]
    values: list[Any] = [None] * world_size()
    c10d.all_gather_object(values, value, group=_objects)
    return values


def max_over_ranks(value: int) -> int:
    """Maximum of a number over all ranks, on every rank."""
    if world_size() == 1:
        return value
    if _objects is None:
        return max(gather_objects(value))
    number = torch.tensor(value)
    c10d.all_reduce(number, c10d.ReduceOp.MAX, group=_objects)
    return int(number)


def first_to_report(message: str) -> bool:
    """Whether no other process has reported this message: W processes with one error print it once."""
    if world_size() == 1:
        return True
    store = c10d.distributed_c10d._get_default_store()
    try:
        return store.add(f"said/{hashlib.sha256(message.encode()).hexdigest()}", 1) == 1
    except RuntimeError:  # its keeper is gone
        return True


class Heartbeat:
    """Heartbeat in a thread of its own, every few seconds; ends this process if another one stops sending.

    An operation that waits for a process that is gone need not ever return, so the main thread cannot be relied on
    to notice; it is given some seconds to, since its own error says more.
    """

    FAILED, HERE, LEAVING = 0, 1, 2  # the least of all decides

    def __init__(self, lost_after: float) -> None:
        self._group = _gloo_group(timedelta(seconds=lost_after))
        self._state, self._hurry, self._over = self.HERE, threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="resight-pulse", daemon=True)
        self._thread.start()

    def end(self, *, well: bool) -> None:
        """Leave with all others, or report that this process failed."""
        self._state = self.LEAVING if well else self.FAILED
        self._over.set()
        self._hurry.set()
        self._thread.join(None if well else 1.0)
        if well:
            c10d.destroy_process_group(self._group)

    def _run(self) -> None:
        why = "it failed"
        try:
            state = torch.tensor(self.HERE)
            while int(state) == self.HERE:
                self._hurry.wait(BEAT)
                state = torch.tensor(self._state)
                c10d.all_reduce(state, c10d.ReduceOp.MIN, group=self._group)
            if int(state) == self.LEAVING:
                return
        except RuntimeError as error:
            why = _short(error)
        if not self._over.wait(GRACE):
            print(f"Error: {GONE.format(rank=rank(), world=world_size(), why=why)}", file=sys.__stderr__, flush=True)
            os._exit(1)


def _gloo_group(timeout: timedelta) -> c10d.ProcessGroup:
    """A gloo group of all processes, for small objects on the CPU."""
    group = c10d.new_group(backend="gloo", timeout=timeout)
    assert isinstance(group, c10d.ProcessGroup)  # every process is a member
    return group


def _launched() -> bool:
    return {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= os.environ.keys() and int(os.environ["WORLD_SIZE"]) > 1


def _init_group(device: str) -> None:
    """Start the process group: NCCL with one CUDA device per process, gloo on CPUs."""
    wanted = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if wanted not in ("cuda", "cpu"):
        raise UsageError(f"several processes run on cuda, one device each, or on cpu; {device!r} is neither.")
    if wanted == "cpu":
        c10d.init_process_group("gloo")
        return
    if local_rank() >= torch.cuda.device_count():
        raise UsageError(
            f"process {local_rank()} of this machine finds {torch.cuda.device_count()} CUDA devices; each process "
            f"needs its own. Start fewer with --nproc-per-node, or add --device cpu."
        )
    torch.cuda.set_device(local_rank())
    c10d.init_process_group("cpu:gloo,cuda:nccl", device_id=torch.device("cuda", local_rank()))


@contextlib.contextmanager
def _rendezvous() -> Iterator[None]:
    """Turn a failed rendezvous into a TrainingError."""
    try:
        yield
    except c10d.DistError as error:
        where = f"{os.environ['MASTER_ADDR']}:{os.environ.get('MASTER_PORT', 'no port')}"
        own, world = os.environ["RANK"], os.environ["WORLD_SIZE"]
        raise TrainingError(ALONE.format(rank=own, world=world, address=where, why=_short(error))) from error


@contextlib.contextmanager
def _losing_a_process() -> Iterator[None]:
    """Turn an operation that failed because another process is gone into a TrainingError."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, c10d.DistError) or _WIRE.search(str(error)):
            raise TrainingError(GONE.format(rank=rank(), world=world_size(), why=_short(error))) from error
        raise


def _attempt(work: Callable[[], T]) -> tuple[T | None, ResightError | None]:
    try:
        return work(), None
    except ResightError as error:
        return None, error


def _short(error: RuntimeError) -> str:
    """The first sentence of an error of torch, without its source file."""
    return re.sub(r"^\[[^\]]*\]\s*", "", str(error).splitlines()[0]).split(". ")[0].rstrip(".")
