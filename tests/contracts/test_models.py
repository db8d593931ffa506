"""What every model promises, whatever its paper."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from resight import models
from resight.errors import TrainingError, UsageError
from resight.types import Embedder, ReIDOutput

if TYPE_CHECKING:
    from pathlib import Path

    from resight.models import ReIDModel

TRUNK = {"name": "resnet10", "width": 8}
VIT = {"dim": 64, "depth": 2}
SMALL: dict[str, dict[str, Any]] = {
    "clip_reid": {
        "input_size": (64, 32),
        "projected": 16,
        "cameras": 2,
        "backbone": {"name": "vit_base_patch16_clip_quickgelu_224", **VIT},
    },
    "ensemble": {
        "input_size": (64, 32),
        "members": {
            "first": {"name": "strong_baseline", "backbone": TRUNK},
            "second": {"name": "baseline", "backbone": TRUNK | {"ibn": True}},
        },
    },
    "mgn": {"input_size": (96, 32), "backbone": TRUNK, "dim": 8},
    "osnet": {"input_size": (64, 32), "width": 0.25, "dim": 16},
    "pcb": {"input_size": (96, 32), "backbone": TRUNK, "dim": 8},
    "solider": {"input_size": (64, 32), "backbone": {"dim": 32, "depths": (2, 1, 1, 1)}},
    "transreid": {"input_size": (64, 32), "backbone": VIT, "cameras": 2},
    "hacnn": {"input_size": (64, 32), "widths": (16, 32, 48), "regions": 2, "dim": 16},
    "pyramid": {"input_size": (96, 32), "backbone": TRUNK, "parts": 3, "width": 8},
    "mdpr": {"input_size": (64, 32), "backbone": TRUNK, "dim": 8},
    "verification": {"input_size": (64, 32), "backbone": TRUNK, "embedding": 8},
}
IDS = 5


def base(name: str) -> str:
    """The model behind a preset."""
    return models.PRESETS.get(name, (name, {}))[0]


def given(name: str) -> dict[str, Any]:
    """The options that make a model small."""
    return SMALL.get(base(name), {"input_size": (64, 32), "backbone": TRUNK})


# Presets that are the same network at this size, as the widths of OSNet are, are looked at once; these two differ from
# others by a norm, or a stem and a head, that those have as well.
ALIKE = ("osnet_ibn_x1_0", "sbs")
SAME = {(base(name), str(models.options_of(name, **given(name)))): name for name in reversed(models.available())}
NAMES = sorted(name for name in SAME.values() if name not in ALIKE)

# Gradients whose sums torch forms in no fixed order on CUDA, by its page on use_deterministic_algorithms.  (That of
# a bilinear resize is replaced by one that does, where determinism is asked for.)
WITHOUT_ORDER = {
    "grid_sampler_2d_backward", "_adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward",
    "reflection_pad2d_backward", "upsample_bicubic2d_backward", "fractional_max_pool2d_backward", "put_", "histc",
    "nll_loss2d_forward",
}  # fmt: skip


def small(name: str, num_ids: int = IDS, seed: int = 0, **options: Any) -> ReIDModel:
    torch.manual_seed(seed)
    return models.build(name, num_ids, **(given(name) | options))


def pixels(model: ReIDModel, batch: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, 3, *model.input_size, generator=generator)


def tensors(output: ReIDOutput) -> dict[str, Tensor]:
    kinds = {"features": output.features, "logits": output.logits, "maps": output.maps}
    return {f"{kind}.{name}": tensor for kind, named in kinds.items() for name, tensor in named.items()}


@pytest.mark.parametrize("name", NAMES)
def test_one_type_of_output_in_training_and_in_evaluation(name: str) -> None:
    model = small(name, attributes={"hat": 2, "top colour": 9})
    training, evaluating = model.train()(pixels(model)), model.eval()(pixels(model))
    assert type(training) is type(evaluating) is ReIDOutput
    assert {k: t.shape for k, t in tensors(training).items()} == {k: t.shape for k, t in tensors(evaluating).items()}
    assert all(t.shape[0] == 4 and t.isfinite().all() for t in tensors(training).values())
    assert training.logits["attribute/top colour"].shape == (4, 9)


@pytest.mark.parametrize("name", NAMES)
def test_embed_gives_each_image_its_vector(name: str) -> None:
    model = small(name).eval()
    assert isinstance(model, Embedder)
    images = pixels(model)
    with torch.no_grad():
        together = model.embed(images)
        alone = torch.cat([model.embed(image[None]) for image in images])
        reordered = model.embed(images.flip(0)).flip(0)
        forward = model.descriptor(model(images).features)
    assert together.shape == (4, model.embedding_dim)
    assert together.isfinite().all()
    for other in (alone, reordered, forward):
        torch.testing.assert_close(together, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_bytes_and_floats_are_the_same_pixels(name: str) -> None:
    model = small(name).eval()
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, *model.input_size), dtype=torch.uint8, generator=generator)
    before = images.clone()
    with torch.no_grad():
        torch.testing.assert_close(model.embed(images), model.embed(images.float() / 255))
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", NAMES)
def test_wrong_images_are_refused_in_a_sentence(name: str) -> None:
    model = small(name).eval()
    for wrong in (
        torch.rand(3, 64, 32),
        torch.rand(2, 1, 64, 32),
        torch.zeros(2, 3, 64, 32, dtype=torch.int64),
    ):
        with pytest.raises(UsageError, match="expected"):
            model(wrong)
    with pytest.raises(UsageError):
        model(torch.rand(2, 3, 8, 8))
    with pytest.raises(TrainingError, match="batch of one"):
        model.train()(pixels(model, batch=1))


@pytest.mark.parametrize("name", NAMES)
def test_other_sizes_work_or_say_why_not(name: str) -> None:
    model = small(name).eval()
    height, width = model.input_size
    for size in ((2 * height, 2 * width), (height + 16, width), (height + 7, width + 3)):
        try:
            with torch.no_grad():
                output = model.embed(torch.rand(1, 3, *size))
        except UsageError as error:
            assert str(size[0]) in str(error)
        else:
            assert output.shape == (1, model.embedding_dim)


@pytest.mark.parametrize("name", NAMES)
def test_save_and_load_give_the_same_model(name: str, tmp_path: Path) -> None:
    model = small(name, attributes={"hat": 2}).eval()
    models.save_model(model, tmp_path)
    again = models.read_model(tmp_path)
    assert again.spec == model.spec
    assert again.fingerprint() == model.fingerprint()
    with torch.no_grad():
        assert torch.equal(model.embed(pixels(model)), again.embed(pixels(model)))
    other = models.load_model(tmp_path, num_ids=IDS + 2)
    assert other.fingerprint() == model.fingerprint()  # classifiers are no part of the space
    assert other.spec.num_ids == IDS + 2


@pytest.mark.parametrize("name", NAMES)
def test_a_model_without_classifiers_embeds_the_same(name: str, tmp_path: Path) -> None:
    model = small(name).eval()
    bare = models.load_model(models.save_model(model, tmp_path), num_ids=0)
    assert not list(bare.classifiers())
    with torch.no_grad():
        assert torch.equal(model.embed(pixels(model)), bare.embed(pixels(model)))


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_makes_a_model(name: str) -> None:
    one, two, other = small(name, seed=3), small(name, seed=3), small(name, seed=4)
    assert one.fingerprint() == two.fingerprint() != other.fingerprint()
    state, again = one.state_dict(), two.state_dict()
    assert all(torch.equal(state[key], again[key]) for key in state)


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_a_seed_makes_a_training_step(name: str) -> None:
    """Weights, dropout and gradients: nothing is left to chance."""
    ends = []
    for _ in range(2):
        model = small(name, seed=3).train()
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        torch.manual_seed(5)
        sum(t.square().mean() for t in tensors(model(pixels(model))).values()).backward()  # type: ignore[union-attr]
        optimizer.step()
        ends.append(model.state_dict())
    assert all(torch.equal(tensor, ends[1][key]) for key, tensor in ends[0].items())


@pytest.mark.parametrize("name", NAMES)
def test_the_probe_names_the_outputs_without_computing_them(name: str) -> None:
    model = small(name)
    options = dict(models.build(name, IDS, **model.spec.options).spec.options)
    probed = models.probe(name, IDS, batch=4, **options)
    real = model.train()(pixels(model))
    assert all(t.device.type == "meta" for t in tensors(probed).values())
    assert {k: t.shape for k, t in tensors(probed).items()} == {k: t.shape for k, t in tensors(real).items()}


def test_forward_exports_with_its_record() -> None:
    model = small("mancs").eval()
    program = torch.export.export(model, (pixels(model, 3),))
    output = program.module()(pixels(model, 3, seed=2))
    assert type(output) is ReIDOutput
    assert tensors(output).keys() == tensors(model(pixels(model, 3))).keys()


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_stays_close(name: str) -> None:
    model = small(name).eval()
    with torch.no_grad():
        full = model.embed(pixels(model)).float()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = model.embed(pixels(model)).float()
        cast = copy.deepcopy(model).bfloat16().embed(pixels(model)).float()
    for half in (mixed, cast):
        assert torch.cosine_similarity(full, half).min() > 0.99


@pytest.mark.parametrize("name", NAMES)
def test_bfloat16_trains(name: str) -> None:
    model = small(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(pixels(model))
    sum(t.float().square().mean() for t in tensors(output).values()).backward()  # type: ignore[union-attr]
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_can_learn(name: str) -> None:
    model = small(name).train()
    output = model(pixels(model))
    sum(t.sin().sum() for t in tensors(output).values()).backward()  # type: ignore[union-attr]
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not idle


@pytest.mark.parametrize("name", sorted(models.MODELS))
def test_a_model_learns_four_people(name: str) -> None:
    model = small(name, num_ids=4).train()
    images, pids = pixels(model, 8), torch.arange(4).repeat_interleave(2)
    rate = 0.002 if name == "solider" else 0.01  # windows of attention take smaller steps
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    values = []
    for _ in range(12):
        scores = [z for name, z in model(images).logits.items() if name != "same"]
        loss = sum((F.cross_entropy(8 * z, pids) for z in scores), start=torch.zeros(())) / len(scores)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < 0.5 * values[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_another_model(name: str) -> None:
    model = small(name).train()
    twin = copy.deepcopy(model)
    before = twin.fingerprint()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model(pixels(model))  # running statistics move as well
    assert twin.fingerprint() == before != model.fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_verify_compares_row_by_row(name: str) -> None:
    model = small(name).eval()
    one, two = pixels(model, 3), pixels(model, 3, seed=9)
    with torch.no_grad():
        same, different, turned = model.verify(one, one), model.verify(one, two), model.verify(two, one)
    assert same.similarity.shape == (3,)
    assert (same.similarity >= different.similarity - 1e-5).all()
    torch.testing.assert_close(different.similarity, turned.similarity)
    if different.probability is not None:
        assert ((different.probability > 0) & (different.probability < 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_names_its_paper(name: str) -> None:
    kind = models.MODELS[models.PRESETS.get(name, (name, {}))[0]]
    assert str(kind.year) in kind.paper
    assert kind.name in models.MODELS


class Heard(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The names of all operations carried out within."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(func.__name__.split(".")[0])
        return func(*args, **kwargs or {})


@pytest.mark.parametrize("name", NAMES)
def test_a_step_can_be_repeated_bit_for_bit_on_cuda(name: str) -> None:
    model = small(name).train()
    with Heard() as heard:
        total = torch.stack([tensor.square().sum() for tensor in tensors(model(pixels(model))).values()]).sum()
        total.backward()  # type: ignore[no-untyped-call]
    assert "convolution_backward" in heard.names
    assert not heard.names & WITHOUT_ORDER
