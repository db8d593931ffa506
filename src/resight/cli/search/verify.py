"""The verb `resight verify`: compare two pictures, the same person or not."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from resight.cli.common import output, params
from resight.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from resight.evaluation import Calibration
    from resight.models import PairScores


@click.command(
    epilog=output.example(
        "resight verify a.jpg b.jpg --model runs/first",
        "resight verify --pairs pairs.csv --model runs/first --fmr 0.001 --json answers.json",
    )
)
@click.argument("pictures", type=params.FILE, nargs=-1)
@params.model_option
@click.option("--pairs", type=params.FILE, help="A CSV with the columns a and b: two pictures a line.")
@click.option("--calibration", type=params.FILE, help="From resight calibrate.  Default: calibration.json in MODEL.")
@click.option("--no-calibration", is_flag=True, help="Do without, even if the model has one.")
@click.option("--fmr", type=click.FloatRange(0, 1, min_open=True, max_open=True),
              help="False-match rate whose threshold decides.  Default: the largest one calibrated.")  # fmt: skip
@params.batch_option
@params.device_option
@params.json_option
def command(
    pictures: tuple[Path, ...], model: Path, pairs: Path | None, calibration: Path | None, no_calibration: bool,
    fmr: float | None, batch_size: int, device: str, as_json: bool,
) -> None:  # fmt: skip
    """Do the two PICTURES show the same person?

    A model that was trained to verify answers itself; with a calibration any model's similarity becomes a probability,
    and a yes or no at a threshold. Without both there is the similarity alone. Exit code 0 whatever the answer.
    """
    from resight.cli.common.run_folder import calibration_for
    from resight.inference.verify import verify_pictures
    from resight.models import load_model

    asked = _asked(pictures, pairs)
    network = load_model(model)
    known = calibration_for(model, network.fingerprint(), calibration, fmr, no_calibration)
    answers = answer(asked, verify_pictures(network, asked, device, batch_size), known, fmr)
    if as_json:
        plain = [asdict(each) for each in answers]
        output.print_json(plain if pairs is not None else plain[0])
        return
    for each in answers:
        click.echo(f"{each.a}  {each.b}\n  {each}" if pairs is not None else str(each))
    if known is None and answers[0].same is None:
        output.next_step(f"resight calibrate VECTORS --model {model}")


@dataclass(frozen=True)
class Answer:
    """The answer about one pair.  similarity: the cosine, or minus the distance.  What is not known is None."""

    a: str
    b: str
    similarity: float
    same: bool | None = None
    by: str | None = None  # what decides: "model", "calibration" or "equal files"
    probability: float | None = None  # the model's own
    calibrated: float | None = None  # from the similarity, for an even chance beforehand
    threshold: float | None = None  # of the similarity
    fmr: float | None = None  # the false-match rate it was chosen for

    def __str__(self) -> str:
        decision = {True: "yes", False: "no", None: "cannot tell"}[self.same]
        if self.by == "equal files":
            return f"same person: {decision}  (the two files are equal)"
        parts = [f"similarity {self.similarity:.4f}"]
        if self.probability is not None:
            parts.append(f"the model's own probability {self.probability:.3f}")
        if self.calibrated is not None and self.threshold is not None:
            parts.append(f"calibrated probability {self.calibrated:.3f}, where one pair in two is of one person")
            parts.append(f"accepted from {self.threshold:.4f}, the threshold of a false-match rate of {self.fmr:g}")
        if self.same is None:
            parts.append("a threshold comes from resight calibrate")
        return f"same person: {decision}  ({'; '.join(parts)})"


def answer(
    asked: list[tuple[Path, Path]], found: PairScores, known: Calibration | None, fmr: float | None
) -> list[Answer]:
    """The model's own answer where it gives one, else the calibration's at a threshold, else the similarity alone."""
    rate = None if known is None else fmr or max(point.fmr for point in known.operating)
    threshold = None if known is None or rate is None else known.threshold(rate)
    answers = []
    for row, (a, b) in enumerate(asked):
        similarity = float(found.similarity[row])
        said: dict[str, Any] = {}
        if known is not None and threshold is not None:
            said = {"same": similarity >= threshold, "by": "calibration", "threshold": threshold, "fmr": rate,
                    "calibrated": float(known.probability(similarity))}  # fmt: skip
        if found.probability is not None:
            own = float(found.probability[row])
            said |= {"same": own >= 0.5, "by": "model", "probability": own}
        if a.stat().st_size == b.stat().st_size and a.read_bytes() == b.read_bytes():
            said |= {"same": True, "by": "equal files"}
        answers.append(Answer(str(a), str(b), similarity, **said))
    return answers


def _asked(pictures: tuple[Path, ...], pairs: Path | None) -> list[tuple[Path, Path]]:
    if pairs is not None and not pictures:
        return _of_csv(pairs)
    if pairs is not None or len(pictures) != 2:
        raise UsageError(f"{len(pictures)} pictures given; give two, or a file of pairs with --pairs alone.")
    missing = next((path for path in pictures if not path.is_file()), None)
    if missing is not None:
        folder = missing.is_dir()
        raise NotFoundError(f"{missing} is a folder; name a picture." if folder else f"there is no picture {missing}.")
    return [(pictures[0], pictures[1])]


def _of_csv(file: Path) -> list[tuple[Path, Path]]:
    """Pairs of a CSV; paths are relative to the file's folder."""
    from resight.data.formats.csv_rows import rows_of

    rows = rows_of(file, ("a", "b"), "a,b")
    return [(file.parent / row["a"], file.parent / row["b"]) for _, row in rows]
