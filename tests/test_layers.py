"""The direction of imports: a file imports from the rows below its own, and no two files import each other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "resight"
ROWS: tuple[tuple[str, ...], ...] = (
    ("__init__",),
    ("__main__",),
    ("cli",),
    ("serving",),
    ("experiments", "explain", "bench", "adapt"),
    ("reporting",),
    ("checkpoint_import",),
    ("run", "export"),
    ("assembly",),
    ("recipe", "recipes", "sweeps"),
    ("overrides",),
    ("training", "tracks", "gallery"),
    ("inference",),
    ("models", "clustering"),
    ("losses", "data", "evaluation", "synth"),
    ("dist", "files", "options", "precision"),
    ("types", "errors", "_version"),
)
ROW = {name: row for row, names in enumerate(ROWS) for name in names}
Graph = dict[str, set[str]]


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    return [*module.split("."), "__init__"][1]


def imports_of(path: Path, modules: set[str]) -> set[str]:
    """Every file of resight this one imports, those for the type checker and those inside functions included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                found.add(whole if whole in modules else node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return (found & modules) - {module_of(path)}


def graph() -> Graph:
    files = {module_of(path): path for path in SOURCE.rglob("*.py")}
    return {module: imports_of(path, set(files)) for module, path in sorted(files.items())}


def upward(arrows: Graph) -> list[str]:
    return [
        f"{importer} imports {imported}"
        for importer, targets in arrows.items()
        for imported in sorted(targets)
        if part_of(importer) not in (part_of(imported), "__init__") and ROW[part_of(importer)] >= ROW[part_of(imported)]
    ]


def circle(arrows: Graph) -> list[str]:
    """The files of one circle of imports, in their order; empty where there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for imported in sorted(arrows[module]):
            if found := walk(imported, [*path, module]):
                return found
        done.add(module)
        return []

    return next(filter(None, (walk(module, []) for module in arrows)), [])


def test_every_part_has_its_row() -> None:
    parts = {part_of(module) for module in graph()} - {"__init__"}
    assert parts <= set(ROW), f"no row for {parts - set(ROW)}"


def test_imports_point_down() -> None:
    assert not upward(graph())


def test_no_circle_of_files() -> None:
    assert not circle(graph()), " -> ".join(circle(graph()))


@pytest.mark.parametrize(
    ("importer", "imported"),
    [("models.base", "training.trainer"), ("data.splits", "losses.base"), ("types", "data"), ("run", "export")],
)
def test_an_upward_import_names_both_files(importer: str, imported: str) -> None:
    arrows: Graph = {f"resight.{importer}": {f"resight.{imported}"}, f"resight.{imported}": set()}
    assert upward(arrows) == [f"resight.{importer} imports resight.{imported}"]


def test_a_circle_names_its_files() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
