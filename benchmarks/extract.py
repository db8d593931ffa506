"""Embedding from picture files: beside the bare model, and beside torchreid's FeatureExtractor.

    python benchmarks/extract.py                                  # synth_small on the bundled pictures, two threads
    python benchmarks/extract.py --model RUN --pictures FOLDER --count 5000
    python benchmarks/extract.py --peer                           # adds torchreid, which must be installed

Three numbers each for float32 and bfloat16, in pictures a second and as ratios measured in turn in one run:

    bare       the model alone, on pixels that are ready: of the first thousand pictures
    embed      `Extractor` from JPEG files, decoding included; its vectors must equal the bare model's
    evaluate   `resight.evaluate` on the bundled data set, ranking left out of the clock

torchreid runs in float32 alone; both precisions are compared with that one measurement.
Give it idle cores: other work takes turns with the decoding threads.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from measure import seconds
from peers import torchreid_package
from resight import Extractor, evaluate, load_dataset
from resight.data import decode
from resight.models import read_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from resight.inference.precision import Precision
    from resight.models import ReIDModel

    Vectors = np.ndarray[Any, np.dtype[np.float32]]

CHUNK = 64
READY = 1000  # pictures held as pixels


def main() -> None:
    """Print a table, and with --json the same as JSON."""
    options = _options()
    torch.set_num_threads(options.threads)
    model = read_model(options.model)
    paths = _pictures(options.pictures, options.count)
    pixels = np.stack([decode(path, model.input_size, model.interpolation) for path in paths[:READY]])
    ready = torch.from_numpy(pixels).permute(0, 3, 1, 2)  # (N, 3, H, W), channels last in memory
    peer = _measured_peer(model, paths, options.repeats) if options.peer else None
    rows = []
    for precision in ("fp32", "bf16"):
        rows.append(_row(model, ready, paths, precision, options, peer))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="synth_small", help="as resight.load_model takes it")
    parser.add_argument("--pictures", type=Path, help="folder of JPEG files; default: the bundled people")
    parser.add_argument("--count", type=int, default=1000, help="pictures; the folder's are repeated to reach it")
    parser.add_argument("--repeats", type=int, default=3, help="of each measurement; the best counts")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--compile", action="store_true", help="compile the model, in float32 too")
    parser.add_argument("--peer", action="store_true", help="measure torchreid's FeatureExtractor on the same weights")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _pictures(folder: Path | None, count: int) -> list[Path]:
    found = (
        [sample.path for sample in load_dataset("sample").train] if folder is None else sorted(folder.rglob("*.jpg"))
    )
    return list(itertools.islice(itertools.cycle(found), count))


def _row(
    model: ReIDModel, ready: torch.Tensor, paths: list[Path], precision: str, options: argparse.Namespace,
    peer: tuple[float, Vectors] | None,
) -> dict[str, Any]:  # fmt: skip
    embed = Extractor(model, "cpu", CHUNK, precision=cast("Precision", precision), compile=options.compile)
    embed(paths[: 2 * CHUNK])  # unmeasured: kernels are chosen and threads started
    bare, alone = _best(lambda: _bare(embed, ready), options.repeats)
    whole, vectors = _best(lambda: embed(paths), options.repeats)
    bare_rate, rate = len(ready) / bare, len(paths) / whole
    result = evaluate(model, load_dataset("sample"), device="cpu", precision=cast("Precision", precision))
    evaluated = result.context["embedding"]["images_per_second"]
    row = {
        "precision": precision,
        "compiled": options.compile,
        "pictures": len(paths),
        "threads": options.threads,
        "bare/s": round(bare_rate, 1),
        "embed/s": round(rate, 1),
        "evaluate/s": evaluated,
        "embed : bare": round(rate / bare_rate, 3),
        "evaluate : bare": round(evaluated / bare_rate, 3),
        "equal to the bit": bool(np.array_equal(alone, vectors[: len(alone)])),
    }
    if peer is not None:
        took, theirs = peer
        ours = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)  # HA-CNN's two halves have one each
        row["torchreid/s"] = round(len(paths) / took, 1)
        row["embed : torchreid"] = round(took / whole, 2)
        row["least cosine to torchreid"] = round(float((ours * theirs).sum(axis=1).min()), 5)
    return row


def _best(call: Callable[[], Vectors], repeats: int) -> tuple[float, Vectors]:
    """The least seconds of `repeats` calls, and what the last gave."""
    kept: list[Vectors] = []
    return min(seconds(lambda: kept.append(call())) for _ in range(repeats)), kept[-1]


def _bare(embed: Extractor, ready: torch.Tensor) -> Vectors:
    """The model on ready pixels, by the same batches."""
    return np.concatenate([embed.finish(embed.tensors(ready[at : at + CHUNK])) for at in range(0, len(ready), CHUNK)])


def _measured_peer(model: ReIDModel, paths: list[Path], repeats: int) -> tuple[float, Vectors]:
    """Seconds torchreid takes for `paths`, and its vectors."""
    peer = _peer(model)
    _in_chunks(peer, paths[:CHUNK])
    return _best(lambda: _in_chunks(peer, paths), repeats)


def _peer(model: ReIDModel) -> Any:
    """torchreid's FeatureExtractor with our network in place of its own: its reading, resizing and calling."""
    peer = torchreid_package().utils.FeatureExtractor(
        model_name="shufflenet", device="cpu", image_size=model.input_size, pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3,
        verbose=False,
    )  # fmt: skip

    class Ours(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return model.embed(images)

    peer.model = Ours().eval()
    return peer


def _in_chunks(peer: Any, paths: list[Path]) -> Vectors:
    """Vectors (N, D) of unit length, CHUNK pictures a call."""
    found = [peer([str(path) for path in paths[at : at + CHUNK]]) for at in range(0, len(paths), CHUNK)]
    return np.asarray(torch.nn.functional.normalize(torch.cat(found).float(), dim=1).numpy(), np.float32)


if __name__ == "__main__":
    main()
