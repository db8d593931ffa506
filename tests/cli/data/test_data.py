"""One's own data on the command line, as in docs/data.md; and what is checked before training and evaluating."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from PIL import Image

from resight.cli import group, main
from resight.data import load_dataset
from resight.data.dataset import SPLITS
from resight.inference.embeddings import Vectors
from tests.people import write_people
from tests.tiny import tiny

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[3] / "docs" / "data.md"
TINY = ["train.epochs=1", "feed.main.ids=2", "feed.main.images=2", "model.input_size=[64, 32]"]


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Exit code, output and complaints of a command, as the console script gives them."""
    try:
        main([str(argument) for argument in arguments])
        code = 0
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder, and beside it the people it was trained on."""
    folder = tmp_path_factory.mktemp("trained")
    people = write_people(folder / "people")
    (folder / "tiny.toml").write_text(tiny(people).to_toml())
    made = CliRunner().invoke(group, ["train", str(folder / "tiny.toml"), "--out", str(folder / "run")])
    assert made.exit_code == 0, made.exception
    return folder / "run"


def one_camera(root: Path) -> Path:
    for path in write_people(root).rglob("*.jpg"):
        path.rename(path.with_name(path.name.replace("_c2s", "_c1s")))
    return root


def no_match(root: Path) -> Path:
    for path in (write_people(root) / "query").iterdir():
        path.rename(path.with_name("9" + path.name[1:]))
    return root


def one_person(root: Path) -> Path:
    for path in (write_people(root) / "bounding_box_train").iterdir():
        path.rename(path.with_name("0001" + path.name[4:]))
    return root


# the doctor stops what cannot end well


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (one_camera, "Every picture has camera 1"),
        (no_match, "8 of 8 queries ask for persons who are not in the gallery"),
    ],
)
def test_evaluation_stops_with_the_doctors_sentence(
    build: Callable[[Path], Path], sentence: str, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = build(tmp_path / "set")
    code, out, said = run(capsys, "evaluate", trained, "--dataset", "market", "--root", root)
    assert (code, out) == (1, "")
    assert said.startswith("Error: market: ") and sentence in said
    assert "Traceback" not in said and "Assertion" not in said
    assert not (trained / "evaluation").exists()


def test_the_cure_for_one_camera_can_be_pasted(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = one_camera(tmp_path / "set")
    _, _, said = run(capsys, "evaluate", trained, "--dataset", "market", "--root", root)
    cure = re.search(r"--set \S+?(?=\))", said)
    assert cure is not None
    arguments = ["evaluate", trained, "--dataset", "market", "--root", root, *cure.group().split(), "--json"]
    code, out, said = run(capsys, *arguments, "--out", tmp_path / "result")
    assert code == 0, said
    assert json.loads(out)["context"]["version"] == "set, any camera"


@pytest.mark.parametrize(
    ("build", "settings", "sentence"),
    [
        (one_person, [], "All 36 training pictures belong to 1 person"),
        (one_camera, ["validate.on=test"], "Every picture has camera 1"),  # before the first epoch, not after it
        (no_match, ["validate.on=test"], "not in the gallery"),
    ],
)
def test_training_stops_with_the_doctors_sentence(
    build: Callable[[Path], Path],
    settings: list[str],
    sentence: str,
    trained: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = build(tmp_path / "set")
    changed = [f"--set={setting}" for setting in (f"data.root={root}", *settings)]
    code, _, said = run(capsys, "train", trained.parent / "tiny.toml", "--out", tmp_path / "run", *changed)
    assert code == 1 and sentence in said and "Traceback" not in said
    assert not (tmp_path / "run").exists()


def test_training_stops_where_nothing_could_be_evaluated(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All pictures by one camera: the cause and the cure before hours of work, and the cure is enough."""
    root = one_camera(tmp_path / "set")
    arguments = ["train", trained.parent / "tiny.toml", "--set", f"data.root={root}", "--out", tmp_path / "run"]
    code, _, said = run(capsys, *arguments)
    assert code == 1 and "Every picture has camera 1" in said and "cameras=ignore" in said
    assert not (tmp_path / "run" / "state.pt").exists()
    code, _, said = run(capsys, *arguments, "--set", "data.cameras=ignore")
    assert code == 0, said


def test_findings_are_printed_and_kept(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person in train and test, and a picture that cannot be decoded here: said by `train` and by `evaluate`."""
    root = write_people(tmp_path / "set")
    for path in (root / "bounding_box_train").glob("0001_*"):
        path.rename(path.with_name("0007" + path.name[4:]))  # 7 is a test person
    for folder in ("bounding_box_train", "bounding_box_test"):
        (root / folder / "0007_c1s1_999999_00.jpg").symlink_to("nowhere.jpg")
    settings = [f"data.root={root}", *TINY, "train.steps_per_epoch=1"]
    made = ["train", trained.parent / "tiny.toml", *(f"--set={setting}" for setting in settings)]
    code, _, said = run(capsys, *made, "--out", tmp_path / "run")
    assert code == 0 and "1 person is in train and in the test" in said
    assert "Bounding_box_train: left out links that lead nowhere (1): 0007_c1s1_999999_00.jpg." in said
    code, _, said = run(capsys, "evaluate", tmp_path / "run")
    assert code == 0 and "1 person is in train and in the test" in said
    assert "Bounding_box_test: left out links that lead nowhere (1)" in said
    kept = json.loads((tmp_path / "run/evaluation/market/result.json").read_text())["context"]["findings"]
    assert any("1 person is in train and in the test" in finding for finding in kept)
    assert any("links that lead nowhere" in finding for finding in kept)


def test_a_relative_root_is_found_from_another_folder_and_tables_stand_side_by_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.toml").write_text(tiny(write_people(Path("data/a"))).to_toml())
    settings = ["train.epochs=1", "train.steps_per_epoch=1"]
    assert run(capsys, "train", "a.toml", *(f"--set={setting}" for setting in settings), "--out", "run")[0] == 0
    for name, seed in (("a", 0), ("b", 1)):
        people = write_people(tmp_path / "tables" / name, seed=seed)
        written = ["data", "convert", people, "--form", "csv", "--out", people / f"{name}.csv"]
        assert run(capsys, *written)[0] == 0
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    code, _, said = run(capsys, "evaluate", "../run")
    assert code == 0, said
    for name in ("a", "b"):
        code, _, said = run(capsys, "evaluate", "../run", "--dataset", "csv", "--root", f"../tables/{name}")
        assert code == 0, said
    kept = {path.parent: json.loads(path.read_text()) for path in tmp_path.glob("run/evaluation/csv*/result.json")}
    assert sorted(Path(record["context"]["root"]).name for record in kept.values()) == ["a", "b"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run" / "recipe.toml").write_text(tiny("data/a").to_toml())  # as the library leaves it
    monkeypatch.chdir("elsewhere")
    code, _, said = run(capsys, "evaluate", "../run")
    assert code == 0, said


def test_another_set_is_evaluated_on_by_name_and_options(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trained on one set, evaluated on another: a withdrawn one only by who says to know that."""
    root = tmp_path / "DukeMTMC-reID"
    for split in ("query", "bounding_box_test", "bounding_box_train"):
        for pid in (1, 2) if split == "bounding_box_train" else (5, 6):
            for cam in (1, 2):
                path = root / split / f"{pid:04d}_c{cam}_f{cam + len(split):07d}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16, 32), (40 * pid, 90 * cam, len(split) * 9)).save(path)
    arguments = ["evaluate", trained, "--dataset", "duke", "--root", tmp_path, "--out", tmp_path / "result", "--json"]
    code, _, said = run(capsys, *arguments)
    assert code == 2 and "without their consent" in said and "acknowledge_withdrawn=True" in said
    code, out, said = run(capsys, *arguments[:-1], "--set", "acknowledge_withdrawn=true",
                         "--set", "assert_counts=off", "--json")  # fmt: skip
    assert code == 0, said
    record = json.loads(out)
    assert record["context"]["dataset"] == "dukemtmcreid" and "withdrawn" in record["context"]["version"]


# the page, as pasted


def blocks() -> list[str]:
    """The lines to paste of the part "Your own data", but those that only say something."""
    part = PAGE.read_text("utf-8").split("## Your own data")[1].split("\n### ")[0]
    lines = [line for block in re.findall(r"```\n(.*?)```", part, re.DOTALL) for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folders that the page names, full of synthetic people, and the one it begins with."""
    people = [
        (f"person{pid}", pid, cam, path)
        for path in sorted(write_people(tmp_path / "source", train_ids=8, test_ids=0).rglob("*.jpg"))
        for pid, cam in [(int(path.name[:4]), int(path.name[6]))]
    ]
    rows = ["path,pid,camid"]
    for number, (name, pid, cam, path) in enumerate(people):
        for place in (
            f"my_people/{name}/{number}.jpg",
            f"shop/{pid:04d}/x_c{cam}_{number}.jpg",
            f"crops/{pid:04d}_c{cam}_{number:06d}.jpg",
            f"cams/cam{cam}/{pid:04d}/{number}.jpg",
        ):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, tmp_path / place)
        rows.append(f"crops/{pid:04d}_c{cam}_{number:06d}.jpg,{name},{cam}")
    (tmp_path / "people.csv").write_text("\n".join(rows))
    shutil.copyfile(people[0][3], tmp_path / "query.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_can_be_followed_as_pasted(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = blocks()
    assert len(lines) == 11
    for line in lines:
        words = shlex.split(line)
        assert words[0] == "resight"
        extra = [word for setting in TINY for word in ("--set", setting)] if words[1] == "train" else []
        code, out, said = run(capsys, *words[1:], *extra)
        assert code == (1 if words[1:3] == ["data", "check"] else 0), f"{line}\n{out}\n{said}"
    for table in ("my_people/split.csv", "shop/split.csv", "crops/split.csv", "cams/split.csv", "people_split.csv"):
        code, out, said = run(capsys, "data", "check", own / table)
        assert code == 0 and "sound" in out, said
    assert (own / "runs/mine/report/index.html").is_file()
    kept = Vectors.load(own / "people.npz")
    read = load_dataset("csv", own / "my_people/split.csv")
    numbers = {sample.path.name: sample.pid for part in SPLITS for sample in read.split(part)}
    assert [numbers[kept.path(row).name] for row in range(len(kept))] == kept.pids.tolist()  # words, numbered alike
    assert "any camera" in json.loads((own / "runs/mine/evaluation/csv/result.json").read_text())["context"]["version"]
