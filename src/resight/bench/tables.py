"""Several measurements as one table, with ratios to the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from resight.bench.speed import Speed

HEAD = ("recipe", "batch", "precision", "images/s", "ratio", "step ms", "10 % to 90 %", "waiting", "memory", "TFLOP/s")


def table(speeds: Sequence[Speed]) -> str:
    """Markdown: readable as it is, and in a page."""
    rows = [HEAD, *(_row(speed, speeds[0]) for speed in speeds)]
    if any(speed.utilisation is not None for speed in speeds):
        rows = [
            (*rows[0], "of peak"),
            *((*row, _share(s.utilisation)) for row, s in zip(rows[1:], speeds, strict=True)),
        ]
    if any(speed.compiled for speed in speeds):
        times = ("compile s", *(f"{s.compile_s:.1f}" if s.compile_s is not None else "-" for s in speeds))
        rows = [(*row, time) for row, time in zip(rows, times, strict=True)]
    return markdown(rows)


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """Rows of equal length as an aligned table, the first as its head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def about(speed: Speed) -> str:
    """Where and how it was measured."""
    threads = f", {speed.threads} threads" if speed.device == "cpu" else ""
    return f"{speed.steps} steps each on {speed.device}{threads}; made-up pictures, decoded beforehand"


def _row(speed: Speed, first: Speed) -> tuple[str, ...]:
    how = [speed.precision]
    if speed.compiled:
        how.append("compiled")
    if not speed.channels_last:
        how.append("channels first")
    return (
        speed.recipe,
        f"{speed.batch} x {speed.size[0]} x {speed.size[1]}",
        ", ".join(how),
        f"{speed.images_per_s:.1f}",
        f"{speed.images_per_s / first.images_per_s:.2f}",
        f"{1000 * speed.step_s:.1f}",
        f"{1000 * speed.step_s_low:.1f} to {1000 * speed.step_s_high:.1f}",
        _share(speed.waiting),
        f"{speed.peak_memory_gib:.2f} GiB",
        f"{speed.tflops:.3g}",
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f} %"
