"""A service over a small gallery of bundled synthetic people, with the packaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
from starlette.testclient import TestClient

import resight
from resight.gallery import Gallery
from resight.inference import Extractor
from resight.serving import Keys, Limits, create_app

BASE = 1_767_600_000  # seconds since 1970 of the sample's first frame


@dataclass
class Shop:
    """A gallery folder and what its service needs."""

    folder: Path
    extractor: Extractor
    samples: list[Any]

    def client(self, keys: Keys | None = None, limits: Limits | None = None, **options: Any) -> TestClient:
        gallery = Gallery.open(self.folder, model=self.extractor.model)
        app = create_app({"people": gallery}, self.extractor, keys=keys, limits=limits, threads=1, **options)
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture(scope="session")
def extractor() -> Extractor:
    return Extractor(resight.load_model("synth_small"), device="cpu", precision="fp32")


@pytest.fixture
def shop(tmp_path: Path, extractor: Extractor) -> Shop:
    data = resight.load_dataset("sample")
    people = sorted({sample.pid for sample in data.query})[:4]
    samples = [sample for sample in (*data.query, *data.gallery) if sample.pid in people][:24]
    with Gallery.open(tmp_path / "people", model=extractor.model, audit=True, actor="test") as gallery:
        gallery.add(
            extractor([sample.path for sample in samples]),
            ids=[f"r{number}" for number in range(len(samples))],
            pids=[sample.pid for sample in samples],
            cameras=[f"c{sample.camid}" for sample in samples],
            times=[BASE + (sample.frame or 0) for sample in samples],
            images=[sample.path for sample in samples],
            sources=[sample.path.name for sample in samples],
        )
    return Shop(tmp_path / "people", extractor, samples)


@pytest.fixture
def client(shop: Shop) -> Iterator[TestClient]:
    with shop.client() as client:
        yield client


@pytest.fixture
def picture(shop: Shop) -> bytes:
    return bytes(shop.samples[0].path.read_bytes())


@pytest.fixture
def keyed(tmp_path: Path) -> tuple[Keys, Callable[[str], dict[str, str]]]:
    """A file of keys, and headers of a new key with a role."""
    keys = Keys(tmp_path / "keys.json")

    def headers(role: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {keys.create(f'the {role}', role)}"}

    return keys, headers
