"""The verb `resight demo`: bundled synthetic people: train, evaluate, search, report, index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params

if TYPE_CHECKING:
    from resight.data import Dataset
    from resight.inference import Result

FIRST_FRAME, FRAMES_PER_SECOND = 1_767_600_000, 25  # 2026-01-05, 08:00 UTC, made up
RECIPE = "strong_baseline_sample"


@click.command(epilog=output.example("resight demo", "resight demo --seed 1 --out demo-1"))
@click.option(
    "--out",
    type=params.OUT_FOLDER,
    default=Path("resight-demo"),
    show_default=True,
    help="Folder for everything made.",
)
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Seed of everything that is drawn.")
@click.option("--fresh", is_flag=True, help="Throw an earlier demo in that folder away first.")
@params.device_option
@params.json_option
def command(out: Path, seed: int, fresh: bool, device: str, as_json: bool) -> None:
    """Train on bundled synthetic people, evaluate, search, write the report and index a gallery.

    Nothing is downloaded and no real person is shown.  Minutes on a laptop; Ctrl-C is safe, the same command goes on.
    """
    from resight.assembly import load_data
    from resight.inference import RawPixels, evaluate
    from resight.models import load_model
    from resight.recipe import Recipe
    from resight.reporting import result_sheet, write_report
    from resight.run import train

    recipe = Recipe.load(RECIPE).override(f"seed={seed}")
    dataset = load_data(recipe)
    note = output.console().print
    note(f"[bold]1/5 train[/]    {recipe.model.name} on {dataset}")
    run = train(recipe, out, device=device, fresh=fresh, display=output.bar())
    note("[bold]2/5 evaluate[/] on people not in the training set, across cameras")
    exact: dict[str, Any] = {"device": device, "precision": "fp32"}  # figures that agree from machine to machine
    context = {"run": out.name, "recipe": recipe.name, "recipe_hash": recipe.hash, "seed": seed}
    progress = output.counting(output.bar(), "embedding")
    result = evaluate(run.model, dataset, context=context, progress=progress, **exact)
    result.save(out / "evaluation" / dataset.name)
    models = {"raw_pixels": RawPixels(), params.TRAINED: load_model(params.TRAINED)}
    others = {name: evaluate(model, dataset, **exact) for name, model in models.items()}
    note("[bold]3/5 search[/]   one picture against the gallery")
    sheet = out / "search.png"
    result_sheet(result, queries=5, k=8).save(sheet)  # right hits in green, wrong ones in red
    note("[bold]4/5 report[/]   scores, curves, ranked lists on one page")
    page = write_report(
        out / "report" / "index.html",
        result,
        journal=run.journal,
        recipe_toml=recipe.to_toml(),
        title="resight demo",
        dataset=dataset,
    )
    note("[bold]5/5 index[/]    a gallery to search on a web page")
    gallery = _index(others[params.TRAINED], dataset, out / "gallery")
    if as_json:
        scores = {name: _scores(each) for name, each in {"scores": result, **others}.items()}
        output.print_json({"run": out, "report": page, "gallery": gallery, "search": sheet, "seed": seed, **scores})
    else:
        _say(result, others, out, page, sheet, gallery)


def _index(result: Result, dataset: Dataset, path: Path) -> Path:
    """The test set's pictures as a gallery of the packaged weights; records that are there already are updated."""
    from resight.gallery import Gallery

    made = result.gallery
    with Gallery.open(path, dim=made.vectors.shape[1], metric=made.metric, fingerprint=made.fingerprint) as gallery:
        gallery.remember(model=params.TRAINED)
        for side, samples in ((result.gallery, dataset.gallery), (result.query, dataset.query)):
            gallery.add(
                side.vectors,
                pids=[sample.pid if sample.pid > 0 else None for sample in samples],
                cameras=[f"camera {sample.camid}" for sample in samples],
                times=[FIRST_FRAME + (sample.frame or 0) / FRAMES_PER_SECOND for sample in samples],
                images=[sample.path for sample in samples],
                sources=[sample.path.name for sample in samples],
            )
    return path


def _scores(result: Result) -> dict[str, float]:
    report = result.report
    return {"mAP": report.mAP, "rank1": report.rank(1), "rank5": report.rank(5), "mINP": report.mINP}


def _say(result: Result, others: dict[str, Result], out: Path, page: Path, sheet: Path, gallery: Path) -> None:
    from resight.models import trained_card

    click.echo(f"\n{result}  (trained just now, on 40 people)")
    click.echo(f"{others['raw_pixels']}  (raw pixels, no learning)")
    known = trained_card(params.TRAINED)["data"]["identities"]
    click.echo(f"{others[params.TRAINED]}  ({params.TRAINED}, packaged: trained on {known:,} other synthetic people)\n")
    click.echo(
        f"report   {page.resolve()}\nsearch   {sheet.resolve()}\nweights  {out.resolve() / 'model.safetensors'}\n"
    )
    click.echo(f"Find them on a web page:  resight serve --gallery {gallery}\n")
    click.echo("Both know only synthetic people. Try next:")
    click.echo(f"  resight search FOLDER PICTURE                      your own pictures, with {params.TRAINED}")
    click.echo("  resight train --list                               other recipes")
    click.echo(f"  resight train {RECIPE} --set train.epochs=80 --out runs/longer")
