"""The verb `resight explain`: attention maps, or the regions a similarity comes from."""

from __future__ import annotations

from pathlib import Path

import click

from resight.cli.common import output, params
from resight.errors import UsageError
from resight.files import refuse_overwriting


@click.command(
    epilog=output.example(
        "resight explain runs/hacnn crops/ann.jpg crops/ben.jpg --out pictures/hacnn",
        "resight explain runs/pyramid query.jpg --against hit.jpg",
        "resight explain runs/mdpr --people 10",
    )
)
@click.argument("run", type=params.MODEL)
@click.argument("images", nargs=-1, type=params.PICTURE)
@click.option("--out", type=params.OUT_FOLDER, help="Folder for explain.png and explain.npz.  Default: RUN/explain.")
@click.option("--against", type=params.PICTURE, help="A hit: also show what makes each picture like this one.")
@click.option("--people", type=click.IntRange(min=1, max=64),
              help="In place of IMAGES: so many people of the test set, a query each.")  # fmt: skip
@click.option("--hits", is_flag=True, help="With --people: against a picture of theirs from another camera.")
@click.option("--dataset", help="That --people are drawn from.  Default: the one of the run's recipe.")
@click.option("--root", type=params.FILE, help="Where the data set lies.")
@click.option("--seed", type=params.SEED, default=0, show_default=True, help="Which people are drawn.")
@click.option("--height", default=256, show_default=True, help="Of a picture on the sheet, in pixels.")
@params.device_option
@params.json_option
def command(
    run: Path, images: tuple[Path, ...], out: Path | None, against: Path | None, people: int | None, hits: bool,
    dataset: str | None, root: Path | None, seed: int, height: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Show where the model RUN looks in IMAGES, pictures or folders of them.

    Attention as overlays, windows as boxes, the stripes most alike; for a model without attention, the places
    its similarity comes from.  RUN is a run folder, a weights file, a packaged name or a hub id.
    """
    from resight.cli.common.run_folder import home
    from resight.explain.explain import explain, save_arrays
    from resight.explain.panels import explanation_sheet
    from resight.models import read_model

    paths, towards = _asked(run, images, against, people, hits, dataset, root, seed)
    folder = out or home(run) / "explain"
    refuse_overwriting([folder / "explain.png"], paths)
    model = read_model(run)
    shown = explain(model, paths, towards, device)
    sheet = explanation_sheet(shown, height=height, title=f"{model.spec.name}: {run}")
    folder.mkdir(parents=True, exist_ok=True)
    sheet.save(folder / "explain.png")
    save_arrays(shown, folder / "explain.npz")
    if as_json:
        panels = [panel.title for panel in shown[0].panels]
        arrays = {name: list(array.shape) for name, array in shown[0].arrays.items()}
        output.print_json({"out": str(folder), "pictures": paths, "panels": panels, "arrays": arrays})
    else:
        click.echo(f"{folder / 'explain.png'}: {len(shown)} pictures; the numbers are in {folder / 'explain.npz'}")
        output.next_step(f"resight report {run}")


def _asked(
    run: Path, images: tuple[Path, ...], against: Path | None, people: int | None, hits: bool, dataset: str | None,
    root: Path | None, seed: int,
) -> tuple[list[Path], Path | list[Path] | None]:  # fmt: skip
    """The pictures, and what each is held against."""
    if (people is None) != bool(images):
        raise UsageError("say what to explain: pictures or folders, or people of the test set with --people N.")
    if people is None:
        from resight.inference.image_sources import find

        if hits:
            raise UsageError("--hits belongs to --people; for a picture of your own name its hit with --against.")
        return [sample.path for image in images for sample in find(image)[0]], against
    from resight.cli.common.run_folder import dataset_for
    from resight.explain.explain import drawn_people

    pairs = drawn_people(output.say_left_out(dataset_for(run, dataset, root, {})[0]), people, seed)
    return [query for query, _ in pairs], [hit for _, hit in pairs] if hits else against
