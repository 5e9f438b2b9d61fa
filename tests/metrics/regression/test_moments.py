"""PearsonCorrelation and R2Score, where the mean is far above the spread, and where there is no spread."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.metrics.regression import PearsonCorrelation, R2Score
from support.cases.regression import pearson, r2

REFERENCES = [(PearsonCorrelation, pearson), (R2Score, r2)]
both = pytest.mark.parametrize(("make", "reference"), REFERENCES, ids=["pearson", "r2"])


def updated(metric: Any, y_pred: Tensor, y: Tensor, size: int) -> Any:
    for batch in zip(y_pred.split(size), y.split(size), strict=True):
        metric.update(batch)
    return metric


def line(n: int, mean: float, seed: int = 0, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """Return correlated values with a spread of about 1."""
    drawn = torch.randn(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (mean + drawn[0]).to(dtype), (mean + drawn[0] + drawn[1] / 3).to(dtype)


@both
@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([0, 1e3, -1e5, 1e7]),
    st.integers(2, 300),
    st.integers(1, 100),
    st.sampled_from([torch.float32, torch.float64]),
    st.integers(0, 2**20),
)
def test_a_mean_far_above_the_spread_costs_no_digits(
    make: Any, reference: Any, mean: float, n: int, size: int, dtype: torch.dtype, seed: int
) -> None:
    """The value is the reference's for the same inputs, wherever their mean is."""
    y_pred, y = line(n, mean, seed, dtype)
    if dtype is torch.float32 and abs(mean) > 1e6:
        y_pred, y = y_pred.round(), y.round()
    if len(y.unique()) == 1 or len(y_pred.unique()) == 1:
        return
    assert pytest.approx(reference(y_pred, y), rel=1e-6, abs=1e-7) == updated(make(), y_pred, y, size).compute()


@both
def test_a_first_sample_far_off_costs_no_digits(make: Any, reference: Any) -> None:
    """The first sample, from which deviations are taken, may be the only one of its kind."""
    y_pred, y = line(20_000, 1e5)
    y_pred[0] = y[0] = 0
    # Beside so large a deviation the value is 1 but for the rest.
    assert pytest.approx(reference(y_pred, y), rel=1e-10) == updated(make(), y_pred, y, 500).compute()
    y_pred[0], y[0] = 1e5 + 1000, 1e5 - 1000
    assert pytest.approx(reference(y_pred, y), rel=1e-9) == updated(make(), y_pred, y, 500).compute()


@both
def test_values_that_drift_cost_no_digits(make: Any, reference: Any) -> None:
    """Sorted data, of which each batch has another mean, have the same value."""
    y_pred, y = line(10_000, 0)
    drift = torch.linspace(0, 1e5, 10_000, dtype=torch.float64)
    y_pred, y = y_pred + drift, y - drift
    assert pytest.approx(reference(y_pred, y), rel=1e-10) == updated(make(), y_pred, y, 100).compute()


@both
def test_many_samples_in_one_batch_cost_no_digits(make: Any, reference: Any) -> None:
    """A million samples in float32 have the value of float64, in one batch and in many."""
    y_pred, y = line(1_000_000, 10, dtype=torch.float32)
    for size in (1_000_000, 5000):
        assert pytest.approx(reference(y_pred, y), rel=1e-7) == updated(make(), y_pred, y, size).compute()


@pytest.mark.parametrize("constant", [0.0, 0.1, 1e8 / 3])
def test_constant_targets(constant: float) -> None:
    """The score of constant targets is scikit-learn's: 1 if all is right, else 0; they correlate with nothing."""
    y = torch.full((1000,), constant)
    other = torch.arange(1000.0)
    assert 1 == updated(R2Score(), y, y, 7).compute()
    assert 0 == updated(R2Score(), other, y, 7).compute()
    assert r2(other, y) == updated(R2Score(), other, y, 7).compute()
    assert 0 == updated(PearsonCorrelation(), y, other, 7).compute()
    assert 0 == updated(PearsonCorrelation(), other, y, 7).compute()


def test_one_sample() -> None:
    """One sample has no score, as in scikit-learn, and no correlation."""
    one = torch.tensor([3.0])
    assert math.isnan(updated(R2Score(), one, one, 1).compute())
    assert 0 == updated(PearsonCorrelation(), one, one, 1).compute()


def test_eps_bounds_the_denominator() -> None:
    """The correlation is divided by `eps` where the root of the sums of squares is smaller."""
    y_pred, y = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 7.0])
    product = ((y_pred - y_pred.mean()) * (y - y.mean())).sum().item()
    assert pytest.approx(product / 100) == updated(PearsonCorrelation(eps=100), y_pred, y, 2).compute()
    assert pytest.approx(pearson(y_pred, y)) == updated(PearsonCorrelation(eps=0), y_pred, y, 2).compute()


@pytest.mark.parametrize("eps", [-1e-8, None, math.nan, "1"])
def test_an_eps_that_does_no_good_is_refused(eps: Any) -> None:
    """`eps` is a number that is not negative."""
    with pytest.raises(ValueError, match="eps must be a number of at least 0, got"):
        PearsonCorrelation(eps=eps)


def test_the_correlation_is_in_range() -> None:
    """Rounding does not lead out of [-1, 1]."""
    y = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    assert pytest.approx(1, abs=1e-12) == updated(PearsonCorrelation(), y, y, 10).compute() <= 1
    assert pytest.approx(-1, abs=1e-12) == updated(PearsonCorrelation(), y, -y, 10).compute() >= -1


@both
def test_a_run_goes_on_from_what_was_saved(make: Any, reference: Any) -> None:
    """Half of the data, saved and loaded, and the other half have the value of all."""
    y_pred, y = line(100, 1e5)
    state = updated(make(), y_pred[:50], y[:50], 20).state_dict()
    other = make()
    other.load_state_dict(state)
    assert pytest.approx(reference(y_pred, y), rel=1e-9) == updated(other, y_pred[50:], y[50:], 20).compute()


def values_on_rank(rank: int, parts: list[tuple[Tensor, Tensor]]) -> list[float]:
    """Return what both metrics compute, twice, of what both processes have seen."""
    metrics = [PearsonCorrelation(), R2Score()]
    if len(parts[rank][0]):
        for metric in metrics:
            updated(metric, *parts[rank], 7)
    return [metric.compute() for metric in metrics for _ in range(2)]


@pytest.mark.parametrize("cut", [0, 1, 30, 100])
def test_two_processes_have_the_value_of_all(ranks: Any, cut: int) -> None:
    """Processes that began at other samples, or have none, agree on the value, and can compute it again."""
    y_pred, y = line(100, 1e5)
    y_pred[cut:] += 50
    parts = [(y_pred[:cut], y[:cut]), (y_pred[cut:], y[cut:])]
    expected = [pearson(y_pred, y)] * 2 + [r2(y_pred, y)] * 2
    for values in ranks.run(values_on_rank, parts):
        assert pytest.approx(expected, rel=1e-9) == values


def test_two_processes_with_constant_targets(ranks: Any) -> None:
    """That two processes see the same constant does not make a spread of rounding."""
    y = torch.full((103,), 1e8 / 3, dtype=torch.float64)
    y_pred = torch.arange(103.0, dtype=torch.float64)
    parts = [(y_pred[:31], y[:31]), (y_pred[31:], y[31:])]
    assert [[0.0] * 4] * 2 == ranks.run(values_on_rank, parts)
