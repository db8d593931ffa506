from __future__ import annotations

from dataclasses import fields
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from resight.errors import CheckpointError, UsageError
from resight.inference import Vectors
from resight.inference.embeddings import content_id


def some() -> Vectors:
    return Vectors(
        np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32),
        ("a", "b", "c"),
        ("x/1.jpg", "ü ,\n.png", "3"),
        np.array([1, -1, Vectors.UNKNOWN_PID]),
        np.array([-1, 2, 3]),
        "/root folder",
        "f" * 32,
        "cosine",
    )


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_a_file_gives_back_what_was_saved(tmp_path: Path, ending: str) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    some().save(tmp_path / f"v.{ending}")
    back = Vectors.load(tmp_path / f"v.{ending}")
    for field in fields(Vectors):
        np.testing.assert_array_equal(getattr(back, field.name), getattr(some(), field.name))


def test_an_id_is_of_the_bytes_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_bytes(b"picture")
    assert content_id(tmp_path / "a.jpg") == content_id(tmp_path / "b.jpg") == sha256(b"picture").hexdigest()[:16]
    assert content_id(tmp_path) == content_id(tmp_path / "none.jpg") == ""  # the extractor says why it is left out


def test_another_ending_is_refused_before_any_work() -> None:
    with pytest.raises(UsageError, match=r"\.npz or \.parquet, found 'v.csv'"):
        some().save(Path("v.csv"))


def test_a_missing_and_a_foreign_file_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="resight embed"):
        Vectors.load(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(CheckpointError, match="not an embedding file"):
        Vectors.load(tmp_path / "other.npz")
    np.savez(tmp_path / "other.npz", **vars(some()) | {"pids": np.arange(2)})
    with pytest.raises(CheckpointError, match=r"not an embedding file.*\(2,\), \(3,\)"):
        Vectors.load(tmp_path / "other.npz")
    (tmp_path / "noise.npz").write_bytes(b"noise")
    with pytest.raises(CheckpointError, match="not an embedding file"):
        Vectors.load(tmp_path / "noise.npz")


def test_nothing_pickled_is_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "evil.npz", vectors=np.array([{"a": 1}], dtype=object))
    with pytest.raises(CheckpointError):
        Vectors.load(tmp_path / "evil.npz")
