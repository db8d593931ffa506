"""Several processes embed and evaluate: each a share, all the same answer, and the one that one process gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resight import data, models
from resight.dist import rank
from resight.errors import ImageError
from resight.inference import Extractor, evaluate
from tests.people import write_people
from tests.ranks import run


def _work(root: str) -> dict[str, Any]:
    torch.manual_seed(0)
    options = {"input_size": [64, 32], "backbone": {"name": "resnet10", "width": 4}}
    model = models.build("strong_baseline", 0, **options).eval()
    seen: list[int] = []
    embed = Extractor(_counted(model, seen), "cpu", batch_size=4, precision="fp32")
    paths = sorted(Path(root).glob("bounding_box_test/*.jpg")) + sorted(Path(root).glob("query/*.jpg"))
    vectors, broken = embed.tolerant(paths)
    shares = list(seen)
    with pytest.raises(ImageError) as caught:
        embed(paths)
    readable = [path for path in paths if path.stat().st_size]
    mine = Extractor(model, "cpu", batch_size=4, precision="fp32", share=False)(
        readable[rank() :][:3]
    )  # without the others
    result = evaluate(model, data.load_dataset("market", root=root), device="cpu", batch_size=4, precision="fp32")
    return {
        "vectors": vectors,
        "broken": broken,
        "shares": shares,
        "error": str(caught.value),
        "few": embed(readable[:3]),  # fewer than there are processes, in batches
        "none": embed([]),
        "mine": mine,
        "report": result.report.to_dict(),
        "intervals": result.context["intervals"],
        "query": result.query.vectors,
    }


def _counted(model: Any, seen: list[int]) -> Any:
    def hook(images: torch.Tensor, embed: Any = model.embed) -> torch.Tensor:
        seen.append(len(images))
        vectors: torch.Tensor = embed(images)
        return vectors

    model.embed = hook
    return model


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = write_people(tmp_path_factory.mktemp("people"), train_ids=1, test_ids=5)
    sorted(folder.glob("bounding_box_test/*.jpg"))[5].write_bytes(b"")
    return str(folder)


@pytest.fixture(scope="module")
def alone(root: str) -> dict[str, Any]:
    return _work(root)


@pytest.mark.parametrize("world", [2, 3])
def test_all_get_what_one_process_would(world: int, root: str, alone: dict[str, Any]) -> None:
    everyone = run(world, _work, root)
    assert sum(sum(each["shares"]) for each in everyone) == len(alone["vectors"])  # nothing was embedded twice
    for number, each in enumerate(everyone):
        for name in ("vectors", "few", "none", "query"):
            np.testing.assert_array_equal(each[name], alone[name])
        for name in ("broken", "error", "report", "intervals"):
            assert each[name] == alone[name]
        np.testing.assert_allclose(each["mine"], alone["vectors"][number : number + 3], atol=1e-6)


def test_the_picture_that_cannot_be_read_is_named(alone: dict[str, Any]) -> None:
    assert [item.index for item in alone["broken"]] == [5]
    assert alone["broken"][0].name in alone["error"]
    assert len(alone["vectors"]) == 29
