"""What the journal's next line will say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from resight.training.objective import LossReport


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
        return {
            "sums": self.sums,
            "count": self.count,
            "images": self.images,
            "waited": self.waited,
            "took": self.took,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
