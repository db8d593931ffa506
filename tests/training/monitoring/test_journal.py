from __future__ import annotations

from pathlib import Path

import pytest

from resight.training.monitoring.journal import Journal, read


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    journal.write("train", 1, total=0.5)
    journal.write("validation", 2, mAP=0.25)
    journal.close()
    assert read(tmp_path / "journal.jsonl") == [
        {"event": "train", "step": 1, "total": 0.5},
        {"event": "validation", "step": 2, "mAP": 0.25},
    ]


def test_a_resumed_journal_forgets_what_will_happen_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    for step in (1, 2, 3):
        journal.write("train", step)
    journal.close()
    again = Journal(path, step=2)
    again.write("train", 3, again=True)
    again.close()
    assert [line["step"] for line in read(path)] == [1, 2, 3]
    assert read(path)[-1]["again"] is True


def test_a_fresh_journal_starts_empty(tmp_path: Path) -> None:
    for _ in range(2):
        journal = Journal(tmp_path / "journal.jsonl")
        journal.write("train", 1)
        journal.close()
    assert len(read(tmp_path / "journal.jsonl")) == 1


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text('{"event": "train", "step": 1}\n{"event": "tra')
    assert [line["step"] for line in read(tmp_path / "journal.jsonl")] == [1]


def test_tensorboard_gets_the_numbers(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    journal = Journal(tmp_path / "journal.jsonl", tensorboard=True)
    journal.write("train", 3, total=0.5, parts={"identity": 0.25}, word="not a number")
    journal.close()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {"train/total", "train/parts/identity"}
    assert events.Scalars("train/parts/identity")[0].step == 3
