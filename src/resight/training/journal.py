"""What happened, line by line: `journal.jsonl`, and TensorBoard for those who like it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from resight.errors import MissingExtraError

if TYPE_CHECKING:
    from pathlib import Path

    from torch.utils.tensorboard import SummaryWriter


class Journal:
    """Appends one JSON object a line; each carries `step` and `event`.

    Opened at a step, it forgets later lines: a resumed run's journal reads like an uninterrupted one's.
    """

    def __init__(self, path: Path, *, step: int = 0, tensorboard: bool = False) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in read(path) if int(line.get("step", 0)) <= step] if step else []
        with path.open("w", encoding="utf-8") as handle:
            handle.writelines(json.dumps(line) + "\n" for line in kept)
        self._handle = path.open("a", encoding="utf-8")
        self._writer = _tensorboard(path.parent / "tensorboard", step) if tensorboard else None

    def write(self, event: str, step: int, **values: Any) -> None:
        self._handle.write(json.dumps({"event": event, "step": step, **values}) + "\n")
        self._handle.flush()
        if self._writer is not None:
            for name, number in _numbers(values):
                self._writer.add_scalar(f"{event}/{name}", number, step)

    def close(self) -> None:
        self._handle.close()
        if self._writer is not None:
            self._writer.close()


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
