from __future__ import annotations

import errno
import pickle
from pathlib import Path

import pytest
import torch

from resight.errors import CheckpointError
from resight.files import write_atomically
from resight.training.checkpointing.checkpoint import load_state, save_state


def test_a_state_comes_back(tmp_path: Path) -> None:
    save_state(tmp_path / "state.pt", {"step": 7, "tensor": torch.arange(3)})
    state = load_state(tmp_path / "state.pt")
    assert state is not None
    assert state["step"] == 7
    assert torch.equal(state["tensor"], torch.arange(3))


def test_no_state_is_none(tmp_path: Path) -> None:
    assert load_state(tmp_path / "state.pt") is None


def test_a_torn_state_falls_back_to_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1})
    save_state(path, {"step": 2})
    path.write_bytes(path.read_bytes()[:100])
    state = load_state(path)
    assert state is not None
    assert state["step"] == 1
    assert state["recovered_from"] == "state.pt.previous"


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    save_state(path, {"step": 1})
    path.replace(tmp_path / "state.pt.previous")
    state = load_state(path)
    assert state is not None and state["step"] == 1


def test_only_torn_states_are_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(CheckpointError, match="damaged"):
        load_state(tmp_path / "state.pt")


def test_nothing_in_a_state_is_executed(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "exploded").touch, ())

    for payload in (pickle.dumps({"format": 1, "step": Bomb()}), None):
        if payload is None:
            torch.save({"format": 1, "step": Bomb()}, tmp_path / "state.pt")
        else:
            (tmp_path / "state.pt").write_bytes(payload)
        with pytest.raises(CheckpointError):
            load_state(tmp_path / "state.pt")
        assert not (tmp_path / "exploded").exists()


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(partial: Path) -> None:
        partial.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match=r"cannot write .*No space left"):
        write_atomically(path, full)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_state_of_another_format_is_refused(tmp_path: Path) -> None:
    torch.save({"format": 999}, tmp_path / "state.pt")
    with pytest.raises(CheckpointError, match="format 999"):
        load_state(tmp_path / "state.pt")
