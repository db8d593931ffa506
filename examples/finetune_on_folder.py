"""Fine-tune the packaged weights on a folder per person, and evaluate before and after.

    python examples/finetune_on_folder.py my_people/ runs/mine

`my_people/` holds a folder for each person, some dozens of them with several pictures each.  Half the persons are kept
for testing.  Cameras are taken as unknown, so any other picture of a person counts as a match.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import resight
from resight.data.formats import unsplit


def main(folder: Path, out: Path, epochs: int) -> None:
    people = unsplit.split(unsplit.read_unsplit(folder), test=0.5, cameras="ignore", seed=0)
    recipe = resight.Recipe.load("synth_small").override(
        "model.weights=synth_small", f"train.epochs={epochs}", "optim.lr=1e-4", "schedule.warmup=0", "feed.main.ids=8"
    )
    before = resight.evaluate(resight.load_model("synth_small"), people)
    run = resight.train(recipe, out, dataset=people)
    after = resight.evaluate(run.model, people)
    print(f"before {before.report}\nafter  {after.report}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    main(**vars(parser.parse_args()))
