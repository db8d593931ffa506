"""Splitting one's own pictures and writing them in another form."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from resight.cli.data.data import command
from resight.data import load_dataset
from resight.data.dataset import SPLITS, Dataset
from resight.data.doctor.label_checks import check_labels
from resight.data.formats.filename_pattern import Pattern
from resight.data.formats.unsplit import read_unsplit, split
from resight.data.formats.writer import FORMS, write
from resight.data.splits import matches
from resight.errors import DatasetError, UnknownNameError, UsageError
from resight.types import UNKNOWN_CAMERA, Sample

from . import forms
from .made import market, picture, pictures


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def _meaning(dataset: Dataset, keep_frames: bool = True) -> list[tuple[object, ...]]:
    """What a data set says, whatever its files are called; persons by the order of their numbers."""
    pids = sorted({sample.pid for part in SPLITS for sample in dataset.split(part) if sample.pid > 0})
    return sorted(
        (
            part,
            pids.index(sample.pid) + 1 if sample.pid > 0 else sample.pid,
            sample.camid,
            (-1 if sample.frame is None else sample.frame) if keep_frames else 0,
            tuple(sorted(sample.attributes.items())),
            hashlib.sha256(sample.path.read_bytes()).hexdigest(),
        )
        for part in SPLITS
        for sample in dataset.split(part)
    )


_attributes = st.dictionaries(st.sampled_from(["hat", "bag"]), st.integers(0, 3))
_sample = st.tuples(st.sampled_from(SPLITS), st.integers(1, 9), st.integers(0, 12), st.integers(0, 10**6), _attributes)
_extra = st.sampled_from([0, -1])


Row = tuple[str, int, int, int, dict[str, int]]


def _made(folder: Path, rows: list[Row], nobody: list[int], cameras: bool) -> Dataset:
    samples = [
        Sample(
            picture(folder / f"{i}.{'png' if i % 3 else 'jpg'}", i),
            pid,
            camid if cameras else UNKNOWN_CAMERA,
            part,  # type: ignore[arg-type]
            "made",
            frame,
            attributes,
        )
        for i, (part, pid, camid, frame, attributes) in enumerate(rows)
    ]
    samples += [
        Sample(picture(folder / f"n{i}.jpg", 1000 + i), pid, 1, "gallery", "made", i) for i, pid in enumerate(nobody)
    ]
    parts = {part: tuple(sample for sample in samples if sample.split == part) for part in SPLITS}
    return Dataset("made", "1", folder, parts["train"], parts["query"], parts["gallery"])


PAIRS = [(there, onward) for there in sorted(FORMS) for onward in sorted(FORMS)]


@pytest.mark.parametrize(("there", "onward"), PAIRS, ids=lambda form: form)
@settings(max_examples=3, deadline=None)
@given(st.lists(_sample, max_size=6), st.lists(_extra, max_size=2), st.booleans())
def test_there_and_onward_and_back_loses_nothing(
    there: str, onward: str, rows: list[Row], nobody: list[int], cameras: bool
) -> None:
    """Any set written in one form, that in another, and that in the first again; frames are lost where it is said."""
    for part in SPLITS:  # every form needs one of each
        rows = [*rows, (part, 1, 1, 5, {})]
    forms_on_the_way = (there, onward, there)
    frames = "list" not in forms_on_the_way
    with tempfile.TemporaryDirectory() as folder:
        dataset = _made(Path(folder) / "pictures", rows, nobody, cameras or "market" in forms_on_the_way)
        expected, said = _meaning(dataset, frames), False
        for number, form in enumerate(forms_on_the_way):
            out = Path(folder) / (f"{number}.csv" if form == "csv" else str(number))
            written = write(dataset, form, out)
            dataset = load_dataset(form, out, keep_junk=True, **written.options)
            said = said or any("frame" in note for note in written.notes)
            assert _meaning(dataset, frames) == expected
        assert said == (not frames)


def test_the_line_after_writing_reads_what_was_written(tmp_path: Path) -> None:
    root, table = market(tmp_path / "all of them"), tmp_path / "tables" / "all.csv"
    said = _run("convert", root, "--form", "csv", "--out", table).output
    line = next(line for line in said.splitlines() if line.startswith("check:"))
    words = shlex.split(line.removeprefix("check:"))
    assert words[:3] == ["resight", "data", "check"] and f"images={root}" in words
    checked = _run(*words[2:], "--json")
    assert checked.exit_code == 0, checked.output
    train = next(line for line in said.splitlines() if line.startswith("train:"))
    assert shlex.split(train)[-1] == f"data.images={root}"


def test_a_link_is_written_under_its_own_name(tmp_path: Path) -> None:
    root = market(tmp_path)
    shown = root / "query" / "0001_c1s1_001051_00.jpg"
    shown.unlink()
    shown.symlink_to(root / "bounding_box_test" / "0001_c2s1_001053_01.jpg")
    dataset = load_dataset("market", root)
    write(dataset, "csv", root / "all.csv")
    assert load_dataset("csv", root / "all.csv").counts() == dataset.counts()


def test_what_a_form_cannot_hold_is_refused(tmp_path: Path) -> None:
    both = Sample(picture(tmp_path / "a.jpg"), 1, 1, "query", "made")
    classic = Dataset("made", "1", tmp_path, query=(both,), gallery=(replace(both, split="gallery"),))
    with pytest.raises(DatasetError, match=r"a.jpg is both query and gallery.*format folder"):
        write(classic, "csv", tmp_path / "x.csv")
    write(classic, "folder", tmp_path / "both")
    strange = Sample(picture(tmp_path / "a.ppm"), 1, 1, "train", "made")
    with pytest.raises(DatasetError, match=r"a.ppm would not be found again.*format csv"):
        write(Dataset("made", "1", tmp_path, train=(strange,)), "folder", tmp_path / "ppm")
    for name in ("line\nbreak.jpg", " blank.jpg", os.fsdecode(b"\xff.jpg")):
        odd = Sample(picture(tmp_path / name), 1, 1, "train", "made")
        with pytest.raises(DatasetError, match="cannot stand in a table"):
            write(Dataset("made", "1", tmp_path, train=(odd,)), "csv", tmp_path / "x.csv")
    with pytest.raises(DatasetError, match="no picture to write"):
        write(Dataset("made", "1", tmp_path), "csv", tmp_path / "x.csv")


def test_lost_frames_and_made_up_ones_are_said(tmp_path: Path) -> None:
    dataset = load_dataset("csv", forms.table(tmp_path / "t"))
    assert "running numbers" in write(dataset, "market", tmp_path / "m").notes[0]


def test_market_names_do_not_fake_cameras(tmp_path: Path) -> None:
    dataset = load_dataset("folder", forms.people(tmp_path / "p"), cameras="ignore")
    with pytest.raises(DatasetError, match="unknown, and Market-1501's names must say one"):
        write(dataset, "market", tmp_path / "m")


def test_what_is_in_the_way_stays(tmp_path: Path) -> None:
    dataset = load_dataset("market", market(tmp_path / "m"))
    with pytest.raises(DatasetError, match="in the way"):
        write(dataset, "folder", tmp_path / "m")
    with pytest.raises(DatasetError, match="does not end in .csv"):
        write(dataset, "csv", tmp_path / "m" / "all.txt")
    table = tmp_path / "elsewhere" / "all.csv"
    written = write(dataset, "csv", table)
    assert written.options == {"images": str(tmp_path / "m")}
    assert load_dataset("csv", table, **written.options).counts() == dataset.counts()
    with pytest.raises(DatasetError, match=r"all.csv is in the way.*--replace"):
        write(dataset, "csv", table)
    assert write(dataset, "csv", table, replace=True) == written
    with pytest.raises(UnknownNameError, match="form to write"):
        write(dataset, "tar", tmp_path / "x")


def test_links_share_the_bytes_and_copies_do_not(tmp_path: Path) -> None:
    dataset = load_dataset("market", market(tmp_path / "m"))
    write(dataset, "folder", tmp_path / "linked")
    write(dataset, "folder", tmp_path / "copied", "copy")
    first = next((tmp_path / "linked" / "train").rglob("*.jpg"))
    assert first.stat().st_nlink == 2
    assert next((tmp_path / "copied" / "train").rglob("*.jpg")).stat().st_nlink == 1


def test_names_of_persons_are_kept_or_their_loss_is_said(tmp_path: Path) -> None:
    root = pictures(
        tmp_path / "set", ["train/ann b/a.jpg", "train/bob/b.jpg", "gallery/eve/c.jpg", "gallery/eve/d.jpg"]
    )
    dataset = load_dataset("folder", root)
    assert set(dataset.people.values()) == {"ann b", "bob", "eve"}
    assert not any("names" in note for note in write(dataset, "folder", tmp_path / "folder").notes)
    assert load_dataset("folder", tmp_path / "folder").people == dataset.people
    known = load_dataset("folder", root)
    known = replace(known, train=tuple(replace(s, camid=1) for s in known.train),
                    query=tuple(replace(s, camid=1) for s in known.query),
                    gallery=tuple(replace(s, camid=2) for s in known.gallery))  # fmt: skip
    for form in ("list", "market"):
        notes = write(known, form, tmp_path / form).notes
        assert any("names of 3 persons are not kept" in note and "ann b is 1" in note for note in notes)
    odd = replace(dataset, people={**dataset.people, 1: "../x"})
    assert any("not kept" in note for note in write(odd, "folder", tmp_path / "odd").notes)


# patterns


@pytest.mark.parametrize(
    ("pattern", "name", "fields"),
    [
        ("{pid}_c{camid}_{frame}", "anna-b_c2_0017.jpg", {"pid": "anna-b", "camid": "2", "frame": "0017"}),
        ("{pid}_*", "0012_whatever_it_is.png", {"pid": "0012"}),
        ("cam{camid}/{pid}/*", "cam3/0042/x.jpg", {"camid": "3", "pid": "0042"}),
        ("{pid}(c{camid})", "7(c1).jpg", {"pid": "7", "camid": "1"}),
        ("{pid}_c{camid}", "7_c.jpg", None),
        ("{pid}_c{camid}", "José_María 2_c3.jpg", {"pid": "José_María 2", "camid": "3"}),
        ("cam{camid}/{pid}/*", "cam3/Ölaf_x/1.jpg", {"camid": "3", "pid": "Ölaf_x"}),
        ("{pid}_*", "anna_maria_1.jpg", {"pid": "anna"}),
        ("{pid}_{camid}", "7_1_2.jpg", None),
    ],
)
def test_a_pattern_reads_a_whole_name(pattern: str, name: str, fields: dict[str, str] | None, tmp_path: Path) -> None:
    assert Pattern(pattern).read(tmp_path / "run_9_c9" / name, tmp_path / "run_9_c9").fields == fields


@pytest.mark.parametrize("pattern", ["c{camid}", "{pid}_{pid}", "{person}_{camid}", "{pid}{}"])
def test_a_pattern_without_a_person_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match=r"Use \{pid\} once"):
        Pattern(pattern)


# splitting


def _people(root: Path, persons: int = 8, cameras: int = 2) -> Path:
    return pictures(
        root, [f"{pid:03d}/c{cam}_{i}.jpg" for pid in range(persons) for cam in range(1, cameras + 1) for i in range(3)]
    )


def test_a_folder_per_person_is_split_by_person(tmp_path: Path) -> None:
    root = _people(tmp_path / "people")
    result = _run("split", root, "--camera", r"c(\d)", "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 0 and answer["counts"]["train"] == {"ids": 4, "images": 24, "cameras": 2}
    dataset = load_dataset("csv", root / "split.csv")
    assert not check_labels(dataset) or all(finding.level == "note" for finding in check_labels(dataset))
    assert len(dataset.query) == 8 and len(dataset.gallery) == 16
    again = _run("split", root, "--camera", r"c(\d)", "--out", root / "again.csv")
    assert again.exit_code == 0
    assert (root / "again.csv").read_text() == (root / "split.csv").read_text()
    other = _run("split", root, "--camera", r"c(\d)", "--seed", 5, "--out", root / "other.csv")
    assert other.exit_code == 0 and (root / "other.csv").read_text() != (root / "split.csv").read_text()


def test_names_with_a_pattern_are_tried_and_split(tmp_path: Path) -> None:
    names = [f"p{pid}_cam{cam}_{i:04d}.jpg" for pid in range(6) for cam in (1, 2) for i in range(2)]
    root = pictures(tmp_path / "crops", names)
    result = _run("split", root, "--pattern", "p{pid}_cam{camid}_{frame}", "--form", "market", "--out", tmp_path / "m")
    assert result.exit_code == 0, result.exception
    assert result.stderr.count("->") == 10 and "camid=1" in result.stderr
    dataset = load_dataset("market", tmp_path / "m")
    assert dataset.num_ids == 3 and all(sample.frame is not None for sample in dataset.train)
    wrong = _run("split", root, "--pattern", "{pid}_{camid}")
    assert isinstance(wrong.exception, DatasetError) and "does not fit 10 of 10 names tried" in str(wrong.exception)


def test_persons_keep_their_names_in_a_table(tmp_path: Path) -> None:
    names = ["ann", "bob", "cy", "dora"]
    root = pictures(tmp_path / "own", [f"{name}/{i}.jpg" for name in names for i in range(2)])
    parted = split(read_unsplit(root), cameras="ignore")
    write(parted, "csv", root / "split.csv")
    assert {line.split(",")[1] for line in (root / "split.csv").read_text().splitlines()[1:]} == set(names)
    again = load_dataset("csv", root)
    assert again.people == parted.people == dict(enumerate(names, start=1))
    assert [sample.pid for sample in again.query] == [sample.pid for sample in parted.query]
    lost = replace(again, gallery=(), train=(), query=again.query[:1])
    lost = replace(lost, gallery=(replace(again.train[0], split="gallery"),))
    asked = again.people[lost.query[0].pid]
    assert any(f"not in the gallery (persons {asked})" in finding.what for finding in check_labels(lost))


@pytest.mark.parametrize("name", [" ann", "an\nn"])
def test_names_a_table_cannot_hold_become_numbers(name: str, tmp_path: Path) -> None:
    root = pictures(tmp_path, ["a.jpg", "b.jpg"])
    samples = tuple(Sample(root / file, pid, 1, "train", "made") for pid, file in ((1, "a.jpg"), (2, "b.jpg")))
    write(Dataset("made", "1", root, train=samples, people={1: name, 2: "bob"}), "csv", root / "x.csv")
    assert load_dataset("csv", root).people == {}


def test_a_split_without_cameras_says_so_in_every_result(tmp_path: Path) -> None:
    root = _people(tmp_path / "people")
    result = _run("split", root)
    assert "any camera rule" in result.output and "cross camera" not in result.output
    dataset = load_dataset("csv", root / "split.csv")
    assert dataset.version == "split, any camera"
    assert _run("split", root, "--camera", r"c(\d)", "--replace").exit_code == 0
    assert load_dataset("csv", root / "split.csv").version == "split"
    assert load_dataset("csv", root / "split.csv", cameras="ignore").version == "split, any camera"


def test_attributes_and_nobody_come_along(tmp_path: Path) -> None:
    root = _people(tmp_path / "people")
    picture(root / "distractor" / "x.jpg", 900)
    (root / "attributes.csv").write_text("pid,attr.hat\n001,1\n")
    everyone = read_unsplit(root)
    assert {s.attributes.get("hat") for s in everyone.train if "/001/" in s.path.as_posix()} == {1}
    assert [s.split for s in split(everyone).gallery if s.pid == 0] == ["gallery"]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["train/1/a.jpg", "test/2/a.jpg", "query/2/b.jpg"], "is split already: it holds query, test, train"),
        (["cam1/1.jpg", "cam2/1.jpg", "Camera_3/1.jpg"], "look like cameras, not persons"),
    ],
)
def test_folders_that_are_no_persons_are_not_split(names: list[str], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=sentence):
        read_unsplit(pictures(tmp_path, names))


def test_a_table_without_splits_is_split(tmp_path: Path) -> None:
    root = pictures(tmp_path, [f"{i}.jpg" for i in range(12)])
    rows = [f"{i}.jpg,{'abcdef'[i // 2]},{i % 2 + 1},{i % 3}" for i in range(12)]
    (root / "all.csv").write_text("\n".join(["path,pid,camid,attr.hat", *rows]) + "\n")
    result = _run("split", root / "all.csv", "--test", 0.34)
    assert result.exit_code == 0, result.exception
    dataset = load_dataset("csv", root / "all_split.csv")
    assert dataset.num_ids == 4 and dataset.train[1].attributes["hat"] in (0, 1, 2)
    for option, value in (("--pattern", "{pid}"), ("--camera", r"c(\d)")):
        refused = _run("split", root / "all.csv", option, value)
        assert isinstance(refused.exception, UsageError) and "columns say all" in str(refused.exception)
    refused = _run("split", root, "--pattern", "{pid}", "--camera", r"c(\d)")
    assert "in a pattern the camera is {camid}" in str(refused.exception)


def test_one_camera_is_declared_not_faked(tmp_path: Path) -> None:
    root = _people(tmp_path / "people", cameras=1)
    strict = _run("split", root, "--camera", r"c(\d)")
    assert isinstance(strict.exception, DatasetError) and "--cameras ignore" in str(strict.exception)
    declared = _run("split", root, "--camera", r"c(\d)", "--cameras", "ignore")
    assert declared.exit_code == 0 and "any camera rule" in declared.output
    dataset = load_dataset("csv", root / "split.csv")
    assert {sample.camid for sample in dataset.query} == {UNKNOWN_CAMERA}
    assert ",-1," not in (root / "split.csv").read_text()  # nothing, not a number
    assert all(any(matches(query, other) for other in dataset.gallery) for query in dataset.query)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(-1, 3)), min_size=12, max_size=60),
    st.floats(0.05, 0.95),
    st.integers(0, 3),
)
def test_a_split_is_by_person_and_every_query_has_an_answer(
    rows: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    samples = tuple(Sample(Path(f"{i:03d}.jpg"), pid, cam, "train", "people") for i, (pid, cam) in enumerate(rows))
    try:
        parted = split(Dataset("people", "x", Path(), train=samples), test=fraction, seed=seed)
    except DatasetError:
        return
    parts = [{sample.path for sample in parted.split(part)} for part in SPLITS]
    assert sum(map(len, parts)) == len(samples) == len(set.union(*parts))
    learnt = {sample.pid for sample in parted.train}
    assert not learnt & {sample.pid for sample in (*parted.query, *parted.gallery)} and len(learnt) >= 2
    assert all(any(matches(query, other) for other in parted.gallery) for query in parted.query)


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (["a.jpg", "b.jpg"], {}, "in no person's folder"),
        (["notes.txt"], {}, "holds no picture"),
        (["1/a.jpg", "2/a.jpg"], {}, "shows 2 persons; a split needs at least 3"),
    ],
)
def test_what_cannot_be_split_says_why(
    names: list[str], options: dict[str, str], sentence: str, tmp_path: Path
) -> None:
    for name in names:
        if name.endswith("jpg"):
            picture(tmp_path / name)
        else:
            (tmp_path / name).write_text("x")
    with pytest.raises(DatasetError, match=sentence):
        split(read_unsplit(tmp_path, **options))
    with pytest.raises(DatasetError, match="does not exist"):
        read_unsplit(tmp_path / "nowhere")


def test_convert_between_forms_on_the_command_line(tmp_path: Path) -> None:
    root = market(tmp_path / "m")
    result = _run("convert", root, "--form", "folder", "--out", tmp_path / "f")
    assert result.exit_code == 0 and "data.name=folder" in result.output
    result = _run("convert", tmp_path / "f", "--form", "csv", "--out", tmp_path / "f" / "all.csv", "--json")
    assert result.exit_code == 0
    back = load_dataset("csv", tmp_path / "f" / "all.csv", keep_junk=True)
    assert _meaning(back) == _meaning(load_dataset("market", root, keep_junk=True))
    flat = pictures(tmp_path / "flat", ["a.jpg"])
    refused = _run("convert", flat, "--form", "csv", "--out", tmp_path / "x.csv")
    assert isinstance(refused.exception, UsageError) and "Split it first" in str(refused.exception)
    refused = _run("split", flat, "--form", "folder", "--pattern", "{pid}")
    assert "--out" in str(refused.exception)
