"""Every form of every data set, built small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .made import MARKET_NAMES, picture, pictures

if TYPE_CHECKING:
    from pathlib import Path

MSMT_NAMES = {
    "train": ["0000/0000_000_01_0303morning_0008_0.jpg", "0001/0001_000_02_0303noon_0008_0_ex.jpg"],
    "val": ["0001/0001_001_15_0113afternoon_0009_1.jpg"],
    "query": ["0000/0000_000_05_0303morning_0010_0.jpg"],
    "gallery": ["0000/0000_001_06_0303morning_0011_0.jpg", "0001/0001_000_01_0302noon_0012_3.jpg"],
}


def msmt17(root: Path, outer: str = "MSMT17_V1", train: str = "train", test: str = "test") -> Path:
    """One version: four lists and their pictures; persons restart at 0 in the test."""
    for number, (part, names) in enumerate(MSMT_NAMES.items()):
        folder = train if part in ("train", "val") else test
        for i, name in enumerate(names):
            picture(root / outer / folder / name, 10 * number + i)
        lines = [f"{name} {int(name[:4])}\n" for name in names]
        (root / outer / f"list_{part}.txt").write_text("".join(lines))
    return root


def duke(root: Path) -> Path:
    """Two persons to learn, one to find, one who is seen by one camera only."""
    return pictures(
        root / "DukeMTMC-reID",
        [
            "bounding_box_train/0001_c2_f0046182.jpg",
            "bounding_box_train/0009_c8_f0000001.jpg",
            "query/0005_c2_f0046985.jpg",
            "bounding_box_test/0005_c5_f0051341.jpg",
            "bounding_box_test/0008_c1_f0051342.jpg",
        ],
    )


def synergy(root: Path) -> Path:
    """Persons counted from 0, no cameras."""
    return pictures(
        root / "data_reid",
        [
            "reid_training/00000_01_00.jpeg",
            "reid_training/00000_01_05.jpeg",
            "reid_training/00001_01_03.jpeg",
            "reid_test/query/00436_12_00.jpeg",
            "reid_test/gallery/00436_12_04.jpeg",
        ],
    )


# CUHK03: pair 1 has persons 1 to 3, pair 2 person 1; most cells are empty
CUHK_NAMES = [
    "1_001_1_01.png",
    "1_001_1_02.png",
    "1_001_2_06.png",
    "1_001_2_07.png",
    "1_002_1_01.png",
    "1_002_2_06.png",
    "1_003_1_01.png",
    "1_003_2_06.png",
    "2_001_1_01.png",
    "2_001_2_06.png",
]


def cuhk_pixels(number: int) -> np.ndarray:
    """The picture a number stands for: taller than wide, so that a forgotten transpose shows."""
    return np.random.default_rng(number).integers(0, 256, (6, 4, 3), dtype=np.uint8)


def cuhk_raw(root: Path) -> Path:
    """cuhk-03.mat as MATLAB v7.3 writes it: HDF5, columns first, cells as references, empty cells as two numbers."""
    h5py = __import__("pytest").importorskip("h5py")
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "cuhk-03.mat", "w") as file:
        for boxes in ("detected", "labeled"):
            outer = file.create_dataset(boxes, (1, 5), dtype=h5py.ref_dtype)
            for pair in range(1, 6):
                persons = {1: 3, 2: 1}.get(pair, 1)
                cell = file.create_dataset(f"#refs#/{boxes}{pair}", (10, persons), dtype=h5py.ref_dtype)
                for person in range(1, persons + 1):
                    for column in range(1, 11):
                        name = f"{pair}_{person:03d}_{1 + (column > 5)}_{column:02d}.png"
                        place = f"#refs#/{boxes}/{name}"
                        if name in CUHK_NAMES:
                            pixels = cuhk_pixels(CUHK_NAMES.index(name))
                            made = file.create_dataset(place, data=pixels.transpose(2, 1, 0))
                        else:
                            made = file.create_dataset(place, data=np.array([0, 0], np.uint64))
                        cell[column - 1, person - 1] = made.ref
                outer[0, pair - 1] = cell.ref
        tests = file.create_dataset("testsets", (1, 20), dtype=h5py.ref_dtype)
        for i in range(20):
            pairs = np.array([[1.0, 1 + i % 3]])  # one test person
            tests[0, i] = file.create_dataset(f"#refs#/test{i}", data=pairs.T).ref
    return root


def cuhk_protocol(root: Path, boxes: str = "detected") -> Path:
    """The new protocol's configuration: two persons to learn, two to find, indices from 1."""
    scipy_io = __import__("pytest").importorskip("scipy.io")
    root.mkdir(parents=True, exist_ok=True)
    filelist = np.empty((len(CUHK_NAMES), 1), object)
    filelist[:, 0] = CUHK_NAMES
    labels = [1, 1, 1, 1, 2, 2, 3, 3, 4, 4]
    scipy_io.savemat(
        root / f"cuhk03_new_protocol_config_{boxes}.mat",
        {
            "filelist": filelist,
            "labels": np.array(labels, np.uint16)[:, None],
            "camId": np.array([int(name[6]) for name in CUHK_NAMES], np.uint8)[:, None],
            "train_idx": np.array([5, 6, 7, 8], np.uint16)[:, None],
            "query_idx": np.array([1, 3, 9, 10], np.uint16)[:, None],
            "gallery_idx": np.array([2, 4], np.uint16)[:, None],
        },
    )
    return root


def cuhk_repacked(root: Path, boxes: str = "detected") -> Path:
    """cuhk03-np in Market-1501's layout."""
    names = [
        "bounding_box_train/0001_c1_1.png",
        "bounding_box_train/0002_c2_6.png",
        "query/0003_c1_1.png",
        "bounding_box_test/0003_c2_6.png",
    ]
    pictures(root / "cuhk03-np" / boxes, names)
    return root


def table(root: Path) -> Path:
    """A CSV file beside its pictures."""
    pictures(root, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    rows = ["a.jpg,1,1,train", "b.jpg,2,1,train", "c.jpg,3,1,query", "d.jpg,3,2,gallery"]
    (root / "people.csv").write_text("\n".join(["path,pid,camid,split", *rows]) + "\n")
    return root


def people(root: Path) -> Path:
    """A folder per person with a side table of cameras."""
    names = ["train/1/a.jpg", "train/2/b.jpg", "query/3/c.jpg", "gallery/3/d.jpg"]
    pictures(root, names)
    (root / "cameras.csv").write_text("path,camid\nquery/3/c.jpg,1\ngallery/3/d.jpg,2\n")
    return root


def lists(root: Path) -> Path:
    """Text lists."""
    pictures(root, ["train/a.jpg", "train/b.jpg", "test/c.jpg", "test/d.jpg"])
    (root / "list_train.txt").write_text("a.jpg 1 1\nb.jpg 2 1\n")
    (root / "list_query.txt").write_text("c.jpg 3 1\n")
    (root / "list_gallery.txt").write_text("d.jpg 3 2\n")
    return root


def market_attributes(file: Path, swapped: bool = False) -> Path:
    """market_attribute.mat for persons 2 and 7 (train) and 1 and 3 (test); field order differs between the halves."""
    return _attributes(
        file,
        "market_attribute",
        ["gender", "hair", "up", "down", "clothes", "hat", "backpack", "bag", "handbag"],
        ["black", "white", "red", "purple", "yellow", "gray", "blue", "green"],
        ["black", "white", "pink", "purple", "yellow", "gray", "blue", "green", "brown"],
        {"age": [2, 4]},
    )


def duke_attributes(file: Path) -> Path:
    """duke_attribute.mat; top is 0 for one person."""
    return _attributes(
        file,
        "duke_attribute",
        ["backpack", "bag", "handbag", "boots", "gender", "hat", "shoes"],
        ["black", "white", "red", "purple", "gray", "blue", "green", "brown"],
        ["black", "white", "red", "gray", "blue", "green", "brown"],
        {"top": [0, 2]},
    )


def _attributes(
    file: Path, struct: str, heads: list[str], up: list[str], down: list[str], extra: dict[str, list[int]]
) -> Path:
    scipy_io = __import__("pytest").importorskip("scipy.io")

    def half(ids: list[str], reverse: bool) -> dict[str, object]:
        fields: dict[str, object] = {head: np.array([[1, 2]], np.uint8) for head in heads}
        fields |= {name: np.array([values], np.uint8) for name, values in extra.items()}
        # the first wears green above and two colours below; the second no colour above and black below
        fields |= {f"up{color}": np.array([[1 + (color == "green"), 1]], np.uint8) for color in up}
        fields |= {f"down{color}": np.array([[1 + (color in ("red", "blue", "pink")), 1]], np.uint8) for color in down}
        fields["downblack"] = np.array([[1, 2]], np.uint8)
        cells = np.empty((1, 2), object)
        cells[0, :] = ids
        fields["image_index"] = cells
        return dict(reversed(list(fields.items()))) if reverse else fields

    file.parent.mkdir(parents=True, exist_ok=True)
    scipy_io.savemat(file, {struct: {"test": half(["0001", "0003"], True), "train": half(["0002", "0007"], False)}})
    return file


__all__ = ["MARKET_NAMES"]
