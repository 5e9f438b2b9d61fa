"""MeanAbsoluteError."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MeanAbsoluteError
from support.cases.regression import mean_absolute_error

TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]


def value_of(metric: Any, *batches: Any) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.sampled_from(TYPES),
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.integers(1, 5),
    st.integers(0, 2**20),
)
def test_the_value_is_that_of_the_formula_in_float64(
    of_predictions: torch.dtype, of_targets: torch.dtype, shape: list[int], size: int, seed: int
) -> None:
    """Of any types and shapes, the errors of a sample's entries are summed, and those of samples averaged."""
    generator = torch.Generator().manual_seed(seed)
    y_pred = (100 * torch.rand(shape, generator=generator)).to(of_predictions)
    y = (100 * torch.rand(shape, generator=generator)).to(of_targets)
    batches = list(zip(y_pred.split(size), y.split(size), strict=True))
    assert pytest.approx(mean_absolute_error(y_pred, y), rel=1e-6) == value_of(MeanAbsoluteError(), *batches)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2**20))
def test_the_value_is_that_of_ignite(shape: list[int], seed: int) -> None:
    """PyTorch-Ignite sums a sample's entries, too."""
    peers = pytest.importorskip("ignite.metrics")
    generator = torch.Generator().manual_seed(seed)
    batch = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
    assert pytest.approx(value_of(peers.MeanAbsoluteError(), batch), rel=1e-5) == value_of(MeanAbsoluteError(), batch)


def test_a_million_terms_are_averaged_right() -> None:
    """The mean of a million float32 errors is right to 1e-6."""
    y_pred = torch.rand(1_000_000, generator=torch.Generator().manual_seed(0))
    y = 0 * y_pred
    for size in (1_000_000, 4000):
        batches = zip(y_pred.split(size), y.split(size), strict=True)
        assert pytest.approx(mean_absolute_error(y_pred, y), rel=1e-7) == value_of(MeanAbsoluteError(), *batches)


def test_without_a_sample_there_is_no_value() -> None:
    """A window without a sample is told by the metric's name."""
    with pytest.raises(NotComputableError, match="MeanAbsoluteError"):
        MeanAbsoluteError().compute()


def test_shapes_that_differ_are_refused() -> None:
    """The error names the metric and both shapes."""
    with pytest.raises(ValueError, match=r"MeanAbsoluteError.*\(2, 3\).*\(2,\)"):
        MeanAbsoluteError().update((torch.zeros(2, 3), torch.zeros(2)))
