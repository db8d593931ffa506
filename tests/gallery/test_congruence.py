"""Random programs: the embedded back-end answers like the model in memory, with tiny segments so that all are used."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from resight.gallery import Gallery
from tests.gallery.model import DIM, Programs

PROGRAMS = int(os.environ.get("RESIGHT_GALLERY_PROGRAMS", "25"))  # the whole proof takes 500


class EmbeddedPrograms(Programs):
    def begin(self) -> Gallery:
        self.home = tempfile.TemporaryDirectory()
        self.other: Gallery | None = None
        return Gallery.open(Path(self.home.name) / "g", dim=DIM)

    def reopen(self, gallery: Gallery) -> Gallery:
        """A second instance takes over; the first stays open and goes on to follow what the second writes."""
        self.other, other = gallery, self.other
        return other or Gallery.open(gallery.folder)

    def teardown(self) -> None:
        super().teardown()
        if hasattr(self, "home"):
            if self.other is not None:
                self.other.close()
            self.home.cleanup()


@pytest.fixture(autouse=True)
def tiny_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resight.gallery.embedded.index.SEGMENT", 4)
    monkeypatch.setattr("resight.gallery.embedded.searcher.EXACT_UP_TO", 6)
    monkeypatch.setattr("resight.gallery.database.PRAGMAS", ("journal_mode=WAL", "synchronous=OFF", "secure_delete=ON"))
    monkeypatch.setattr("os.fsync", lambda _: None)  # speed; test_crash.py keeps them


EmbeddedPrograms.TestCase.settings = settings(
    max_examples=PROGRAMS, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck)
)
TestEmbedded = EmbeddedPrograms.TestCase
