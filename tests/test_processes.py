"""How processes meet, wait for one another, and notice that one is gone."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as c10d

from resight.dist import processes, rank, world_size
from resight.dist.processes import (
    first_to_report,
    gather_objects,
    local_rank_zero_first,
    max_over_ranks,
    on_rank_zero,
    process_group,
)
from resight.errors import DatasetError, TrainingError, UnknownNameError, UsageError
from tests.ranks import launch, run


def test_alone_nothing_is_waited_for() -> None:
    with process_group():
        assert (
            world_size(),
            on_rank_zero(lambda: 3),
            local_rank_zero_first(lambda: 4),
            gather_objects(5),
            max_over_ranks(6),
        ) == (1, 3, 4, [5], 6)
        assert first_to_report("a") and first_to_report("a")


def test_one_whom_nobody_joins_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": 0, "WORLD_SIZE": 2, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}.items():
        monkeypatch.setenv(name, str(value))
    patient = c10d.init_process_group
    monkeypatch.setattr(c10d, "init_process_group", partial(patient, timeout=timedelta(seconds=1)))
    with (
        pytest.raises(TrainingError, match=f"rank 0 of 2 did not find all the others at 127.0.0.1:{port}"),
        process_group("cpu"),
    ):
        pytest.fail("went on alone")


def _words(folder: str) -> dict[str, Any]:
    heard: dict[str, Any] = {}
    with process_group():
        with process_group():  # nested: the inner one does nothing
            heard["everyones"] = gather_objects(rank() * 10)
        heard["highest"] = [max_over_ranks(rank()), max_over_ranks(-rank())]
        heard["first"] = on_rank_zero(lambda: f"said by {rank()}")
        heard["order"] = local_rank_zero_first(lambda: _signed(Path(folder) / "order"))
        heard["failed"] = [
            _error(on_rank_zero, UnknownNameError("key", "a", ["b"])),
            _error(local_rank_zero_first, DatasetError("x")),
        ]
        heard["said"] = [first_to_report("one"), first_to_report("two")]
    return heard


def _signed(file: Path) -> str:
    """What was in the file when this process came to it."""
    before = file.read_text() if file.exists() else ""
    if not before:
        time.sleep(0.2)
        file.write_text(f"{rank()} was here")
    return before


def _error(how: Any, error: Exception) -> str:
    def work() -> None:
        raise error

    try:
        how(work)
    except type(error) as caught:
        return str(caught)
    return "nothing"


def test_words_are_the_same_for_all(tmp_path: Path) -> None:
    heard = run(3, _words, str(tmp_path))
    for each in heard:
        assert each["everyones"] == [0, 10, 20]
        assert each["highest"] == [2, 0]
        assert each["first"] == "said by 0"
        assert "no key named 'a'" in each["failed"][0]
        assert each["failed"][1] == "x"
    assert [each["order"] for each in heard] == ["", "0 was here", "0 was here"]
    assert [sum(each["said"][i] for each in heard) for i in (0, 1)] == [1, 1]


def _left() -> tuple[str, float]:
    """One process dies while the other waits for it."""
    processes.BEAT = 0.2
    began = time.monotonic()
    try:
        with process_group("cpu", lost_after=2.0):
            if rank() == 1:
                os._exit(9)
            gather_objects(0)
    except TrainingError as error:
        return str(error), time.monotonic() - began
    return "nothing was said", 0.0


def test_who_waits_for_a_dead_process_is_told_soon() -> None:
    first, second = launch(2, _left)
    assert second is None
    assert "a process of this run ended before the others; rank 0 of 2 noticed" in first[0]
    assert first[1] < 20


def _stuck(said: str, dies: bool) -> None:
    """One process is gone, or failed and lives on; the other is where no error reaches it, as in a device's queue."""
    processes.BEAT, processes.GRACE = 0.2, 0.5
    os.dup2(os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND), 2)
    with contextlib.suppress(UsageError), process_group("cpu", lost_after=2.0):
        if rank() == 1 and dies:
            os._exit(9)
        if rank() == 1:
            raise UsageError("only here")
        time.sleep(100)
    time.sleep(5)


@pytest.mark.parametrize("dies", [True, False])
def test_a_process_that_cannot_notice_is_ended(dies: bool, tmp_path: Path) -> None:
    began = time.monotonic()
    assert launch(2, _stuck, str(tmp_path / "said"), dies)[0] is None
    assert time.monotonic() - began < 40
    words = (tmp_path / "said").read_text()
    assert words.count("Error: a process of this run ended before the others; rank 0 of 2 noticed") == 1
    assert "the same command goes on" in words


def test_devices_that_cannot_be_shared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match="'mps' is neither"), process_group("mps"):
        pass
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UsageError, match="process 1 of this machine finds 1 CUDA devices"), process_group("cuda"):
        pass
