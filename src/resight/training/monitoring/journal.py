"""Journal of a run: `journal.jsonl`, one object a line, and TensorBoard on request."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, TextIO

from resight.errors import CheckpointError, MissingExtraError
from resight.files import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor
    from torch.utils.tensorboard import SummaryWriter

    from resight.training.objective.loss_report import LossReport


class Meter:
    """Means since the last line of the journal.  Tensors are summed where they are and read once a line."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.count, self.images, self.waited, self.took = 0, 0, 0.0, 0.0

    def add(self, report: LossReport, images: int, waited: float, took: float) -> None:
        values = {"total": report.total.detach(), "spread": report.spread}
        values |= {f"part.{name}": part for name, part in report.parts.items()}
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value.float() if name in self.sums else value.float()
        self.count, self.images = self.count + 1, self.images + images
        self.waited, self.took = self.waited + waited, self.took + took

    def read(self) -> dict[str, Any]:
        means = {name: float(value) / self.count for name, value in self.sums.items()}
        values = {
            "total": means["total"],
            "parts": {name.removeprefix("part."): v for name, v in means.items() if name.startswith("part.")},
            "spread": means["spread"],
            "images_per_s": round(self.images / max(self.took, 1e-9), 1),
            "waiting": round(self.waited / max(self.took, 1e-9), 4),
        }
        self.__init__()  # type: ignore[misc]
        return values

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


class Journal:
    """Appends one JSON object a line; each carries `step` and `event`.

    Opened at a step, it drops later lines: a resumed run's journal reads like an uninterrupted one's.  A new run
    opens it without one and begins with an empty page.
    """

    def __init__(self, path: Path, *, step: int | None = None, tensorboard: bool = False) -> None:
        self.path = path
        self._handle: TextIO | None = None
        self.rewind(step)
        self._writer = _tensorboard(path.parent / "tensorboard", step or 0) if tensorboard else None

    def rewind(self, step: int | None) -> None:
        """Remove lines after `step`; None: all of them."""
        self._shut()
        kept = [line for line in read(self.path) if int(line.get("step", 0)) <= step] if step is not None else []
        text = "".join(json.dumps(line) + "\n" for line in kept)
        write_text(self.path, text)
        self._handle = self.path.open("a", encoding="utf-8")

    def write(self, event: str, step: int, **values: Any) -> None:
        """Raises CheckpointError where the disk does not take the line."""
        assert self._handle is not None
        try:
            self._handle.write(json.dumps({"event": event, "step": step, **values}) + "\n")
            self._handle.flush()
        except OSError as error:
            raise CheckpointError(
                f"cannot write {self.path}: {error}. Make room, then give the same command again to go on."
            ) from error
        if self._writer is not None:
            for name, number in _numbers(values):
                self._writer.add_scalar(f"{event}/{name}", number, step)

    def close(self) -> None:
        self._shut()
        if self._writer is not None:
            self._writer.close()

    def _shut(self) -> None:
        if self._handle is not None:
            with contextlib.suppress(OSError):  # a full disk was reported when the line was written
                self._handle.close()
        self._handle = None


class Unwritten:
    """The journal of processes other than rank 0: writes nothing."""

    def rewind(self, step: int) -> None: ...
    def write(self, event: str, step: int, **values: Any) -> None: ...
    def close(self) -> None: ...


def read(path: Path) -> list[dict[str, Any]]:
    """Every whole line; one torn by a kill is passed over."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return lines


def _numbers(values: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            found += _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found.append((prefix + name, float(value)))
    return found


def _tensorboard(folder: Path, step: int) -> SummaryWriter:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("train.tensorboard", "tensorboard") from error
    return SummaryWriter(str(folder), purge_step=step)
