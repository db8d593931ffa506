"""The loop as a whole, on a network small enough for seconds: learning, resuming, stopping, recovering."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resight import data
from resight.data.loading import decode
from resight.errors import CheckpointError, DatasetError, Interrupted, RecipeError, TrainingError
from resight.inference import evaluate
from resight.recipe import Recipe
from resight.run import Run, train
from resight.training.monitoring.progress import Silent
from tests.people import write_people
from tests.tiny import StopAt, tiny


def weights(run: Run) -> dict[str, torch.Tensor]:
    return run.model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_learns_and_leaves_a_run(people: Path, tmp_path: Path) -> None:
    run = train(tiny(people, "train.epochs=20"), tmp_path / "run")
    losses = [line["parts"]["identity"] for line in run.journal if line["event"] == "train"]
    assert losses[-1] < 0.7 * losses[0]
    assert {"recipe.toml", "model.safetensors", "state.pt", "journal.jsonl", "card.json"} <= {
        path.name for path in run.folder.iterdir()
    }
    assert run.card["data"]["identities"] == 6
    assert Run.open(tmp_path / "run").recipe == run.recipe


def test_a_damaged_card_is_a_sentence(tmp_path: Path) -> None:
    assert Run(tmp_path).card == {}
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"card.json is not JSON"):
        Run(tmp_path).card  # noqa: B018


def test_same_seed_same_weights_other_seed_others(people: Path, tmp_path: Path) -> None:
    first = weights(train(tiny(people), tmp_path / "a"))
    assert same(first, weights(train(tiny(people), tmp_path / "b")))
    assert not same(first, weights(train(tiny(people, "seed=1"), tmp_path / "c")))


def test_a_frozen_trunk_keeps_its_weights_and_its_statistics(people: Path, tmp_path: Path) -> None:
    frozen = "optim.groups=[{match = 'backbone.*', lr = 0}]"
    short = weights(train(tiny(people, frozen, "train.epochs=1"), tmp_path / "short"))
    long = weights(train(tiny(people, frozen, "train.epochs=2"), tmp_path / "long"))
    changed = {name for name in short if not torch.equal(short[name], long[name])}
    assert any("running_mean" in name for name in short if name.startswith("backbone."))
    assert changed and not any(name.startswith("backbone.") for name in changed)


@pytest.mark.parametrize("stop", [2, 6, 10])  # in mid-epoch, at an epoch's end, near the end
def test_a_resumed_run_equals_an_uninterrupted_one(people: Path, tmp_path: Path, stop: int) -> None:
    plan = tiny(
        people,
        "train.ema=0.9",
        "augment.flip=0.5",
        "augment.erase=0.5",
        "augment.patch=0.5",
        "optim.clip_norm=5.0",
    )
    whole = train(plan, tmp_path / "whole")
    with pytest.raises(Interrupted, match="The same command goes on"):
        train(plan, tmp_path / "halves", display=StopAt(stop))
    halves = train(plan, tmp_path / "halves")
    assert same(weights(whole), weights(halves))
    assert _lines(whole) == _lines(halves)


def _lines(run: Run) -> list[tuple[object, ...]]:
    return [
        (line["step"], line["total"], tuple(line["parts"].items())) for line in run.journal if line["event"] == "train"
    ]


def test_a_run_killed_in_mid_epoch_goes_on_from_its_last_save(people: Path, tmp_path: Path) -> None:
    class Kill(Silent):
        def advance(self, done: int, note: str = "") -> None:
            if note and done == 8:
                raise SystemError("the machine died")

    whole = train(tiny(people), tmp_path / "whole")
    with pytest.raises(SystemError):
        train(tiny(people), tmp_path / "killed", display=Kill())
    assert same(weights(whole), weights(train(tiny(people), tmp_path / "killed")))


def test_a_finished_run_is_left_as_it_is(people: Path, tmp_path: Path) -> None:
    run = train(tiny(people), tmp_path / "run")
    before = (run.folder / "model.safetensors").stat().st_mtime_ns
    train(tiny(people), tmp_path / "run")
    assert (run.folder / "model.safetensors").stat().st_mtime_ns == before


def test_another_recipe_does_not_go_on_over_a_run(people: Path, tmp_path: Path) -> None:
    train(tiny(people, "train.epochs=1"), tmp_path / "run")
    with pytest.raises(CheckpointError, match="run of another recipe"):
        train(tiny(people, "train.epochs=1", "optim.lr=1e-4"), tmp_path / "run")
    assert Run.open(tmp_path / "run").recipe.optim.lr == 3e-3  # and leaves its recipe alone
    train(tiny(people, "train.epochs=1", "optim.lr=1e-4"), tmp_path / "run", fresh=True)


def test_a_run_of_an_earlier_version_is_read_and_continued(people: Path, tmp_path: Path) -> None:
    """It called keys, options and losses otherwise, and its recipe had another hash."""
    changes = ("augment.gray=0.1", "feed.main.sampler=random", "feed.main.batch_size=6",
               "objective.terms.identity.label_smoothing=0.1", "objective.terms.triplet.loss=center")  # fmt: skip
    plan = tiny(people, *changes)
    whole = train(plan, tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(plan, tmp_path / "run", display=StopAt(6))
    text = (tmp_path / "run" / "recipe.toml").read_text()
    for now, then in (("batch_size =", "batch ="), ("gray =", "grey ="), ("label_smoothing =", "smoothing ="),
                      ('loss = "center"', 'loss = "centre"')):  # fmt: skip
        assert now in text
        text = text.replace(now, then)
    (tmp_path / "run" / "recipe.toml").write_text(text)
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    state["recipe"] = "0123456789ab " + state["recipe"].split()[1]
    del state["precision"]
    torch.save(state, tmp_path / "run" / "state.pt")
    assert Run.open(tmp_path / "run").recipe == plan
    assert same(weights(whole), weights(train(plan, tmp_path / "run")))
    with pytest.raises(RecipeError, match="Did you mean 'batch_size'"):
        Recipe.load(_written(tmp_path / "earlier.toml", text))


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_second_thread_may_train(people: Path, tmp_path: Path) -> None:
    thread = threading.Thread(target=train, args=(tiny(people, "train.epochs=1"), tmp_path / "run"))
    thread.start()
    thread.join()
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_a_loss_that_is_not_finite_stops_with_its_name(people: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"not finite at step \d+.*broke"):
        train(tiny(people, "optim.lr=1e30", "optim.name=sgd"), tmp_path / "run")


def test_the_best_epoch_is_chosen_on_held_out_identities(people: Path, tmp_path: Path) -> None:
    run = train(tiny(people, "validate.on=held_out", "validate.fraction=0.34", "validate.every=1"), tmp_path / "run")
    scores = [line["mAP"] for line in run.journal if line["event"] == "validation"]
    assert len(scores) == 4
    assert run.model.spec.num_ids == 4
    assert (run.folder / "last.safetensors").exists()


def test_validation_decodes_its_pictures_once_and_agrees_with_evaluate(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: Counter[str] = Counter()
    whole = decode.decode_bytes

    def counted(data: bytearray, name: str) -> Any:
        seen[hashlib.sha256(data).hexdigest()] += 1
        return whole(data, name)

    monkeypatch.setattr(decode, "decode_bytes", counted)
    dataset = data.load_dataset("market", root=people)
    run = train(tiny(people, "validate.on=test", "validate.every=1"), tmp_path / "run")
    scores = [line["mAP"] for line in run.journal if line["event"] == "validation"]
    assert len(scores) == 4 and set(seen.values()) == {1}
    assert len(seen) == len(dataset.train) + len(dataset.query) + len(dataset.gallery)
    assert max(scores) == pytest.approx(evaluate(run.model, dataset, precision="fp32").report.mAP, abs=1e-6)


def test_the_global_generator_is_left_alone(people: Path, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(tiny(people, "train.epochs=1"), tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_unreadable_pictures_are_told_and_left_out(people: Path, tmp_path: Path) -> None:
    broken = write_people(tmp_path / "broken")
    first, second, *_ = sorted((broken / "bounding_box_train").iterdir())
    first.write_bytes(b"")
    second.write_bytes(second.read_bytes()[:200])
    said: list[str] = []

    class Listen(Silent):
        def say(self, message: str) -> None:
            said.append(message)

    run = train(tiny(broken, "train.epochs=1"), tmp_path / "run", display=Listen())
    assert any(first.name in line for line in said)
    assert any("2 of 36 training pictures cannot be read" in line for line in said)
    assert run.card["data"]["pictures"] == 34


def test_a_wrong_recipe_is_answered_before_any_picture_is_read(tmp_path: Path) -> None:
    root = write_people(tmp_path / "people")
    for path in root.rglob("*.jpg"):
        path.write_bytes(b"not a picture")
    with pytest.raises(RecipeError, match="no output 'features.globl'"):
        train(tiny(root, "objective.terms.triplet.on=features.globl"), tmp_path / "run")
    with pytest.raises(RecipeError, match=r"model: .*stronk"):
        train(tiny(root, "model.name=stronk_baseline"), tmp_path / "run")
    with pytest.raises(DatasetError, match="none of the 36 pictures can be read"):
        train(tiny(root), tmp_path / "run")


def test_a_plain_and_a_streamed_run_are_one(people: Path, tmp_path: Path) -> None:
    cached = train(tiny(people, "train.epochs=1"), tmp_path / "cached")
    streamed = train(tiny(people, "train.epochs=1", "data.pixels=stream"), tmp_path / "streamed")
    assert same(weights(cached), weights(streamed))


def test_attribute_heads_learn_from_csv_columns(people: Path, tmp_path: Path) -> None:
    table = tmp_path / "people.csv"
    rows = ["path,pid,camid,split,attr.hat,attr.age"]
    for path in sorted((people / "bounding_box_train").iterdir()):
        pid = int(path.name[:4])
        rows.append(f"bounding_box_train/{path.name},{pid},{path.name[6]},train,{pid % 2},{pid % 3}")
    for folder, split in (("query", "query"), ("bounding_box_test", "gallery")):
        rows += [
            f"{folder}/{p.name},{int(p.name[:4])},{p.name[6]},{split},," for p in sorted((people / folder).iterdir())
        ]
    table.write_text("\n".join(rows))
    plan = tiny(
        people,
        "train.epochs=8",
        "data.name=csv",
        f'data.root="{table}"',
        f'data.images="{people}"',
        "model.attributes=all",
    )
    term = {
        "name": "attributes",
        "loss": "cross_entropy",
        "on": "logits.attribute/*",
        "target": "attributes.*",
    }
    values = plan.to_dict()
    values["objective"]["terms"].append(term)
    run = train(Recipe.from_dict(values), tmp_path / "run")
    losses = [line["parts"]["attributes"] for line in run.journal if line["event"] == "train"]
    assert losses[-1] < losses[0]
    assert run.model.spec.options["attributes"] == {"age": 3, "hat": 2}


def test_bf16_with_an_average_stays_finite(people: Path, tmp_path: Path) -> None:
    run = train(
        tiny(people, "train.precision=bf16", "train.ema=0.99", "schedule.name=cosine", "schedule.warmup=1"),
        tmp_path / "run",
    )
    assert all(np.isfinite(line["total"]) for line in run.journal if line["event"] == "train")


def test_more_people_a_batch_than_there_are_is_a_sentence(people: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"feed.main.ids is 16, but the training set has 6 persons"):
        train(tiny(people, "feed.main.ids=16"), tmp_path / "run")


def test_hold_out_keeps_people_apart(people: Path) -> None:
    dataset = data.hold_out(data.load_dataset("market", root=people), 0.34, 0)
    trained = {sample.pid for sample in dataset.train}
    assert not trained & {sample.pid for sample in dataset.query + dataset.gallery}
