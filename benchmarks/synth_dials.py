"""What each dial does: rank-1 of raw pixels, of a colour histogram and of trained models as it turns from 0 to 1.

python benchmarks/synth_dials.py --out runs/dials [--model runs/baseline ...] [--dials misalign occlude]

Every point is a test set of its own, all other dials at an easy setting, the same people and cameras throughout.  Sets
that exist are not rendered again.  Writes dials.csv and dials.png.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import replace
from pathlib import Path

from resight import load_dataset, load_model
from resight.inference import RawPixels, StripeHistogram, evaluate
from resight.synth import DIALS, SynthConfig, generate
from resight.types import Embedder

EASY = SynthConfig(
    seed=11, identities=30, train_share=0.0, cameras=4, images=2, distractors=0, junk=0, samples=4,
    misalign=0.1, occlude=0.0, lighting=0.2, resolution=0.2, lookalikes=0.0, clutter=0.1,
)  # fmt: skip
STEPS = (0.0, 0.35, 0.7, 1.0)


def measure(out: Path, dial: str, models: dict[str, Embedder]) -> list[dict[str, str | float]]:
    rows: list[dict[str, str | float]] = []
    for step in STEPS:
        root = out / "sets" / f"{dial}-{step}"
        generate(replace(EASY, **{dial: step}), root)  # type: ignore[arg-type]
        dataset = load_dataset("market", root=root)
        for name, model in models.items():
            report = evaluate(model, dataset).report
            rows.append({"dial": dial, "value": step, "model": name, "rank1": report.cmc[0], "mAP": report.mAP})
            print(f"{dial:12} {step:4} {name:20} rank-1 {100 * report.cmc[0]:5.1f}  mAP {100 * report.mAP:5.1f}")
    return rows


def draw(rows: list[dict[str, str | float]], picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    dials = list(dict.fromkeys(str(row["dial"]) for row in rows))
    figure, axes = pyplot.subplots(1, len(dials), figsize=(2.1 * len(dials), 2.4), sharey=True, squeeze=False)
    for axis, dial in zip(axes[0], dials, strict=True):
        for name in dict.fromkeys(str(row["model"]) for row in rows):
            line = [row for row in rows if row["dial"] == dial and row["model"] == name]
            axis.plot(
                [row["value"] for row in line], [100 * float(row["rank1"]) for row in line], marker=".", label=name
            )
        axis.set(title=dial, ylim=(0, 103), xticks=(0, 0.5, 1))
    axes[0][0].set_ylabel("rank-1, %")
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncol=6, frameon=False)
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", nargs="*", default=[], help="trained models, whatever load_model takes")
    parser.add_argument("--dials", nargs="*", default=list(DIALS), choices=DIALS)
    options = parser.parse_args()
    models: dict[str, Embedder] = {"raw pixels": RawPixels(), "colour histogram": StripeHistogram()}
    models |= {Path(where).name: load_model(where) for where in options.model}
    rows = [row for dial in options.dials for row in measure(options.out, dial, models)]
    with (options.out / "dials.csv").open("w", newline="") as table:
        writer = csv.DictWriter(table, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, options.out / "dials.png")


if __name__ == "__main__":
    main()
