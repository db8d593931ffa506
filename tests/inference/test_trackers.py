"""The page on trackers: its first block runs as it is printed, and the vectors tell the people apart."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"


def scene(step: int) -> tuple[Any, Any]:
    """Two made-up people walking towards each other on gray ground, and where they are."""
    import supervision as sv

    frame = np.full((240, 400, 3), 127, np.uint8)
    people = sorted(Path(str(files("resight.synth") / "sample" / "query")).glob("*.jpg"))
    corners = []
    for picture, x in ((people[0], 40 + 4 * step), (people[-1], 300 - 4 * step)):
        crop = np.asarray(Image.open(picture).convert("RGB").resize((64, 128)))
        frame[60:188, x : x + 64] = crop
        corners.append([x, 60, x + 64, 188])
    return frame, sv.Detections(
        xyxy=np.array(corners, float), confidence=np.array([0.9, 0.9]), class_id=np.array([0, 0])
    )


def test_the_block_on_the_page_runs() -> None:
    pytest.importorskip("trackers")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    block = next(block for block in blocks if "from trackers import" in block)
    seen: dict[int, list[Any]] = {}
    exec(block, {"video": [scene(step) for step in range(8)], "seen": seen})
    tracks = {track: np.stack(vectors) for track, vectors in seen.items() if track >= 0}
    assert len(tracks) == 2
    one, other = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in tracks.values())
    assert len(one) > 4
    assert (one @ one.T).min() > (one @ other.T).max()  # a person is most like itself, in every frame
