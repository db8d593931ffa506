"""Garments as meshes tied to the base mesh."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("anny", reason="the body model is not installed")

from resight.errors import ResightError, UsageError
from resight.synth.body.model import Shape, body_model
from resight.synth.cast import draw_person
from resight.synth.clothing.fitted import catalog, matching

GRID = 16


def write_suit(folder: Path, name: str = "male_suit01", anchor: int = 4000, rows: str | None = None) -> Path:
    """Two sheets, a top and trousers, every vertex tied to one vertex of the base mesh and 1 dm off it."""
    lines, faces, count = [], [], 0
    for low, high in ((1.0, 7.0), (-7.0, 1.5)):
        x, y = np.meshgrid(np.linspace(-2, 2, GRID), np.linspace(low, high, GRID))
        lines += [f"v {a} {b} 0.5" for a, b in zip(x.ravel(), y.ravel(), strict=True)]
        for i in range(GRID - 1):
            for j in range(GRID - 1):
                at = count + i * GRID + j + 1
                faces.append(f"f {at}/1 {at + 1}/1 {at + GRID + 1}/1 {at + GRID}/1")
        count += GRID * GRID
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.obj").write_text("\n".join([*lines, *faces]))
    header = f"# made up\nname {name}\nobj_file {name}.obj\n"
    header += "x_scale 5399 11998 1.4\nz_scale 962 5320 2.0\ny_scale 791 881 2.4\nverts 0\nmaterial m\n"
    tied = f"{anchor} {anchor} {anchor} 0.5 0.25 0.25 0.0 0.0 1.0\n" * count
    file = folder / f"{name}.mhclo"
    file.write_text(header + (tied if rows is None else rows) + "delete_verts\n1 - 3\n")
    return file


def test_a_suit_is_a_top_and_trousers(tmp_path: Path) -> None:
    write_suit(tmp_path)
    found = catalog(str(tmp_path))
    assert sorted(found) == ["male_suit01/top", "male_suit01/trousers"]
    assert matching(str(tmp_path), "top", sex=0) == ("male_suit01/top",)
    assert matching(str(tmp_path), "top", sex=1) == ()
    assert matching(str(tmp_path), "top", long=True) == ()  # no sleeves that reach the wrists


def test_a_mesh_follows_its_anchor_and_grows_with_the_body(tmp_path: Path) -> None:
    write_suit(tmp_path)
    offsets = []
    for stature in (1.5, 1.8):
        rest = body_model().rest(Shape(0.0, 0.67, 0.5, 0.5, 0.5, stature))
        part = catalog(str(tmp_path))["male_suit01/top"].on(rest)
        away = part.vertices - rest.vertices[4000]
        assert np.ptp(away, axis=0).max() < 1e-9
        assert away[0, 1] > 0.02  # MakeHuman's z is ahead
        assert np.abs(away[0, [0, 2]]).max() < 1e-9
        offsets.append(away[0, 1])
    assert offsets[1] / offsets[0] == pytest.approx(1.8 / 1.5, rel=0.03)


def test_people_wear_what_the_folder_has(tmp_path: Path) -> None:
    write_suit(tmp_path)
    people = [draw_person(5, pid, pid, str(tmp_path)) for pid in range(40)]
    worn = {person.bottom.mesh for person in people}
    assert worn == {"", "male_suit01/trousers"}
    assert all(person.body.sex == 0 for person in people if person.bottom.mesh)
    assert all(not person.bottom.mesh for person in (draw_person(5, pid, pid) for pid in range(40)))


def test_lookalikes_share_their_meshes(tmp_path: Path) -> None:
    write_suit(tmp_path)
    garments = str(tmp_path)
    for wardrobe in range(25):
        one, two = (draw_person(5, pid, wardrobe, garments) for pid in (wardrobe, wardrobe + 500))
        if (one.bottom.hem < 0.25) == (two.bottom.hem < 0.25):
            assert one.bottom.mesh == two.bottom.mesh


def test_an_empty_folder_says_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.mhclo"):
        catalog(str(tmp_path))


@pytest.mark.parametrize("rows", ["", "1 2\n", "1 1 1 0.5 0.25 0.25 0 0 0\n"])
def test_a_broken_fitting_is_a_sentence(tmp_path: Path, rows: str) -> None:
    write_suit(tmp_path, rows=rows)
    with pytest.raises(ResightError, match="intact file"):
        catalog(str(tmp_path))


def test_a_fitting_for_another_base_mesh_is_refused(tmp_path: Path) -> None:
    write_suit(tmp_path, anchor=900_000)
    with pytest.raises(ResightError, match="base mesh"):
        catalog(str(tmp_path))
