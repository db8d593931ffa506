"""Who people are: steady, varied, and alike where they should be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from resight.synth.attributes import NAMES, attributes
from resight.synth.cast import draw_person
from resight.synth.clothing.fabric import Fabric, paint
from resight.synth.clothing.palette import LOWER_COLORS, UPPER_COLORS
from resight.synth.clothing.wardrobe import Bottom
from resight.synth.streams import stream

PEOPLE = [draw_person(5, pid, pid) for pid in range(60)]


def test_a_stream_is_its_name_and_numbers() -> None:
    assert stream(1, "person", 2).random() == stream(1, "person", 2).random()
    others = [stream(2, "person", 2), stream(1, "place", 2), stream(1, "person", 3), stream(1, "person", 2, 0)]
    assert len({stream(1, "person", 2).random(), *(other.random() for other in others)}) == 5


def test_an_identity_is_the_same_person_every_time() -> None:
    assert draw_person(5, 7, 7) == PEOPLE[7]
    assert draw_person(6, 7, 7) != PEOPLE[7]


def test_lookalikes_share_their_clothes_and_nothing_else_for_sure() -> None:
    one, two = draw_person(5, 10, 10), draw_person(5, 11, 10)
    assert (one.top.kind, one.bottom.kind, one.colors) == (two.top.kind, two.bottom.kind, two.colors)
    np.testing.assert_allclose(one.top.fabric.color, two.top.fabric.color, atol=0.05)
    assert one.body.sex == two.body.sex
    assert one.body != two.body
    assert one.hair != two.hair


@pytest.mark.parametrize("name", NAMES)
def test_every_attribute_takes_several_values(name: str) -> None:
    assert len({attributes(person)[name] for person in PEOPLE}) > 1


def test_attributes_say_what_is_worn() -> None:
    person = PEOPLE[0]
    bare = replace(person, outer=None, top=replace(person.top, sleeve=1.4), hat=None, carried=())
    shorts = replace(bare, bottom=Bottom("shorts", Fabric((0.1, 0.1, 0.1)), hem=1.1, ease=0.02))
    said = attributes(shorts)
    assert {said[name] for name in ("hat", "backpack", "bag", "handbag")} == {0}
    assert (said["up"], said["down"], said["clothes"]) == (1, 1, 1)
    long = replace(bare, top=replace(bare.top, sleeve=0.05))
    vest = replace(bare.top, kind="vest", sleeve=2.0)
    assert attributes(long)["up"] == attributes(replace(long, outer=vest))["up"] == 0


def test_colour_classes_fit_the_tables() -> None:
    for person in PEOPLE:
        assert 0 <= person.colors["upcolor"] < len(UPPER_COLORS)
        assert 0 <= person.colors["downcolor"] < len(LOWER_COLORS)


@pytest.mark.parametrize(("side", "towards"), [("front", 1.0), ("back", -1.0)])
def test_a_print_is_on_its_side_only(side: str, towards: float) -> None:
    theta, up = np.meshgrid(np.linspace(-np.pi, np.pi, 181), np.linspace(1.0, 1.5, 101))
    plain = Fabric((0.2, 0.2, 0.2), seed=3)
    printed = replace(plain, **{side: "picture"})  # type: ignore[arg-type]
    differs = (paint(plain, 0.15 * theta, up, theta, 1.25) != paint(printed, 0.15 * theta, up, theta, 1.25)).any(
        axis=-1
    )
    assert differs[towards * np.cos(theta) > 0.3].any()
    assert not differs[towards * np.cos(theta) < 0.2].any()


def test_stripes_repeat_with_their_scale() -> None:
    fabric = Fabric((0.1, 0.1, 0.1), second=(0.9, 0.9, 0.9), pattern="stripes", scale=0.1)
    up = np.linspace(0, 0.5, 51)[:, None]
    colors = paint(fabric, 0 * up, up, 0 * up, 9.0)
    np.testing.assert_allclose(colors[:-10], colors[10:], atol=1e-9)
    assert np.ptp(colors) > 0.5
