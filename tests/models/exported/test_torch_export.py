"""A pt2 file is looked through before torch may load it."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from resight.errors import CheckpointError
from resight.models.exported import Description, ExportedModel
from resight.models.exported.torch_export import EXPRESSION, OPERATORS, check_archive

if TYPE_CHECKING:
    from collections.abc import Callable

DESCRIPTION = Description(model="mean", fingerprint="f" * 32, input_size=(8, 4), dimension=3, metric="euclidean")


class Mean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3)) * self.scale


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pt2") / "model.pt2"
    program = torch.export.export(
        Mean(), (torch.zeros(2, 3, 9, 5, dtype=torch.uint8),),
        dynamic_shapes={"images": {0: Dim("batch"), 2: Dim("height"), 3: Dim("width")}},
    )  # fmt: skip
    torch.export.save(program, path, extra_files={"resight.json": DESCRIPTION.to_json()})
    return path


def test_an_honest_file_runs(honest: Path) -> None:
    model = ExportedModel(honest)
    assert model.description == DESCRIPTION
    images = torch.randint(0, 256, (5, 3, 13, 7), dtype=torch.uint8)
    torch.testing.assert_close(model.embed(images), 2 * images.float().mean(dim=(2, 3)))


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("touched"),)


def text(change: Callable[[Any], None]) -> Callable[[bytes], bytes]:
    def changed(data: bytes) -> bytes:
        value = json.loads(data)
        change(value)
        return json.dumps(value).encode()

    return changed


def first_node(value: Any) -> Any:
    return value["graph_module"]["graph"]["nodes"][0]


def pickled() -> bytes:
    buffer = io.BytesIO()
    torch.save(Evil(), buffer)
    return buffer.getvalue()


HOSTILE: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "an operator that reads files": (
        "models/model.json", text(lambda m: first_node(m).update(target="torch.ops.aten.from_file.default")),
    ),
    "a function of torch": ("models/model.json", text(lambda m: first_node(m).update(target="torch.hub.load"))),
    "a function as argument": (
        "models/model.json",
        text(lambda m: first_node(m)["inputs"].append({"name": "f", "arg": {"as_operator": "torch.load"}, "kind": 1})),
    ),
    "an expression": (
        "models/model.json",
        text(lambda m: first_node(m).update(metadata={"x": {"expr_str": "exec(open('x').read())"}})),
    ),
    "code of guards": ("models/model.json", text(lambda m: m.update(guards_code=["__import__('os')"]))),
    "a container of its own": (
        "models/model.json",
        text(
            lambda m: m["graph_module"]["module_call_graph"][0]["signature"].update(
                in_spec=json.dumps([1, {"type": "collections.defaultdict", "context": "x", "children_spec": []}])
            )
        ),
    ),
    "a pickled weight": (
        "data/weights/model_weights_config.json",
        text(lambda c: next(iter(c["config"].values())).update(use_pickle=True)),
    ),
    "a pickled example": ("data/sample_inputs/model.pt", lambda _: pickled()),
    "no graph": ("models/model.json", lambda _: b"{}{"),
}  # fmt: skip


def rewritten(source: Path, target: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, change(data) if entry.filename.endswith(name) else data)
    return target


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_file_is_refused_before_it_is_loaded(
    what: str, honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.export, "load", lambda *_: pytest.fail("torch was let at it"))
    path = rewritten(honest, tmp_path / "model.pt2", *HOSTILE[what])
    with pytest.raises(CheckpointError):
        ExportedModel(path)
    assert not Path("touched").exists()


def test_a_rewritten_file_is_otherwise_let_through(honest: Path, tmp_path: Path) -> None:
    path = rewritten(honest, tmp_path / "model.pt2", "models/model.json", text(lambda _: None))
    assert ExportedModel(path).description == DESCRIPTION


@pytest.mark.parametrize("name", ["data/aotinductor/model.so", "data/constants/custom_obj_0", "code/__init__.py"])
def test_records_no_export_needs_are_refused(name: str, honest: Path, tmp_path: Path) -> None:
    path = rewritten(honest, tmp_path / "model.pt2", "nothing", bytes)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(f"model/{name}", pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match="record"):
        check_archive(path)


def test_a_torn_file_is_said_to_be_damaged(honest: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(honest.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="not an exported model"):
        ExportedModel(path)


@pytest.mark.parametrize("target", ["torch.load", "_operator.call", "torch.ops.aten.from_file", "os.system",
                                    "torch.ops.load_library", "torch.ops.aten._unsafe_index.Tensor", "math.x",
                                    "torch.ops.higher_order.map_impl", "#custom"])  # fmt: skip
def test_operators_are_those_of_networks(target: str) -> None:
    assert not OPERATORS.fullmatch(target)
    assert not EXPRESSION & {"exec", "eval", "getattr", ".", "[", ":"}
