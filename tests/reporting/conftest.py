"""The made-up result, drawn once for all tests of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reporting.people import make_result

if TYPE_CHECKING:
    from resight.inference import Result


@pytest.fixture(scope="package")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    return make_result(tmp_path_factory.mktemp("colours"))
