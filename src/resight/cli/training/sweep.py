"""The verb `resight sweep`: train recipes x changes x seeds into one table; resumes after any stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resight.cli.common import output, params, processes
from resight.errors import TrainingError, UsageError

if TYPE_CHECKING:
    from resight.experiments.comparison import SweepResults
    from resight.experiments.sweep import Sweep


@click.command(
    epilog=output.example(
        "resight sweep hacnn --out runs/hacnn",
        "resight sweep systems --out runs/systems --budget images=20000 --on sample --on market1501=data/market",
        "resight sweep my.toml --out runs/mine --only 'no attention'",
    )
)
@click.argument("sweep", required=False)
@click.option("--out", type=params.OUT_FOLDER, help="Folder of the runs and the table.  Default: runs/NAME.")
@params.settings_option("Change every recipe alike; may be repeated.")
@click.option("--on", multiple=True, metavar="DATASET[=ROOT]",
              help="Train and evaluate every variant on this data set; may be repeated.")  # fmt: skip
@click.option("--budget", metavar="images=N", help="Show every model N pictures in training; epochs follow.")
@click.option("--seeds", metavar="N[,N...]", help="Seeds in place of the sweep's own.")
@click.option("--only", multiple=True, metavar="VARIANT", help="The first variant and this one; may be repeated.")
@click.option("--list", "show_list", is_flag=True, help="List the sweeps that come with resight.")
@click.option("--show", is_flag=True, help="List the variants of SWEEP, and stop.")
@click.option("--table", "table_only", is_flag=True, help="Train nothing; write the table of what is finished.")
@params.device_option
@params.json_option
def command(
    sweep: str | None, out: Path | None, settings: tuple[str, ...], on: tuple[str, ...], budget: str | None,
    seeds: str | None, only: tuple[str, ...], show_list: bool, show: bool, table_only: bool, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Run SWEEP, a name from --list or a TOML file: recipes x changes x seeds, and one table of all.

    Every finished run is kept: after Ctrl-C or a crash, the same command continues with what is left.
    """
    from resight.experiments.sweep import Sweep

    if show_list:
        _print_list(as_json)
        return
    if sweep is None:
        raise UsageError("name a sweep, one of `resight sweep --list` or a TOML file.")
    asked = _asked(Sweep.load(sweep), on, budget, seeds, only)
    if show:
        _print_variants(asked, as_json)
        return
    folder = out or Path("runs") / asked.name
    with processes.interruptible(f"stopped. Finished runs are kept in {folder}; the same command goes on from there."):
        _run(asked, folder, settings, device, table_only, as_json)


def _run(sweep: Sweep, out: Path, settings: tuple[str, ...], device: str, table_only: bool, as_json: bool) -> None:
    from resight.experiments.comparison import compare_runs
    from resight.experiments.runner import SweepRunner
    from resight.experiments.tables import write_tables

    labels = [target.label for target in sweep.evaluate] or None
    failed: list[str] = []
    if not table_only:
        runner = SweepRunner(sweep, out, device, settings, output.bar())
        runner.after = lambda: write_tables(compare_runs(sweep, out, labels), out)
        failed = runner.run()
    found = compare_runs(sweep, out, labels)
    write_tables(found, out)
    if as_json:
        output.print_json({"out": str(out), "lines": [line.to_dict() for line in found.lines], "failed": failed})
    else:
        _print_table(found)
        click.echo(f"kept in {out}: table.md, table.csv, table.html, table.json, and every run", err=True)
        output.next_step(f"resight report {out}/VARIANT/seed-0")
    if failed:
        raise TrainingError(f"{len(failed)} runs failed and have no row of their own: " + " ".join(failed))


def _print_table(found: SweepResults) -> None:
    """Fitted to the terminal; into a file or a pipe, as Markdown."""
    from rich.console import Console

    from resight.experiments.tables import markdown, terminal

    console = Console()
    if console.is_terminal:
        console.print(terminal(found))
    else:
        click.echo(markdown(found))


def _asked(
    sweep: Sweep, on: tuple[str, ...], budget: str | None, seeds: str | None, only: tuple[str, ...]
) -> Sweep:  # fmt: skip

    if on:
        sweep = sweep.moved(on)
    if budget is not None:
        sweep = replace(sweep, presentations=_number(budget, "--budget", "images=20000"))
    if seeds is not None:
        sweep = replace(sweep, seeds=tuple(dict.fromkeys(_number(s, "--seeds", "0,1,2") for s in seeds.split(","))))
    return sweep.only(only) if only else sweep


def _number(text: str, option: str, right: str) -> int:
    word = text.strip().removeprefix("images=") if option == "--budget" else text.strip()
    if not word.isdecimal():
        raise UsageError(f"{option} {text!r}: expected whole numbers, such as {option} {right}.")
    return int(word)


def _print_list(as_json: bool) -> None:
    from resight.experiments.sweep import Sweep, sweeps

    rows = [(name, Sweep.load(name)) for name in sweeps()]
    if as_json:
        output.print_json([{"name": n, "about": s.about, "variants": [v.name for v in s.variants]} for n, s in rows])
        return
    width = max(len(name) for name, _ in rows)
    for name, sweep in rows:
        click.echo(f"{name:<{width}}  {len(sweep.trials()):>3} runs  {sweep.about}")


def _print_variants(sweep: Sweep, as_json: bool) -> None:
    rows = [
        {"name": v.name, "recipe": sweep.recipe(v).name, "about": v.about, "set": v.set, "weights_of": v.weights_of}
        for v in sweep.variants
    ]
    if as_json:
        output.print_json({"name": sweep.name, "seeds": sweep.seeds, "variants": rows})
        return
    width = max(len(str(row["name"])) for row in rows)
    for row in rows:
        how = f"weights of {row['weights_of']}" if row["weights_of"] else row["recipe"]
        click.echo(f"{row['name']:<{width}}  {how}  {row['about']}")
