"""Everything that only a GPU shows, by one command: speed, compile, a profile, and the systems trained for real.

    uv run --group peers python benchmarks/gpu.py --root data --out runs/gpu    # Market-1501 lies in data
    python benchmarks/gpu.py --root data --out runs/gpu --weights resnet50=FILE --weights resnet101=FILE
    python benchmarks/gpu.py --root data --out runs/gpu --list             # the commands, and stop
    python benchmarks/gpu.py --root data --out runs/gpu --only speed --only hacnn_market1501_fast

Each step is an ordinary command, its output kept in OUT/STEP.txt.  A step that ended well is not run again and a
training run goes on from its last state, so the same command continues after a stop.  The order is: what is short
first, then HA-CNN, which needs no pre-training, then the systems whose weights are at hand.  ImageNet weights come from
the net where the machine reaches it, else from `--weights resnet50=FILE` and `resnet101=FILE`; MDPR is skipped without
`--weights lup=FILE`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
SYSTEMS = (
    "strong_baseline_market1501",
    "mancs_market1501",
    "hacnn_market1501",
    "pyramid_market1501",
    "mdpr_market1501",
)
PRETRAINED = {"strong_baseline": "resnet50", "mancs": "resnet50", "pyramid": "resnet101"}  # by ImageNet's trunk


@dataclass(frozen=True)
class Step:
    """One part: commands one after the other."""

    name: str
    commands: list[list[str]] = field(default_factory=list)


def resight(*words: str) -> list[str]:
    return [sys.executable, "-m", "resight", *words]


def script(name: str, *words: str) -> list[str]:
    return [sys.executable, str(HERE / name), *words]


def trained(recipe: str, given: argparse.Namespace, *changes: str) -> Step:
    """Train at the recipe's own size, evaluate, and draw the report with the curve."""
    run = str(given.out / recipe)
    settings = [word for change in (f"data.root={given.root}", *changes) for word in ("--set", change)]
    device = ("--device", given.device)
    return Step(
        recipe,
        [
            resight("train", recipe, *settings, "--out", run, *device),
            resight("evaluate", run, *device),
            resight("report", run, "--assets"),
        ],
    )


def steps(given: argparse.Namespace) -> list[Step]:
    """What there is to do, in order."""
    device, weights = ("--device", given.device), dict(word.split("=", 1) for word in given.weights)
    both = ("--precision", "fp32", "--precision", "bf16", "--compile", "both")
    fast, root = "hacnn_market1501_fast", f"data.root={given.root}"
    plan = [
        Step("speed", [resight("bench", "train", *SYSTEMS, *both, *device, "--json", str(given.out / "speed.json"))]),
        Step("losses", [script("losses.py", *device)]),
        Step("throughput", [script("throughput.py", *device)]),
        Step("profile", [
            resight("train", fast, "--profile", "--set", root, "--out", str(given.out / "profile"), *device)
        ]),
    ]  # fmt: skip
    plan += [trained(fast, given), trained("hacnn_market1501", given)]
    for name, trunk in PRETRAINED.items():
        file = [f"model.backbone.weights={weights[trunk]}"] if trunk in weights else []
        plan.append(trained(f"{name}_market1501", given, *file))
    if "lup" in weights:
        bring = (f"model.backbone.weights={weights['lup']}", "model.backbone.partial=true")
        plan.append(trained("mdpr_market1501", given, *bring))
    known = [step.name for step in plan]
    unknown = sorted(set(given.only) - set(known))
    if unknown:
        raise SystemExit(f"no step {', '.join(unknown)}; there are {', '.join(known)}.")
    return [step for step in plan if not given.only or step.name in given.only]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of Market-1501")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FILE", help="resnet50, resnet101 or lup"
    )
    parser.add_argument("--only", action="append", default=[], help="a step by name; more than once")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--list", action="store_true", help="the commands, and stop")
    given = parser.parse_args()
    plan = steps(given)
    if given.list:
        print("\n".join(f"{step.name}: {' '.join(words)}" for step in plan for words in step.commands))
        return 0
    given.out.mkdir(parents=True, exist_ok=True)
    broken = [step.name for step in plan if not carried_out(step, given.out)]
    print(f"failed: {', '.join(broken)}; see {given.out}/STEP.txt" if broken else f"all done: {given.out}")
    return 1 if broken else 0


def carried_out(step: Step, out: Path) -> bool:
    """The step's commands, their words kept; True where all ended well, now or earlier."""
    kept, done = out / f"{step.name}.txt", out / f"{step.name}.done"
    if done.exists():
        return True
    began = time.perf_counter()
    with kept.open("a", encoding="utf-8") as log:
        for words in step.commands:
            print(f"{step.name}: {' '.join(words)}", flush=True)
            log.write(f"$ {' '.join(words)}\n")
            log.flush()
            if subprocess.run(words, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
                return False
        minutes = (time.perf_counter() - began) / 60
        log.write(f"{minutes:.1f} minutes\n")
    done.write_text(f"{minutes:.1f} minutes\n", encoding="utf-8")
    return True


if __name__ == "__main__":
    sys.exit(main())
