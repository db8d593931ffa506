"""hf://owner/name/FILE, against a stand-in for the hub on this machine."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from resight import models
from resight.errors import CheckpointError
from tests.models.checkpoints.peers import record, state

COMMIT = "0" * 39 + "1"


class StandIn(BaseHTTPRequestHandler):
    """Serves /owner/name/resolve/main/FILE of a folder as the hub does, with its headers."""

    folder: Path

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        repository, _, file = self.path.strip("/").partition("/resolve/main/")
        path = self.folder / repository / file
        if not file or not path.is_file():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.end_headers()
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of owner/name/FILE that answers as the hub."""
    import huggingface_hub.constants as constants

    folder = tmp_path / "hub"
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Here", (StandIn,), {"folder": folder}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield folder
    server.shutdown()
    server.server_close()


def test_another_projects_file_is_fetched_and_converted(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hub / "kaiyangzhou" / "osnet").mkdir(parents=True)
    with torch.device("meta"):
        own = models.build("osnet_x0_25", 0).state_dict()
    torch.manual_seed(0)
    tensors = {f"module.{name}": torch.rand(t.shape) for name, t in own.items() if name not in ("mean", "std")}
    torch.save(tensors | {"module.classifier.weight": torch.rand(4101, 512)}, hub / "kaiyangzhou/osnet/osnet_x0_25.pth")
    model = models.read_model("hf://kaiyangzhou/osnet/osnet_x0_25.pth")
    assert model.spec.name == "osnet_x0_25"
    assert torch.equal(model.state_dict()["conv5.conv.weight"], tensors["module.conv5.conv.weight"])
    nowhere = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"  # no network any more
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", nowhere)
    assert models.load_model("hf://kaiyangzhou/osnet/osnet_x0_25.pth").fingerprint() == model.fingerprint()  # kept


def test_a_model_of_our_own(hub: Path) -> None:
    torch.manual_seed(0)
    model = models.build("baseline", 3, backbone={"name": "resnet10", "width": 4}, input_size=(64, 32))
    models.save_model(model, hub / "someone" / "model")
    for name in ("someone/model", "hf://someone/model", "hf://someone/model/model.safetensors"):
        assert models.load_model(name).fingerprint() == model.fingerprint()
    assert models.load_model("hf://someone/model", num_ids=5).spec.num_ids == 5


def test_what_the_hub_does_not_have(hub: Path) -> None:
    with pytest.raises(CheckpointError, match=r"hub did not give missing.pth"):
        models.load_model("hf://someone/model/missing.pth")


def test_a_file_on_the_disk_is_converted_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    torch.save(state(record("solider")), tmp_path / "peer.pth")
    model = models.load_model(tmp_path / "peer.pth", num_ids=4)
    assert (model.spec.name, model.spec.num_ids) == ("solider", 4)
    assert "Licence of the code: MIT" in caplog.text
