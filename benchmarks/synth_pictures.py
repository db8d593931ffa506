"""The contact sheets of docs/synth.md.

python benchmarks/synth_pictures.py docs/pictures [PEOPLE]

synth_people.jpg     identities (rows) by cameras, from the bundled sample
synth_dials.jpg      the same picture as one dial after another turns from 0 to 1
synth_lookalikes.jpg identities of one wardrobe side by side
synth_attributes.jpg people with and without an attribute
synth_streets.jpg    crops of PEOPLE, a folder made with the preset `streets`; no other sheet is written then
"""

from __future__ import annotations

import csv
import random
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from resight.synth import DIALS, PRESETS, SynthConfig, sample_root
from resight.synth.picture import make
from resight.synth.plan import Item, plan
from resight.synth.scene.shot import Shot, take

WIDE, TALL, GAP, LABEL = 64, 128, 2, 74
Cell = Image.Image | None


def sheet(rows: list[tuple[str, list[Cell]]], file: Path) -> None:
    """Rows of crops, each with its label on the left."""
    columns = max(len(cells) for _, cells in rows)
    size = (LABEL + columns * (WIDE + GAP), len(rows) * (TALL + GAP))
    page = Image.new("RGB", size, "white")
    write = ImageDraw.Draw(page)
    for r, (label, cells) in enumerate(rows):
        write.text((4, r * (TALL + GAP) + TALL // 2 - 6), label, fill="black")
        for c, cell in enumerate(cells):
            if cell is not None:
                page.paste(cell, (LABEL + c * (WIDE + GAP), r * (TALL + GAP)))
    page.save(file, quality=85)
    print(f"{file}: {size[0]} x {size[1]}, {file.stat().st_size / 1000:.0f} kB")


def fitted(picture: Image.Image) -> Image.Image:
    return picture.convert("RGB").resize((WIDE, TALL), Image.Resampling.BICUBIC)


def rendered(config: SynthConfig, item: Item) -> Image.Image:
    return fitted(Image.open(BytesIO(make(config, item).data)))


def table() -> list[dict[str, str]]:
    with (sample_root() / "attributes.csv").open(newline="") as lines:
        return [row for row in csv.DictReader(lines) if int(row["pid"]) > 0]


def crop(row: dict[str, str]) -> Image.Image:
    return fitted(Image.open(sample_root() / row["path"]))


def clear(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Best seen first."""
    return sorted(rows, key=lambda row: (-float(row["visible"]) * float(row["overlap"]), row["path"]))


def people(rows: list[dict[str, str]], count: int = 8) -> list[tuple[str, list[Cell]]]:
    made: list[tuple[str, list[Cell]]] = []
    for pid in list(dict.fromkeys(row["pid"] for row in rows)):
        mine = [row for row in rows if row["pid"] == pid]
        if len({row["camid"] for row in mine}) < 4:
            continue
        cells: list[Cell] = []
        for camera in "1234":
            cells += [crop(row) for row in mine if row["camid"] == camera][:3]
        made.append((f"person {pid}", cells))
    return made[:count]


def dials() -> list[tuple[str, list[Cell]]]:
    """One dial a row; five steps of each of two people on whom it shows."""
    still = replace(
        PRESETS["sample"], misalign=0.1, occlude=0.0, lighting=0.2, resolution=0.1, lookalikes=0.0, clutter=0.0
    )
    items = [item for item in plan(still) if item.kind == "person" and item.index == 1]
    made: list[tuple[str, list[Cell]]] = []
    for dial in DIALS:
        if dial == "lookalikes":
            continue
        steps = [replace(still, **{dial: step}) for step in (0.0, 0.25, 0.5, 0.75, 1.0)]  # type: ignore[arg-type]
        shown = sorted(items, key=lambda item: (-effect(dial, take(steps[-1], item)), item.path))
        chosen = [shown[0], next(item for item in shown if item.camera != shown[0].camera)]
        made.append((dial, [rendered(config, item) for item in chosen for config in steps]))
    return made


def effect(dial: str, shot: Shot) -> float:
    """How much of a dial at 1 there is to see in a shot."""
    thing = shot.obstacle
    in_front = thing is not None and thing.kind in ("bicycle", "bush", "bin")
    others = sum(abs(other.where[0] - shot.target.where[0]) < 0.6 for other in shot.others)
    return {
        "misalign": abs(shot.box.shift[0]) + abs(shot.box.shift[1]),
        "occlude": -abs(thing.where[0] - shot.target.where[0]) if thing is not None and in_front else -9.0,
        "lighting": abs(shot.camera.sensor.exposure * shot.moment.exposure - 1.5)
        + 3 * float(np.std(shot.camera.sensor.gains)),
        "resolution": -shot.moment.motion,
        "clutter": float(others),
    }[dial]


def lookalikes(rows: list[dict[str, str]], count: int = 4) -> list[tuple[str, list[Cell]]]:
    made: list[tuple[str, list[Cell]]] = []
    for wardrobe in dict.fromkeys(row["wardrobe"] for row in rows):
        pids = list(dict.fromkeys(row["pid"] for row in rows if row["wardrobe"] == wardrobe))
        if len(pids) > 1:
            cells: list[Cell] = []
            for pid in pids[:3]:
                cells += [*(crop(row) for row in clear([row for row in rows if row["pid"] == pid])[:3]), None]
            made.append((f"wardrobe {wardrobe}", cells))
    return made[:count]


def attributes(rows: list[dict[str, str]]) -> list[tuple[str, list[Cell]]]:
    wanted = {
        "hat": ("hat", 1), "backpack": ("backpack", 1), "bag": ("bag", 1), "handbag": ("handbag", 1),
        "skirt or dress": ("clothes", 0), "short sleeves": ("up", 1), "long hair": ("hair", 1),
    }  # fmt: skip
    made: list[tuple[str, list[Cell]]] = []
    for label, (name, value) in wanted.items():
        chosen: dict[str, dict[str, str]] = {}
        for row in clear([row for row in rows if row[f"attr.{name}"] == str(value)]):
            chosen.setdefault(row["pid"], row)
        made.append((label, [crop(row) for row in list(chosen.values())[:10]]))
    return made


def streets(folder: Path, columns: int = 20, rows: int = 4) -> list[tuple[str, list[Cell]]]:
    """Crops of many people."""
    files = sorted(folder.rglob("[0-9]*.jpg"))
    chosen = random.Random(0).sample(files, min(columns * rows, len(files)))
    cells: list[Cell] = [fitted(Image.open(file)) for file in chosen]
    return [("streets", cells[at : at + columns]) for at in range(0, len(cells), columns)]


def main(out: Path, folder: Path | None) -> None:
    out.mkdir(parents=True, exist_ok=True)
    if folder is not None:
        sheet(streets(folder), out / "synth_streets.jpg")
        return
    rows = table()
    test = [row for row in rows if row["split"] != "train"]
    sheet(people(test), out / "synth_people.jpg")
    sheet(lookalikes(rows), out / "synth_lookalikes.jpg")
    sheet(attributes(rows), out / "synth_attributes.jpg")
    sheet(dials(), out / "synth_dials.jpg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
