"""A process that changes a gallery until it is killed:  python -m tests.gallery.writer FOLDER JOURNAL SEED

Before each call it writes what it is about to do into the journal, and after it that it is done.  Run as a module, so
that no pytest and no torch are in it.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

from resight.gallery import Gallery
from resight.gallery.embedded import index, searcher

DIM = 32
IDS = [f"p{i:03}" for i in range(120)]


def vector_of(id: str, version: int) -> Any:
    """Unit length, different for every id and version."""
    made = np.random.default_rng([int(id[1:]), version]).standard_normal(DIM)
    return (made / np.linalg.norm(made)).astype(np.float32)


def main(folder: str, journal: str, seed: str) -> None:
    index.SEGMENT, searcher.EXACT_UP_TO = 20, 30
    draw = random.Random(int(seed))
    with Gallery.open(folder, dim=DIM, thumbnail=16) as gallery, Path(journal).open("a", encoding="utf-8") as log:

        def say(**line: Any) -> None:
            log.write(json.dumps(line) + "\n")
            log.flush()

        while True:
            kind = draw.choices(["add", "delete", "compact", "optimize"], [10, 5, 1, 1])[0]
            ids, version = draw.sample(IDS, draw.randint(1, 12)), draw.randrange(2**31)
            say(begin=kind, ids=ids, version=version)
            if kind == "add":
                pictures = [np.full((8, 8, 3), version % 256, np.uint8)] * len(ids)
                vectors, notes = [vector_of(id, version) for id in ids], [str(version)] * len(ids)
                gallery.add(vectors, ids=ids, images=pictures, notes=notes)
            elif kind == "delete":
                gallery.delete(ids)
            elif kind == "compact":
                gallery.compact()
            else:
                gallery.optimize()
            say(done=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
