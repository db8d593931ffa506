"""Settings of torch's that make a CUDA device repeat itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from resight.training.determinism import repeatable


def _settings() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory, cudnn.benchmark, cudnn.deterministic,  # type: ignore[attr-defined]
    )  # fmt: skip


@pytest.mark.parametrize("wanted", [True, False])
def test_settings_hold_within_and_are_put_back(wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = _settings()
    with pytest.raises(KeyError), repeatable(torch.device("cuda"), wanted):
        assert _settings() == (wanted, True, False, not wanted, wanted)
        raise KeyError
    assert _settings() == before


def test_the_precision_of_products_stays_as_it_was_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark_limit", 3)
    with repeatable(torch.device("cuda"), wanted=False):
        assert not torch.backends.cudnn.allow_tf32 and torch.backends.cudnn.benchmark_limit == 3


def test_a_processor_is_left_alone() -> None:
    before = _settings()
    with repeatable(torch.device("cpu"), wanted=True):
        assert _settings() == before
