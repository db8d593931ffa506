"""What a run survives: damage, a full disk, pictures that vanish, SIGTERM, kills, a loss that blows up."""

from __future__ import annotations

import contextlib
import errno
import multiprocessing
import os
import random
import shutil
import signal
import time
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from resight.cli import main
from resight.errors import CheckpointError, DatasetError, Interrupted, NotFiniteError, TrainingError
from resight.recipe import Recipe
from resight.run import Run, train
from resight.training.checkpointing import checkpoint
from resight.training.checkpointing.checkpoint import load_state
from resight.training.checkpointing.nan_recovery import Recovery
from resight.training.monitoring.journal import Journal
from resight.training.monitoring.progress import Silent
from tests.tiny import tiny

# a memory, a pool of patches, an average: whatever has a state
EVERYTHING = ("objective.terms.triplet.memory=20", "objective.terms.triplet.memory_start=2", "augment.erase=0.5",
              "augment.patch=0.5", "schedule.name=cosine", "train.log_every=1", "train.ema=0.9")  # fmt: skip


def recipe(people: Path, *settings: str) -> Recipe:
    return tiny(people, *EVERYTHING, *settings)


class Listen(Silent):
    """Remembers what is said; at a step, does something, once."""

    def __init__(self, step: int = 10**9, what: Any = None) -> None:
        self.step, self.what = step, what
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    def advance(self, done: int, note: str = "") -> None:
        if note and done >= self.step:
            self.step = 10**9
            self.what()


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def same(a: Run, b: Run) -> bool:
    one, two = a.model.state_dict(), b.model.state_dict()
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def events(run: Run, name: str) -> list[dict[str, Any]]:
    return [line for line in run.journal if line["event"] == name]


@pytest.fixture(scope="module")
def whole(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run nothing happens to."""
    return train(recipe(people), tmp_path_factory.mktemp("whole"))


def interrupted(people: Path, folder: Path, step: int) -> Path:
    with pytest.raises(Interrupted):
        train(recipe(people), folder, display=Listen(step, stop))
    return folder / "state.pt"


# Damage


def flipped(path: Path, place: float, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    path.write_bytes(bytes(data))


def spoilt(path: Path, bit: int) -> None:
    """A bit flipped in the middle of the largest tensor: elsewhere it may fall into padding nobody reads."""
    with zipfile.ZipFile(path) as archive:
        largest = max(archive.infolist(), key=lambda member: member.file_size)
    start = path.read_bytes().index(largest.filename.encode())
    flipped(path, (start + largest.file_size / 2) / path.stat().st_size, bit)


@pytest.mark.parametrize("damage", ["torn", "flipped", "emptied"])
def test_a_damaged_state_falls_back_to_the_one_before_and_ends_the_same(
    people: Path, whole: Run, tmp_path: Path, damage: str
) -> None:
    state = interrupted(people, tmp_path, 7)
    if damage == "flipped":
        spoilt(state, 3)
    else:
        state.write_bytes(state.read_bytes()[: 0 if damage == "emptied" else 20_000])
    listen = Listen()
    run = train(recipe(people), tmp_path, display=listen)
    assert "state.pt is damaged; going on from state.pt.previous." in listen.said
    assert same(run, whole)


def test_any_single_flipped_bit_is_noticed_or_harmless(tmp_path: Path) -> None:
    path, draws = tmp_path / "state.pt", random.Random(0)
    state: dict[str, Any] = {"step": 7, "weights": torch.randn(500), "names": ["a", "b"], "rate": 0.5}
    checkpoint.save_state(path, state)
    sound, noticed = path.read_bytes(), 0
    for _ in range(100):
        path.write_bytes(sound)
        flipped(path, draws.random(), draws.randrange(8))
        try:
            found = checkpoint.load_state(path)
        except CheckpointError:
            noticed += 1
            continue
        assert found is not None
        assert torch.equal(found.pop("weights"), state["weights"])
        assert found == {"format": 1} | {name: value for name, value in state.items() if name != "weights"}
    assert noticed > 60


def test_two_damaged_states_are_an_error_and_no_new_start(people: Path, tmp_path: Path) -> None:
    state = interrupted(people, tmp_path, 7)
    spoilt(state, 0)
    spoilt(state.with_name("state.pt.previous"), 0)
    journal = (tmp_path / "journal.jsonl").read_text()
    with pytest.raises(CheckpointError, match=r"state\.pt \(.*state\.pt\.previous \(.*are damaged.*--fresh"):
        train(recipe(people), tmp_path)
    assert (tmp_path / "journal.jsonl").read_text() == journal


# The disk


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:671] . unexpected pos 64 vs 0"),  # torch.save's own words
    ],
    ids=["system", "torch"],
)
def test_a_full_disk_ends_in_a_sentence_and_the_last_state_goes_on(
    people: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    sound, saves = torch.save, []

    def full(value: Any, path: Path) -> None:
        saves.append(path)
        if len(saves) > 5:
            path.write_bytes(b"some")
            raise error
        sound(value, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(CheckpointError, match=r"cannot write .*(No space left|full).*untouched; make room"):
            train(recipe(people), tmp_path)
    state = checkpoint.load_state(tmp_path / "state.pt")
    assert state is not None
    assert state["step"] == 5
    assert not [path.name for path in tmp_path.iterdir() if "partial" in path.name]
    assert same(train(recipe(people), tmp_path), whole)


def test_a_journal_that_cannot_grow_is_a_sentence_too(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    journal = Journal(tmp_path / "journal.jsonl")
    journal.close()
    with contextlib.suppress(OSError), Path("/dev/full").open("w", encoding="utf-8") as full:
        journal._handle = full
        with pytest.raises(CheckpointError, match=r"cannot write .*journal\.jsonl"):
            journal.write("train", 1)


def test_what_a_kill_in_mid_writing_left_is_cleared(people: Path, tmp_path: Path) -> None:
    interrupted(people, tmp_path, 3)
    for name in (".state.pt.123.partial", ".model.safetensors.x7", ".journal.jsonl.9.partial"):
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".notes").write_text("mine")
    train(recipe(people), tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == [".notes"]


# The pictures


def test_pictures_that_vanish_end_in_a_sentence_and_may_come_back(people: Path, whole: Run, tmp_path: Path) -> None:
    root = tmp_path / "people"
    shutil.copytree(people, root)
    pictures, away = root / "bounding_box_train", root / "elsewhere"
    plan = recipe(root, "data.pixels=stream")
    with pytest.raises(DatasetError, match=r"no longer can.*stopped at step \d+ .*Bring the pictures back"):
        train(plan, tmp_path / "run", display=Listen(5, lambda: pictures.rename(away)))
    state = checkpoint.load_state(tmp_path / "run" / "state.pt")
    assert state is not None
    assert state["step"] >= 5
    away.rename(pictures)
    assert same(train(plan, tmp_path / "run"), whole)


def test_a_cache_that_is_removed_meanwhile_is_not_missed(
    people: Path, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIGHT_CACHE", str(tmp_path / "cache"))
    listen = Listen(5, lambda: shutil.rmtree(tmp_path / "cache"))
    assert same(train(recipe(people, "data.pixels=cache"), tmp_path / "run", display=listen), whole)
    assert not (tmp_path / "cache").exists()


# A loss that is no number

WILD = ("optim.name=sgd", "optim.lr=1e30", "train.recover_factor=1e-33", "train.ema=0", "schedule.name=constant")


def test_recovery_goes_back_lowers_the_rate_and_says_so(people: Path, tmp_path: Path) -> None:
    listen = Listen()
    run = train(recipe(people, *WILD, "train.recover=2"), tmp_path / "run", display=listen)
    (line,) = events(run, "recovery")
    assert (line["step"], line["number"], line["rate"]) == (0, 1, 1e-33)
    assert 0 < line["broke"] <= 3
    assert any("Going back to step 0" in said and "recovery 1 of 2" in said for said in listen.said)
    steps = events(run, "train")
    assert [step["step"] for step in steps] == list(range(1, 13))  # as if the broken steps had never been
    assert all(step["lr"] == pytest.approx(1e-3) for step in steps)


def test_after_recovery_a_run_is_the_run_with_the_lower_rate(people: Path, tmp_path: Path) -> None:
    recovered = train(recipe(people, *WILD, "train.recover=1"), tmp_path / "recovered")
    tame = train(recipe(people, *WILD, "optim.lr=1e-3"), tmp_path / "tame")
    assert all(
        torch.allclose(one, two, rtol=1e-6)
        for one, two in zip(recovered.model.state_dict().values(), tame.model.state_dict().values(), strict=True)
    )


def test_the_lowered_rate_survives_a_resume(people: Path, tmp_path: Path) -> None:
    plan = recipe(people, *WILD, "train.recover=2")
    expected = train(plan, tmp_path / "whole")
    for step in (1, 4, 8):  # soon after going back, and later
        with pytest.raises(Interrupted):
            train(plan, tmp_path / "parts", display=Listen(step, stop))
    run = train(plan, tmp_path / "parts")
    assert same(run, expected)
    assert len(events(run, "recovery")) == 1


def test_recovery_ends_after_so_many_times(people: Path, tmp_path: Path) -> None:
    plan = recipe(people, *WILD, "train.recover=2", "train.recover_factor=0.5")
    with pytest.raises(TrainingError, match=r"not finite at step \d+.*tried 2 times again at a lower rate"):
        train(plan, tmp_path / "run")
    assert [line["rate"] for line in events(Run.open(tmp_path / "run"), "recovery")] == [0.5, 0.25]


def test_a_second_recovery_finds_the_good_state_as_it_was() -> None:
    """An optimiser writes into the tensors it was handed: they have to be copies, of what was kept as well."""
    weight, error = torch.zeros(2), NotFiniteError("broke")
    recovery = Recovery(2, 0.5)
    recovery.keep({"optimizer": {0: [weight]}, "step": 3})
    weight.add_(1)
    for used in (1, 2):
        good = recovery.back(error)
        assert (good["step"], recovery.used, recovery.rate) == (3, used, 0.5**used)
        assert torch.equal(good["optimizer"][0][0], torch.zeros(2))
        good["optimizer"][0][0].add_(1)
    with pytest.raises(NotFiniteError, match="broke It was tried 2 times"):
        recovery.back(error)


def test_going_back_does_not_forget_the_best_score_so_far(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first epoch scores best; the second breaks and is gone through again: the first one's weights are kept."""
    from resight.losses import CrossEntropy

    sound, calls, evaluated = CrossEntropy.forward, iter(range(1000)), list[dict[str, torch.Tensor]]()

    def breaks_once(self: CrossEntropy, logits: torch.Tensor, pids: torch.Tensor) -> torch.Tensor:
        return sound(self, logits, pids) * (torch.nan if next(calls) == 4 else 1.0)

    def ever_worse(model: torch.nn.Module, *_: Any, **__: Any) -> Any:
        evaluated.append({name: value.clone() for name, value in model.state_dict().items()})
        return SimpleNamespace(report=SimpleNamespace(mAP=1 / len(evaluated), rank=lambda _: 0.0))

    monkeypatch.setattr(CrossEntropy, "forward", breaks_once)
    monkeypatch.setattr("resight.assembly.evaluate", ever_worse)
    held = ("validate.on=held_out", "validate.fraction=0.34", "validate.every=1", "train.recover=1")
    run = train(recipe(people, *held), tmp_path / "run")
    assert [(line["step"], line["broke"]) for line in events(run, "recovery")] == [(3, 4)]
    assert [line["step"] for line in events(run, "validation")] == [3, 6, 9, 12]
    kept = run.model.state_dict()
    assert all(torch.equal(kept[name], evaluated[0][name]) for name in kept)


@pytest.mark.parametrize(
    ("settings", "says"),
    [(["optim.clip_norm=1.0"], r"gradient is not: .*broke"), ([], r"a weight is no longer a number at step 1 ")],
)
def test_a_gradient_that_is_no_number_is_never_saved(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], says: str
) -> None:
    from resight.losses import CrossEntropy

    sound = CrossEntropy.forward

    def steep(self: CrossEntropy, logits: torch.Tensor, pids: torch.Tensor) -> torch.Tensor:
        root: torch.Tensor = (0 * logits).sqrt()  # 0, with a slope of infinity times 0
        return sound(self, logits, pids) + root.sum()

    monkeypatch.setattr(CrossEntropy, "forward", steep)
    with pytest.raises(TrainingError, match=says):
        train(recipe(people, *settings), tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize("evaluated", [False, True])
def test_a_weight_that_is_no_number_is_never_saved(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: bool
) -> None:
    """The step before an epoch's end breaks it: what lies on the disk is from before, or the run goes back."""
    plan = ["validate.on=held_out", "validate.fraction=0.34", "validate.every=1"] if evaluated else []
    sound = train(recipe(people, *plan), tmp_path / "sound")
    clean, descend, calls = tmp_path / "run", torch.optim.Adam.step, iter(range(1000))

    def breaks(self: torch.optim.Adam) -> None:
        descend(self)
        if next(calls) == 2:  # the last step of the first epoch
            self.param_groups[0]["params"][0].data[0].fill_(torch.inf)

    monkeypatch.setattr(torch.optim.Adam, "step", breaks)
    with pytest.raises(TrainingError, match=r"a weight is no longer a number at step 3 .*: "):
        train(recipe(people, *plan, "train.save_seconds=0"), clean)
    assert not (clean / "model.safetensors").exists()
    kept = load_state(clean / "state.pt")
    assert kept is not None and kept["step"] == 2
    monkeypatch.setattr(torch.optim.Adam, "step", descend)
    again = train(recipe(people, *plan, "train.save_seconds=0"), clean)
    torch.testing.assert_close(again.model.state_dict(), sound.model.state_dict(), rtol=0, atol=0)
    calls = iter(range(1000))
    monkeypatch.setattr(torch.optim.Adam, "step", breaks)
    run = train(recipe(people, *plan, "train.recover=1"), tmp_path / "recovered")
    assert [(line["step"], line["broke"]) for line in events(run, "recovery")] == [(0, 3)]


# Signals outside the loop


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_stopped_while_it_starts_is_resumable_too(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    (tmp_path / "tiny.toml").write_text(recipe(people).to_toml())
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("resight.run.load_data", lambda _: os.kill(os.getpid(), number))
    with pytest.raises(SystemExit, match="75"):
        main(["train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / "run")])
    assert "resight: stopped at once. The same command goes on" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


# Kills


def _train(people: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    with contextlib.suppress(Interrupted):
        train(recipe(people, "train.epochs=8"), folder)


def test_kills_at_any_moment_change_nothing(people: Path, tmp_path: Path) -> None:
    """kill -9, three times, while something is saved after every step.  benchmarks/kills.py does it fifty times."""
    multiprocessing.set_forkserver_preload(["torch", "resight.run"])
    context, draws, folder = multiprocessing.get_context("forkserver"), random.Random(0), tmp_path / "killed"
    for _ in range(3):
        child = context.Process(target=_train, args=(people, folder))
        child.start()
        before = _stamp(folder)
        while child.is_alive() and _stamp(folder) == before:
            time.sleep(0.002)
        time.sleep(draws.uniform(0, 0.3))
        child.kill()
        child.join()
    assert same(
        train(recipe(people, "train.epochs=8"), folder), train(recipe(people, "train.epochs=8"), tmp_path / "whole")
    )


def _stamp(folder: Path) -> int:
    try:
        return (folder / "state.pt").stat().st_mtime_ns
    except OSError:
        return 0
