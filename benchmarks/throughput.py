"""Training images a second beside torchreid, its own data manager and engine: same machine, run, model and batch.

    uv run --group peers python benchmarks/throughput.py           # two cores: some minutes
    uv run --group peers python benchmarks/throughput.py --quick   # seconds of measuring, to see that it runs
    uv run --group peers python benchmarks/throughput.py --device cuda --batch 128

Both train on one folder in Market-1501's form, made of the bundled people at 128 x 64, with the same loss (smoothed
cross-entropy; for HA-CNN the mean of its two), optimiser, flips and crops.  Sides are processes of their own that take
turns, an epoch of the folder each; the first step of a turn, in which torchreid starts its loaders, counts for
nobody.  A ratio is that of the median steps of one round, printed as the median over rounds and their range.

What differs.  torchreid decodes and augments each picture anew in four loader processes, in float32 without
autocast or channels last; resight decodes once, augments batches, and is measured as it trains by default (bf16
where the processor multiplies in it), in float32 (in the memory order that is quicker for the network), and
compiled.  ResNet-50 is one network in both.  HA-CNN is each side's own code for the same network: resight's
`hacnn-torchreid` equals torchreid's to 5e-8 on equal weights.  torchreid's epoch ends while its last batches lie
ready, so its loaders rest in the second half of a turn, which is in its favour; its memory is counted without them.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
import warnings
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

PEER = "torchreid, fp32"
QUALITY = 90  # of the JPEGs, which then have about the size of Market-1501's
WORKERS = 4  # torchreid's default
LOST = 900.0  # seconds after which a side that says nothing is given up: compiling may take minutes


@dataclass(frozen=True)
class Case:
    """One network on both sides."""

    recipe: str
    peer: str  # torchreid's name for the network
    size: tuple[int, int]
    optimizer: tuple[str, float]  # of the recipe: name and rate
    planes: bool  # float32 is quicker with channels first
    wanted: float  # times as fast


CASES = {
    "ResNet-50": Case("baseline_market1501", "resnet50", (256, 128), ("adam", 3e-4), planes=False, wanted=2.0),
    "HA-CNN": Case("hacnn_torchreid_market1501", "hacnn", (160, 64), ("sgd", 0.03), planes=True, wanted=1.5),
}


@dataclass(frozen=True)
class Turn:
    """One side's epoch: its steps but the first."""

    seconds: list[float]  # each step
    waited: float  # seconds of them spent waiting for pictures
    first: float  # seconds of the step that does not count


@dataclass(frozen=True)
class Setting:
    """What all sides share."""

    data: str
    batch: int
    threads: int
    device: str


def make_folder(root: Path, pictures: int) -> Path:
    """`pictures` training pictures in Market-1501's form, the bundled people over and over, and a query."""
    from PIL import Image

    import resight

    people = resight.load_dataset("sample").train
    home = root / "market1501" / "Market-1501-v15.09.15"
    for name in ("bounding_box_train", "bounding_box_test", "query"):
        (home / name).mkdir(parents=True)
    for number in range(pictures):
        sample = people[number % len(people)]
        name = f"{sample.pid:04d}_c{sample.camid}s1_{number:06d}_00.jpg"
        with Image.open(sample.path) as image:
            small = image.convert("RGB").resize((64, 128), Image.Resampling.BICUBIC)
        small.save(home / "bounding_box_train" / name, quality=QUALITY)
        if number < 2:
            small.save(home / ("query" if number else "bounding_box_test") / name, quality=QUALITY)
    return root


class Resight:
    """Our side: the package's trainer, asked for an epoch more each time."""

    def __init__(self, case: Case, setting: Setting, precision: str, compiled: bool) -> None:
        from resight.assembly import build_trainer, load_data
        from resight.bench import prepared
        from resight.inference import resolve_device
        from resight.training.monitoring.progress import Silent

        planes = case.planes and precision == "fp32" and setting.device == "cpu"
        recipe = prepared(
            case.recipe, precision=precision, compiled=compiled, channels_last=not planes, batch=setting.batch,
            settings=(f"data.root={setting.data}/market1501", "data.assert_counts=off", "data.pixels=device"),
        )  # fmt: skip
        self.folder = tempfile.TemporaryDirectory()
        self.device = resolve_device(setting.device)
        self.trainer = build_trainer(recipe, load_data(recipe), None, Path(self.folder.name), self.device, Silent())

    def turn(self) -> Turn:
        ends, waits = [time.perf_counter()], []
        for _ in range(self.trainer.clock.steps_per_epoch):
            before = self.trainer.monitor.meter.waited
            self.trainer.train_step()
            settle(self.device.type)
            ends.append(time.perf_counter())
            waits.append(self.trainer.monitor.meter.waited - before)
        return turn(ends, waits)


class Torchreid:
    """Their side: data manager, model, optimiser and engine as its documentation puts them together."""

    def __init__(self, case: Case, setting: Setting) -> None:
        from peers import torchreid_package

        warnings.simplefilter("ignore")  # of functions torch has renamed since
        reid, cuda = torchreid_package(), setting.device != "cpu"
        height, width = case.size
        data = reid.data.ImageDataManager(
            root=setting.data, sources="market1501", height=height, width=width, batch_size_train=setting.batch,
            workers=WORKERS, transforms=["random_flip", "random_crop"], use_gpu=cuda,
        )  # fmt: skip
        model = reid.models.build_model(case.peer, data.num_train_pids, loss="softmax", pretrained=False, use_gpu=cuda)
        model = model.cuda() if cuda else model
        name, rate = case.optimizer
        optimizer = reid.optim.build_optimizer(model, optim=name, lr=rate)
        self.engine = reid.engine.ImageSoftmaxEngine(data, model, optimizer, use_gpu=cuda)
        self.device = setting.device
        self.work = self.engine.forward_backward
        self.engine.forward_backward = self.timed
        self.begun: list[float] = []
        self.ends: list[float] = []

    def timed(self, data: Any) -> Any:
        self.begun.append(time.perf_counter())
        summary = self.work(data)
        settle(self.device)
        self.ends.append(time.perf_counter())
        return summary

    def turn(self) -> Turn:
        self.begun, self.ends = [], [time.perf_counter()]
        self.engine.train(print_freq=10**9)
        return turn(self.ends, [began - end for began, end in zip(self.begun, self.ends, strict=False)])


def turn(ends: list[float], waits: list[float]) -> Turn:
    """From the moments at which steps ended, the first being the beginning, and the waiting of each."""
    seconds = [after - before for before, after in pairwise(ends)]
    return Turn(seconds[1:], sum(waits[1:]), seconds[0])


def settle(device: str) -> None:
    """Until the device has done what it was told."""
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def sides(compiled: bool) -> list[str]:
    """Who is compared, torchreid first."""
    return [PEER, "resight, fp32", "resight, bf16", *(["resight, bf16, compiled"] if compiled else [])]


def build(side: str, case: Case, setting: Setting) -> Resight | Torchreid:
    if side == PEER:
        return Torchreid(case, setting)
    return Resight(case, setting, "bf16" if "bf16" in side else "fp32", "compiled" in side)


def _serve(side: str, case: Case, setting: Setting, pipe: Connection) -> None:
    """A side in its own process: a turn for each message, the peak memory at the end."""
    import torch

    from resight.bench import peak_memory

    torch.set_num_threads(setting.threads)
    multiprocessing.set_start_method("fork", force=True)  # torchreid's loaders, as where it is not itself a child
    with tempfile.TemporaryDirectory() as kernels, Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = kernels  # what an earlier run compiled would not be compiled again
        measured = build(side, case, setting)
        while pipe.recv():
            pipe.send(measured.turn())
    pipe.send(peak_memory(torch.device("cpu" if setting.device == "cpu" else "cuda")))


class Side:
    """A process and the line to it."""

    def __init__(self, name: str, case: Case, setting: Setting) -> None:
        context = multiprocessing.get_context("spawn")
        self.name, (self.pipe, theirs) = name, context.Pipe()
        self.process: BaseProcess = context.Process(target=_serve, args=(name, case, setting, theirs))
        self.process.start()
        theirs.close()
        self.turns: list[Turn] = []

    def ask(self, more: bool) -> Any:
        self.pipe.send(more)
        if not self.pipe.poll(LOST):
            raise TimeoutError(f"{self.name} gave no answer in {LOST:.0f} s")
        return self.pipe.recv()

    def close(self) -> float:
        """Its peak memory, GiB."""
        peak: float = self.ask(False)
        self.process.join()
        return peak


@dataclass(frozen=True)
class Row:
    network: str
    side: str
    images_per_s: float
    step_ms: float
    ratio: float  # images a second, to torchreid's
    ratio_low: float
    ratio_high: float
    waiting: float
    memory_gib: float
    compile_s: float | None


def compare(network: str, case: Case, setting: Setting, rounds: int, compiled: bool) -> list[Row]:
    """All sides of one network, in turns.  The first round warms up and pays for compilation."""
    running = [Side(name, case, setting) for name in sides(compiled)]
    firsts: dict[str, float] = {}
    try:
        for number in range(rounds + 1):
            for side in running:
                told: Turn = side.ask(True)
                if number:
                    side.turns.append(told)
                else:
                    firsts[side.name] = told.first
        peer = [statistics.median(told.seconds) for told in running[0].turns]
        return [row(network, side, peer, setting.batch, firsts[side.name], side.close()) for side in running]
    finally:  # one that failed leaves the others waiting
        for side in running:
            side.process.terminate()


def row(network: str, side: Side, peer: list[float], batch: int, first: float, memory: float) -> Row:
    medians = [statistics.median(told.seconds) for told in side.turns]
    ratios = [theirs / ours for theirs, ours in zip(peer, medians, strict=True)]
    every = [second for told in side.turns for second in told.seconds]
    step = statistics.median(every)
    return Row(
        network, side.name, batch / step, 1000 * step, statistics.median(ratios), min(ratios), max(ratios),
        sum(told.waited for told in side.turns) / sum(every), memory, first - step if "compiled" in side.name else None,
    )  # fmt: skip


def show(rows: list[Row]) -> None:
    print("| network | side | images/s | step | ratio | over rounds | waiting | peak memory | compiling |")
    print("| --- " * 9 + "|")
    for r in rows:
        compiling = "" if r.compile_s is None else f"{r.compile_s:.0f} s"
        print(
            f"| {r.network} | {r.side} | {r.images_per_s:.1f} | {r.step_ms:.0f} ms | {r.ratio:.2f} "
            f"| {r.ratio_low:.2f} to {r.ratio_high:.2f} | {100 * r.waiting:.1f} % | {r.memory_gib:.2f} GiB "
            f"| {compiling} |"
        )
    for name, case in CASES.items():
        best = max((r.ratio for r in rows if r.network == name and "bf16" in r.side), default=None)
        if best is not None:
            print(f"{name}: wanted {case.wanted:g} times as fast in bf16, found {best:.2f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=CASES, action="append", help="one network; may be repeated")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--steps", type=int, default=5, help="that count, of each turn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--quick", action="store_true", help="batch 8, two steps, one round, nothing compiled")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    options = parser.parse_args()
    if options.quick:
        options.batch, options.steps, options.rounds, options.no_compile = 8, 2, 1, True
    with tempfile.TemporaryDirectory() as folder:
        data = make_folder(Path(folder), options.batch * (options.steps + 1))
        setting = Setting(str(data), options.batch, options.threads, options.device)
        rows = []
        for name in options.only or CASES:
            rows += compare(name, CASES[name], setting, options.rounds, not options.no_compile)
    import torch

    print(f"batch {options.batch}, {options.rounds} rounds of {options.steps} steps, {options.threads} threads, "
          f"{options.device}, torch {torch.__version__}")  # fmt: skip
    show(rows)
    if options.json:
        options.json.write_text(json.dumps([asdict(r) for r in rows], indent=1))


if __name__ == "__main__":
    main()
