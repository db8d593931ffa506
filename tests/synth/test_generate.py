"""Rendering a data set: the same bytes in any order, continued after a stop.  Needs the renderer."""

from __future__ import annotations

import csv
import errno
import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resight.errors import Interrupted, MissingExtraError, ResightError, UsageError
from resight.synth import SynthConfig, generate
from resight.synth.plan import plan
from resight.synth.scene.render import expose
from resight.synth.scene.shot import take

TINY = SynthConfig(seed=2, identities=4, cameras=2, images=1, distractors=1, junk=1, resolution=1.0, samples=1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mitsuba", reason="the renderer is not installed")
    root = tmp_path_factory.mktemp("synth") / "tiny"
    generate(TINY, root, workers=1)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_the_folder_holds_the_plan_and_its_papers(made: Path) -> None:
    papers = {"attributes.csv", "manifest.sha256", "card.md", "synth.json"}
    assert set(contents(made)) == {item.path for item in plan(TINY)} | papers


def test_the_manifest_holds_the_hash_of_every_picture(made: Path) -> None:
    lines = [line.split("  ") for line in (made / "manifest.sha256").read_text().splitlines()]
    assert len(lines) == len(plan(TINY))
    assert all(hashlib.sha256((made / path).read_bytes()).hexdigest() == found for found, path in lines)


def test_every_row_tells_who_where_and_how_hard(made: Path) -> None:
    with (made / "attributes.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    people = [row for row in rows if int(row["pid"]) > 0]
    assert len(rows) == len(plan(TINY))
    assert all(0.3 < float(row["visible"]) <= 1 and float(row["overlap"]) > 0.2 for row in people)
    assert all(row["attr.gender"] in "01" and row["dial.resolution"] == "1.0" for row in people)
    assert all(row["attr.gender"] == "" for row in rows if int(row["pid"]) <= 0)


def test_pictures_are_not_flat(made: Path) -> None:
    for path in made.rglob("0*.jpg"):
        assert np.asarray(Image.open(path), float).std() > 8


def test_other_order_and_other_processes_same_bytes(made: Path, tmp_path: Path) -> None:
    again = generate(TINY, tmp_path / "again", workers=2)
    assert again.made == again.pictures
    assert contents(tmp_path / "again") == contents(made)


def test_a_stopped_run_goes_on_and_ends_the_same(made: Path, tmp_path: Path) -> None:
    root = tmp_path / "stopped"

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="4 of"):
        generate(TINY, root, workers=1, progress=stop)
    with (root / ".journal.jsonl").open("a") as journal:
        journal.write('{"path": "query/0003')  # what a kill in the middle of a line leaves
    first = next(root.glob("*/*.jpg"))
    first.write_bytes(first.read_bytes()[:100])  # and a picture that is not what was noted
    summary = generate(TINY, root, workers=1)
    assert summary.made == summary.pictures - 3
    assert contents(root) == contents(made)


def test_asking_again_makes_nothing(made: Path) -> None:
    assert generate(TINY, made, workers=1).made == 0


def test_a_folder_of_something_else_is_left_alone(made: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another data set"):
        generate(replace(TINY, seed=3), made, workers=1)
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="not empty"):
        generate(TINY, tmp_path, workers=1)
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / "synth.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(UsageError, match="another data set"):
        generate(TINY, tmp_path, workers=1)


def test_a_file_is_no_folder_to_make_people_in(tmp_path: Path) -> None:
    (tmp_path / "people").write_text("a list of names")
    with pytest.raises(UsageError, match="is a file"):
        generate(TINY, tmp_path / "people", workers=1)


@pytest.mark.parametrize("full_after", [0, 1, 5])
def test_a_full_disk_is_a_sentence_and_the_same_call_goes_on(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_after: int
) -> None:
    left, write = [full_after], Path.write_bytes

    def cramped(path: Path, data: bytes) -> int:
        left[0] -= 1
        if left[0] < 0:
            write(path, data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(path, data)

    far = f"after {full_after - 1} of 10 pictures" if full_after > 1 else "before any new picture"
    with monkeypatch.context() as disk:
        disk.setattr(Path, "write_bytes", cramped)
        with pytest.raises(ResightError, match=rf"No space left .* {far}.* goes on"):
            generate(TINY, tmp_path / "full", workers=1)
    generate(TINY, tmp_path / "full", workers=1)
    assert contents(tmp_path / "full") == contents(made)


def test_a_stop_while_looking_at_what_is_there_can_be_continued(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(made, tmp_path / "again")

    def stop(_: Path) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as looking:
        looking.setattr(sys.modules["resight.synth.generate"], "_hash", stop)
        with pytest.raises(Interrupted, match="before any new picture; the same"):
            generate(TINY, tmp_path / "again", workers=1)
    assert generate(TINY, tmp_path / "again", workers=1).made == 0


def test_the_table_as_parquet_says_the_same_with_types(made: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    root = tmp_path / "set"
    shutil.copytree(made, root)
    generate(TINY, root, workers=1, parquet=True)
    rows = parquet.read_table(root / "attributes.parquet").to_pylist()
    with (root / "attributes.csv").open(newline="") as lines:
        plain = list(csv.DictReader(lines))
    assert [row["path"] for row in rows] == [row["path"] for row in plain]
    for typed, text in zip(rows, plain, strict=True):
        numbers = {name: value for name, value in typed.items() if not isinstance(value, str)}
        assert numbers == {name: float(text[name]) if text[name] else None for name in numbers}
        assert {name for name in typed if name not in numbers} == {"path", "split", "obstacle", "sha256"}


def test_without_pyarrow_nothing_is_rendered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("mitsuba", reason="the renderer is not installed")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"resight\[parquet\]"):
        generate(TINY, tmp_path / "nowhere", parquet=True)
    assert not (tmp_path / "nowhere").exists()


def test_the_projection_agrees_with_the_renderer(made: Path) -> None:
    """A white ball is seen where the camera's own arithmetic says."""
    import mitsuba as mi

    from resight.synth.scene import render

    item = plan(TINY)[0]
    shot = take(TINY, item)
    where = np.array([1.1, 0.7, 0.9])
    x, y = shot.camera.project(where[None])[0]
    window = (int(x) - 30, int(y) - 20, int(x) + 30, int(y) + 20)
    ball = {"type": "sphere", "center": list(where), "radius": 0.1, "emitter": {"type": "area", "radiance": 1.0}}
    scene = {
        "type": "scene",
        "integrator": {"type": "path"},
        "camera": render._sensor(shot.camera, window, 4),
        "ball": ball,
    }
    light = np.array(mi.render(mi.load_dict(scene), spp=4)).mean(axis=2)
    middle = [float((light * axis).sum() / light.sum()) for axis in np.mgrid[0:40, 0:60]]
    assert middle == pytest.approx([y - window[1] - 0.5, x - window[0] - 0.5], abs=0.6)


def test_a_person_stands_out_from_the_place(made: Path) -> None:
    """Leaving the person out changes the picture where the tight box is."""
    shot = take(TINY, next(item for item in plan(TINY) if item.kind == "person"))
    with_, without = expose(TINY, shot), expose(TINY, replace(shot, shown=False))
    changed = np.abs(with_.light - without.light).mean(axis=2) > 0.02
    assert changed.mean() > 0.1


def test_without_the_renderer_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from resight.synth.scene import render

    render._mitsuba.cache_clear()
    monkeypatch.setitem(sys.modules, "mitsuba", None)
    with pytest.raises(MissingExtraError, match=r"resight\[synth\]"):
        generate(TINY, tmp_path / "nowhere")
    render._mitsuba.cache_clear()
    assert not (tmp_path / "nowhere").exists()
