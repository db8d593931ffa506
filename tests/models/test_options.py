"""A recipe's words become typed options, or a sentence that lists the valid ones."""

from __future__ import annotations

import json
from typing import Any

import pytest

from resight import models
from resight.errors import UnknownNameError, UsageError
from resight.models.baseline import BaselineOptions
from resight.models.mdpr import MDPROptions


def test_a_group_may_be_given_by_its_name_in_part_or_whole() -> None:
    by_name = models.options_of("mdpr", backbone="resnet18")
    in_part = models.options_of("mdpr", backbone={"width": 32})
    assert isinstance(by_name, MDPROptions)
    assert isinstance(in_part, MDPROptions)
    assert by_name.backbone.name == "resnet18"
    assert (in_part.backbone.name, in_part.backbone.width) == ("resnet101", 32)  # over the paper's own
    assert models.options_of("mdpr", backbone=in_part.backbone).backbone == in_part.backbone  # type: ignore[attr-defined]


def test_the_specification_is_json_and_complete() -> None:
    options = models.options_of("baseline", backbone={"name": "resnet10", "width": 4}, attributes={"hat": 2})
    model = models.build("baseline", 3, backbone={"name": "resnet10", "width": 4}, attributes={"hat": 2})
    spec = json.loads(json.dumps(model.spec.as_dict()))
    assert models.options_of(spec["name"], **spec["options"]) == options
    assert isinstance(options, BaselineOptions)


def test_a_preset_is_its_model_with_other_options() -> None:
    plain, release = models.options_of("mancs"), models.options_of("mancs-release")
    assert type(plain) is type(release)
    assert plain != release
    assert models.options_of("mancs-release", activation="relu").activation == "relu"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"bakbone": "resnet18"},
            r"^bakbone: there is no option of baseline named.*Did you mean 'backbone'.*input_size",
        ),
        ({"backbone": {"nme": "resnet18"}}, r"^backbone\.nme: .*Did you mean 'name'.*last_stride"),
        ({"pooling": "sum"}, r"^pooling: found 'sum'; input should be 'average', 'maximum' or 'gem'"),
        ({"input_size": [128]}, r"^input_size\[1\]: found"),
        ({"embedding": "wide"}, r"^embedding: found 'wide'"),
        ({"backbone": 3}, r"backbone"),
        ({"backbone": {"width": None}}, r"backbone.width"),
        ({"attributes": {"hat": 1}}, r"'hat' has 1 classes"),
        ({"input_size": (64, 16)}, r"at least 32"),
        ({"channel_groups": 3}, r"does not divide"),
        ({"channel_groups": 0}, r"^channel_groups: found 0; input should be greater than or equal to 1"),
        ({"retrieval": ["globl"]}, r"no baseline feature named 'globl'. Did you mean 'global'"),
    ],
)
def test_a_wrong_option_is_answered_with_the_valid_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        models.build("baseline", 3, **({"backbone": {"name": "resnet10", "width": 4}} | options))


@pytest.mark.parametrize("name", ["transreid", "clip_reid"])
def test_fewer_than_no_cameras_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="^cameras: found -1; input should be greater than or equal to 0"):
        models.build(name, 3, cameras=-1)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'mancs'"):
        models.build("manc", 3)
    with pytest.raises(UsageError, match="num_ids = -1"):
        models.build("hacnn", -1)
