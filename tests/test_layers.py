"""The import arrows: a file imports only from rows below its own, and islands do not know one another."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "resight"
ROWS: tuple[tuple[str, ...], ...] = (
    ("__main__",),
    ("cli",),
    ("serving", "bench", "reporting"),
    ("recipe", "run", "recipes", "sweeps"),
    ("training", "gallery"),
    ("embedding",),
    ("evaluation",),
    ("models", "losses", "data", "synth"),
    ("types", "errors", "files", "dist"),
)
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
ISLANDS = {"models", "losses", "data", "synth"}


def part_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def arrows() -> list[tuple[Path, str]]:
    """(file, part of resight it imports), those for the type checker alone included."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules = [node.module] if node.module != "resight" else [f"resight.{a.name}" for a in node.names]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            else:
                continue
            found += [(path, m.split(".")[1]) for m in modules if m.startswith("resight.") and m.split(".")[1] in ROW]
    return found


def allowed(importer: str, imported: str) -> bool:
    if importer == imported or importer == "__init__":
        return True
    if importer in ISLANDS and imported in ISLANDS:
        return False
    if ROW[importer] == ROW[imported]:
        return (importer not in ISLANDS and ROW[importer] == ROW["recipe"]) or {importer, imported} <= {
            "errors",
            "files",
            "types",
            "dist",
        }
    return ROW[importer] < ROW[imported]


def test_every_part_has_its_row() -> None:
    parts = {part_of(path) for path in SOURCE.rglob("*.py")} - {"__init__"}
    assert parts <= set(ROW), f"no row for {parts - set(ROW)}"


def test_arrows_point_down() -> None:
    up = [
        f"{path.relative_to(SOURCE)} imports {imported}"
        for path, imported in arrows()
        if not allowed(part_of(path), imported)
    ]
    assert not up


@pytest.mark.parametrize(
    ("importer", "imported"),
    [("models", "losses"), ("data", "training"), ("types", "data"), ("evaluation", "embedding")],
)
def test_an_arrow_that_points_up_is_seen(importer: str, imported: str) -> None:
    assert not allowed(importer, imported)
