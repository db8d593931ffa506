"""How fast a model embeds on the processor: eager, compiled and exported, side by side, with cosine and mAP.

speeds = compare_runtimes(load("runs/first"), load_dataset("sample"))
print(runtimes_table(speeds))
"""

from __future__ import annotations

import statistics
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import torch

from resight import models
from resight.bench.isolated import alone, peak_memory
from resight.bench.tables import markdown
from resight.errors import UsageError
from resight.export.export import describe, without_heads
from resight.export.graph import trace
from resight.export.proof import agreement, at_size, some_crops
from resight.export.quantization import calibration_pictures
from resight.export.writers import check_format, write
from resight.inference import Extractor, evaluate
from resight.models.exported import ExportedModel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from resight.data import Dataset
    from resight.models import ReIDModel
    from resight.models.exported import Precision
    from resight.types import Embedder, Metric

WARM_UP = 3  # batches before the clock counts; the first of them compiles
HEAD = ("runtime", "images/s", "ratio", "batch ms", "10 % to 90 %", "first s", "memory", "minimum cosine", "mAP")
Engine = Literal["eager", "compiled", "onnx", "openvino"]


class Runtime(NamedTuple):
    """What runs the model, and in which precision."""

    engine: Engine
    precision: Precision

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


RUNTIMES = (
    Runtime("eager", "fp32"), Runtime("eager", "bf16"), Runtime("compiled", "fp32"), Runtime("compiled", "bf16"),
    Runtime("onnx", "fp32"), Runtime("onnx", "int8"),
    Runtime("openvino", "fp32"), Runtime("openvino", "bf16"), Runtime("openvino", "int8"),
)  # fmt: skip


@dataclass(frozen=True)
class EmbeddingSpeed:
    """What one batch takes from bytes at the input size to vectors.  Seconds, GiB."""

    model: str
    runtime: str
    threads: int
    batch_size: int
    size: tuple[int, int]
    steps: int
    images_per_s: float
    batch_s: float  # median
    batch_s_low: float  # a tenth of the batches were quicker
    batch_s_high: float  # a tenth were slower
    first_s: float  # the first batch, compilation included
    peak_memory_gib: float  # of the whole process, while it embeds
    mAP: float  # noqa: N815 - the field's name
    minimum_cosine: float = 1.0  # with the first runtime, over all query and gallery pictures

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def load(where: str) -> ReIDModel:
    """A model of `load_model`, or by the name of an architecture one with weights drawn from seed 0.

    Drawn weights cost what trained ones cost, but their cosines and mAP say nothing.
    """
    if where not in models.available() or Path(where).exists():
        return models.read_model(where)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return models.build(where, 0).eval()


def compare_runtimes(
    model: ReIDModel,
    dataset: Dataset,
    runtimes: Sequence[Runtime] = RUNTIMES,
    *,
    batch_size: int = 32,
    steps: int = 20,
    threads: int | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[EmbeddingSpeed]:
    """Each runtime in a process of its own, one after the other, on the CPU; the first is the reference.

    dataset: query and gallery are embedded for cosine and mAP, training pictures calibrate int8.  threads: of every
    runtime; None: torch's own number.  Raises what export and evaluation raise.
    """
    found: list[EmbeddingSpeed] = []
    reference: NDArray[np.float32] | None = None
    with tempfile.TemporaryDirectory() as folder:
        for runtime in runtimes:
            say(f"measuring {model.spec.name}, {runtime} ...")
            source = prepare(model, runtime, dataset, Path(folder))
            speed, vectors = alone(
                str(runtime),
                measure_runtime,
                runtime,
                source,
                dataset,
                batch_size=batch_size,
                steps=steps,
                threads=threads,
            )
            reference = vectors if reference is None else reference
            found.append(replace(speed, minimum_cosine=agreement(vectors, reference, model.metric)))
    return found


def prepare(model: ReIDModel, runtime: Runtime, dataset: Dataset, folder: Path) -> Path:
    """The file one runtime loads: weights, or an export."""
    if runtime.engine in ("eager", "compiled"):
        return models.save_model(model, folder / "eager")
    to: Literal["onnx", "openvino"] = "onnx" if runtime.engine == "onnx" else "openvino"
    check_format(to, runtime.precision)
    out = folder / str(runtime)
    out.mkdir()
    pictures = calibration_pictures(dataset, model, 0, raw=False) if runtime.precision == "int8" else None
    description = describe(model, runtime.precision, raw=False, card={})
    return write(trace(without_heads(model)), to, description, out, pictures)


def measure_runtime(
    runtime: Runtime, source: Path, dataset: Dataset, *, batch_size: int, steps: int, threads: int | None
) -> tuple[EmbeddingSpeed, NDArray[np.float32]]:
    """Time `steps` batches in this process, then embed the data set: its vectors, query before gallery."""
    if threads is not None:
        torch.set_num_threads(threads)
    precision, device = _asked(runtime), "cpu"
    extractor = Extractor(_opened(runtime, source), device, batch_size, precision=precision, share=False)
    pixels = at_size(some_crops(dataset, batch_size), extractor.model.input_size, extractor.interpolation)
    first = _timed(extractor, pixels, 1)[0]
    _timed(extractor, pixels, WARM_UP - 1)
    took = _timed(extractor, pixels, steps)
    memory = peak_memory(torch.device("cpu"))
    result = evaluate(extractor.model, dataset, device=device, batch_size=batch_size, precision=precision, share=False)
    tenths = statistics.quantiles(took, n=10, method="inclusive") if len(took) > 1 else took * 2
    step = statistics.median(took)
    speed = EmbeddingSpeed(
        model=str(result.context["model"]),
        runtime=str(runtime),
        threads=torch.get_num_threads(),
        batch_size=batch_size,
        size=extractor.model.input_size,
        steps=steps,
        images_per_s=batch_size / step,
        batch_s=step,
        batch_s_low=tenths[0],
        batch_s_high=tenths[-1],
        first_s=first,
        peak_memory_gib=memory,
        mAP=result.report.mAP,
    )
    return speed, np.concatenate([result.query.vectors, result.gallery.vectors])


class Compiled:
    """A model whose `embed` is compiled.  As an Embedder of its own, since compiling changes the model it is given."""

    def __init__(self, model: ReIDModel, precision: Precision) -> None:
        self.input_size, self.interpolation = model.input_size, model.interpolation
        self.embedding_dim = model.embedding_dim
        self.metric: Metric = model.metric
        self.name = model.spec.name
        self.fingerprint = model.fingerprint
        self._half = precision == "bf16"
        self._embed: Any = torch.compile(model.embed)

    def embed(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, torch.bfloat16, enabled=self._half):
            return self._embed(images)  # type: ignore[no-any-return]


def _opened(runtime: Runtime, source: Path) -> Embedder:
    if runtime.engine in ("onnx", "openvino"):
        return ExportedModel(source)
    model = models.read_model(source)
    return Compiled(model, runtime.precision) if runtime.engine == "compiled" else model


def _asked(runtime: Runtime) -> Literal["fp32", "bf16"]:
    """The extractor's precision: a compiled model and an exported file have their own."""
    return "bf16" if runtime == Runtime("eager", "bf16") else "fp32"


def _timed(extractor: Extractor, pixels: Tensor, steps: int) -> list[float]:
    seconds = []
    for _ in range(steps):
        began = time.perf_counter()
        extractor.finish(extractor.tensors(pixels))
        seconds.append(time.perf_counter() - began)
    return seconds


def runtimes_named(names: Sequence[str]) -> list[Runtime]:
    """Runtimes by name, as "openvino bf16" or "openvino-bf16"; all of them for no name.  Raises UsageError."""
    known = {str(runtime): runtime for runtime in RUNTIMES}
    chosen = [name.replace("-", " ") for name in names] or list(known)
    for name in chosen:
        if name not in known:
            raise UsageError(f"there is no runtime {name!r}; choose {', '.join(k.replace(' ', '-') for k in known)}.")
    return [known[name] for name in chosen]


def runtimes_table(speeds: Sequence[EmbeddingSpeed]) -> str:
    """Markdown, ratios to the first row, and a line on how it was measured."""
    first = speeds[0]
    rows = [
        (
            speed.runtime,
            f"{speed.images_per_s:.1f}",
            f"{speed.images_per_s / first.images_per_s:.2f}",
            f"{1000 * speed.batch_s:.1f}",
            f"{1000 * speed.batch_s_low:.1f} to {1000 * speed.batch_s_high:.1f}",
            f"{speed.first_s:.1f}",
            f"{speed.peak_memory_gib:.2f} GiB",
            f"{speed.minimum_cosine:.6f}",
            f"{100 * speed.mAP:.2f}",
        )
        for speed in speeds
    ]
    size = f"{first.size[0]} x {first.size[1]}"
    about = (
        f"{first.model}, batches of {first.batch_size} x {size}, {first.steps} each, {first.threads} threads of the CPU"
    )
    return f"{markdown([HEAD, *rows])}\n{about}"
