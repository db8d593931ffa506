"""resight explain"""

from __future__ import annotations

from pathlib import Path

import click

from resight.cli import common


@click.command(
    epilog=common.example(
        "resight explain runs/hacnn crops/ann.jpg crops/ben.jpg --out pictures/hacnn",
        "resight explain runs/pyramid query.jpg --against hit.jpg",
    )
)
@click.argument("run", type=common.FILE)
@click.argument("images", nargs=-1, required=True, type=common.FILE)
@click.option("--out", type=common.FILE, help="Folder for explain.png and explain.npz.  Default: RUN/explain.")
@click.option("--against", type=common.FILE, help="A hit: also show what makes each picture like this one.")
@click.option("--height", default=256, show_default=True, help="Of a picture on the sheet, in pixels.")
@common.device_option
@common.json_option
def command(
    run: Path, images: tuple[Path, ...], out: Path | None, against: Path | None, height: int, device: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Show where the model in RUN (a run folder or a weights file) looks in IMAGES, pictures or folders of them.

    Attention as overlays, windows as boxes, the stripes most alike; for a model without attention, the places
    its similarity comes from.
    """
    from resight.cli.pictures import find
    from resight.models import load_model
    from resight.reporting.explain import explain, save_arrays
    from resight.reporting.overlay import explanation_sheet

    paths = [sample.path for image in images for sample in find(image)[0]]
    model = load_model(run)
    shown = explain(model, paths, against, device)
    sheet = explanation_sheet(shown, height=height, title=f"{model.spec.name}: {run}")
    folder = out or (run if run.is_dir() else run.parent) / "explain"
    folder.mkdir(parents=True, exist_ok=True)
    sheet.save(folder / "explain.png")
    save_arrays(shown, folder / "explain.npz")
    if as_json:
        panels = [panel.title for panel in shown[0].panels]
        arrays = {name: list(array.shape) for name, array in shown[0].arrays.items()}
        common.print_json({"out": str(folder), "pictures": paths, "panels": panels, "arrays": arrays})
    else:
        click.echo(f"{folder / 'explain.png'}: {len(shown)} pictures; the numbers are in {folder / 'explain.npz'}")
