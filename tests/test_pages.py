"""What the pages name exists: options, losses, outputs and recipes are words of the source."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from resight import losses, models
from resight.cli import VERBS
from resight.data import DATASETS
from resight.recipe import Recipe

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs" / "methods").glob("*.md")), ROOT / "docs" / "sweeps.md"]
SOURCES = [path for kind in ("py", "toml", "html") for path in (ROOT / "src").rglob(f"*.{kind}")]
SPAN = re.compile(r"`([A-Za-z_][\w.]*)(?:\s?=\s?[^`]*)?`")  # a word, or a word and its value

METHODS = (
    "mancs", "hacnn", "pyramid", "mdpr", "baselines", "augmentation",
    "osnet", "pcb", "mgn", "agw", "transreid", "clip_reid", "solider", "unsupervised",
)  # fmt: skip


def spans(page: Path) -> list[str]:
    """What stands in backquotes outside blocks of code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [found.group(0).strip("`") for found in SPAN.finditer(text)]


def keys(kind: Any) -> set[str]:
    """Every field of a dataclass and of those inside it."""
    found = set()
    for field in dataclasses.fields(kind):
        made = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        found |= {field.name} | (keys(type(made)) if dataclasses.is_dataclass(made) else set())
    return found


@pytest.fixture(scope="module")
def words() -> set[str]:
    source = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    return (
        set(re.findall(r"\w+", source)) | {path.stem for path in SOURCES} | {*DATASETS, "Thumbs"}
    )  # Windows leaves it


@pytest.fixture(scope="module")
def options() -> set[str]:
    """All that a recipe, a model or a loss can be told."""
    found = keys(Recipe) | {key for kind in models.MODELS.values() for key in keys(kind.Options)}
    found |= {name for loss in losses.available() for name in losses.options_of(loss)}
    recipe = Recipe.load("mancs_market1501")
    for kind in (type(recipe.objective.terms[0]), type(recipe.feed["main"]), type(recipe.optim.groups[0])):
        found |= keys(kind)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_name_on_a_page_is_a_word_of_the_source(page: Path, words: set[str]) -> None:
    named = {part for span in spans(page) for part in re.split(r"\W+", span.split("=")[0].strip()) if part}
    assert named - words == set()


@pytest.mark.parametrize("name", METHODS)
def test_every_setting_on_a_methods_page_is_an_option(name: str, options: set[str]) -> None:
    settings = [span for span in spans(ROOT / "docs" / "methods" / f"{name}.md") if "=" in span]
    assert settings
    assert {span.split("=")[0].strip().rpartition(".")[2] for span in settings} - options == set()


READMES = ("README.md", "README.zh-CN.md")


@pytest.mark.parametrize("name", READMES)
def test_a_readme_lists_every_verb_and_every_extra(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert {verb.name for verb in VERBS} - set(re.findall(r"^resight (\w+)", text, re.MULTILINE)) == set()
    asked = {extra for found in re.findall(r"pip install '\.\[([\w,]+)\]'", text) for extra in found.split(",")}
    offered = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert asked == offered.keys()


def test_the_readmes_lead_to_the_same_places() -> None:
    links = [set(re.findall(r"\]\(([^)]+)\)", (ROOT / name).read_text(encoding="utf-8"))) for name in READMES]
    assert links[0] - {READMES[1]} == links[1] - {READMES[0]}
    assert all((ROOT / link).exists() for link in links[0] | links[1] if not link.startswith("http"))
