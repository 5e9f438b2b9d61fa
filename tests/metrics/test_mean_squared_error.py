"""MeanSquaredError and RootMeanSquaredError."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MeanSquaredError, MetricGroup, RootMeanSquaredError

TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]
both = pytest.mark.parametrize("make", [MeanSquaredError, RootMeanSquaredError])


def value_of(metric: Any, *batches: Any) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def mean_squared_error(y_pred: torch.Tensor, y: torch.Tensor) -> float:
    return float(np.sum((y_pred.double().numpy() - y.double().numpy()) ** 2) / len(y))


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
    """Of any types and shapes, the squares of a sample's entries are summed, and those of samples averaged."""
    generator = torch.Generator().manual_seed(seed)
    y_pred = (100 * torch.rand(shape, generator=generator)).to(of_predictions)
    y = (100 * torch.rand(shape, generator=generator)).to(of_targets)
    batches = list(zip(y_pred.split(size), y.split(size), strict=True))
    expected = mean_squared_error(y_pred, y)
    assert pytest.approx(expected, rel=1e-6) == value_of(MeanSquaredError(), *batches)
    assert pytest.approx(expected**0.5, rel=1e-6) == value_of(RootMeanSquaredError(), *batches)


@both
@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(0, 2**20))
def test_the_value_is_that_of_ignite(make: Any, shape: list[int], seed: int) -> None:
    """PyTorch-Ignite sums a sample's entries, too."""
    peer = getattr(pytest.importorskip("ignite.metrics"), make.__name__)
    generator = torch.Generator().manual_seed(seed)
    batch = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
    assert pytest.approx(value_of(peer(), batch), rel=1e-5) == value_of(make(), batch)


def test_the_value_is_that_of_scikit_learn() -> None:
    """For one entry a sample, it is scikit-learn's mean over all."""
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    y_pred, y = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    pair = y.numpy(), y_pred.numpy()
    assert pytest.approx(sklearn_metrics.mean_squared_error(*pair)) == value_of(MeanSquaredError(), (y_pred, y))
    assert pytest.approx(sklearn_metrics.root_mean_squared_error(*pair)) == value_of(
        RootMeanSquaredError(), (y_pred, y)
    )


def test_a_million_terms_are_averaged_right() -> None:
    """The mean of a million float32 squares is right to 1e-6."""
    y_pred = torch.rand(1_000_000, generator=torch.Generator().manual_seed(0))
    y = 0 * y_pred
    for size in (1_000_000, 4000):
        batches = zip(y_pred.split(size), y.split(size), strict=True)
        assert pytest.approx(mean_squared_error(y_pred, y), rel=1e-6) == value_of(MeanSquaredError(), *batches)


def test_a_group_sums_the_squares_once() -> None:
    """In a group, the error and its root accumulate once."""
    group = MetricGroup({"mse": MeanSquaredError(), "rmse": RootMeanSquaredError()})
    assert {"mse": 4.0, "rmse": 2.0} == value_of(group, (torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])))
    assert 1 == len(group._accumulating)


@both
def test_without_a_sample_there_is_no_value(make: Any) -> None:
    """A window without a sample is told by the metric's name."""
    with pytest.raises(NotComputableError, match=make.__name__):
        make().compute()


@both
def test_what_does_not_fit_is_refused(make: Any) -> None:
    """The error names the metric and what it got."""
    with pytest.raises(ValueError, match=rf"{make.__name__}.*\(2, 3\).*\(2,\)"):
        make().update((torch.zeros(2, 3), torch.zeros(2)))
    with pytest.raises(TypeError, match=rf"{make.__name__}.*list"):
        make().update(([1.0], [2.0]))
