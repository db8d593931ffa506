"""kill -9 at random moments: what was acknowledged is there, what was deleted is gone, nothing needs a repair.

RESIGHT_GALLERY_KILLS says how often; the proof in docs/gallery.md took 200.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from resight.gallery import Gallery
from tests.gallery.writer import DIM, IDS, vector_of

KILLS = int(os.environ.get("RESIGHT_GALLERY_KILLS", "20"))
ROOT = Path(__file__).parents[2]
State = dict[str, int]  # id -> version


def run_until_killed(folder: Path, journal: Path, seed: int) -> None:
    """Start a writer and kill it up to half a second after its first line."""
    before = journal.stat().st_size if journal.exists() else 0
    command = [sys.executable, "-m", "tests.gallery.writer", str(folder), str(journal), str(seed)]
    writer = subprocess.Popen(command, cwd=ROOT)
    deadline = time.monotonic() + 300
    while not journal.exists() or journal.stat().st_size == before:
        assert time.monotonic() < deadline, "the writer did not begin"
        assert writer.poll() is None, "the writer ended by itself"
        time.sleep(0.002)
    time.sleep(random.Random(seed).uniform(0, 0.5))
    assert writer.poll() is None, "the writer ended by itself"
    writer.send_signal(signal.SIGKILL)
    writer.wait()


def expected(journal: Path, state: State) -> tuple[State, State]:
    """The state after every acknowledged call, and after the call that was cut short, too, should it have happened."""
    after = dict(state)
    for text in journal.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        if "done" in line:
            state = dict(after)
        elif line["begin"] == "add":
            after = state | dict.fromkeys(line["ids"], line["version"])
        elif line["begin"] == "delete":
            after = {id: version for id, version in state.items() if id not in line["ids"]}
        else:
            after = dict(state)
    return state, after


def found_in(gallery: Gallery) -> State:
    return {record.id: int(record.note or 0) for record in gallery.list(limit=len(IDS) + 1)}


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path: Path) -> None:
    folder, state = tmp_path / "g", dict[str, int]()
    for kill in range(KILLS):
        journal = tmp_path / f"journal-{kill}"
        run_until_killed(folder, journal, seed=kill)
        before, after = expected(journal, state)
        with Gallery.open(folder, dim=DIM) as gallery:
            state = found_in(gallery)
            assert state in (before, after), f"kill {kill}"
            assert [p for p in gallery.verify() if "missing" not in p] == [], f"kill {kill}"
            if state:
                ids = sorted(state)
                wanted = np.stack([vector_of(id, state[id]) for id in ids])
                np.testing.assert_array_equal(gallery.vectors(ids), wanted)
                hits = gallery.search(wanted, k=1)
                assert [h[0].id for h in hits] == ids and all(gallery.picture(id) for id in ids)
            assert gallery.verify() == [], f"kill {kill}"
            with gallery.backend.database.reading() as sql:
                (pictures,) = sql.execute("SELECT count(*) FROM pictures").fetchone()
            assert pictures == len(state)
        journal.unlink()
