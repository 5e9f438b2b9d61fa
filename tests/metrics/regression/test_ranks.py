"""The rank correlations and the medians, which need all outputs."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.metrics.regression import (
    GeometricMeanRelativeAbsoluteError,
    KendallRankCorrelation,
    MedianAbsoluteError,
    MedianAbsolutePercentageError,
    MedianRelativeAbsoluteError,
    SpearmanRankCorrelation,
)
from ignite_signals.metrics.regression.all_outputs import median
from ignite_signals.metrics.regression.ranks import dense_ranks, inversions, mean_ranks

stats = pytest.importorskip("scipy.stats")

few_values = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=40)


def value_of(metric: Any, y_pred: Tensor, y: Tensor, size: int = 7) -> float:
    for batch in zip(y_pred.split(size), y.split(size), strict=True):
        metric.update(batch)
    value = metric.compute()
    assert isinstance(value, float)
    return value


@settings(max_examples=60, deadline=None)
@given(few_values, st.sampled_from(["b", "c"]), st.sampled_from([torch.int64, torch.float32, torch.bfloat16]))
def test_kendalls_tau_with_ties_is_scipys(pairs: list[tuple[int, int]], variant: Any, dtype: torch.dtype) -> None:
    """Both variants are SciPy's, ties in predictions, in targets and in both included; NaN where one is constant."""
    y_pred, y = torch.tensor(pairs).to(dtype).T
    expected = stats.kendalltau(*np.transpose(pairs), variant=variant).statistic
    assert pytest.approx(expected, nan_ok=True) == value_of(KendallRankCorrelation(variant), y_pred, y)


@settings(max_examples=60, deadline=None)
@given(few_values, st.sampled_from([torch.int64, torch.float32, torch.float16]))
def test_spearmans_correlation_with_ties_is_scipys(pairs: list[tuple[int, int]], dtype: torch.dtype) -> None:
    """Equal values share the mean of their ranks."""
    y_pred, y = torch.tensor(pairs).to(dtype).T
    if len(y.unique()) > 1 and len(y_pred.unique()) > 1:
        expected = stats.spearmanr(*np.transpose(pairs)).statistic
    else:
        expected = math.nan  # SciPy warns
    assert pytest.approx(expected, nan_ok=True) == value_of(SpearmanRankCorrelation(), y_pred, y)


@pytest.mark.parametrize("ties", [False, True])
def test_a_hundred_thousand_samples_are_ranked(ties: bool) -> None:
    """Memory grows with the samples, not with their pairs, of which there are five billion here."""
    generator = torch.Generator().manual_seed(0)
    y_pred = torch.randn(100_000, generator=generator)
    y = y_pred + torch.randn(100_000, generator=generator)
    if ties:
        y = (3 * y).round()
    pair = y_pred.numpy(), y.numpy()
    variant: Any = "c" if ties else "b"
    expected = stats.kendalltau(*pair, variant=variant).statistic
    assert pytest.approx(expected, rel=1e-12) == value_of(KendallRankCorrelation(variant), y_pred, y, 10_000)
    expected = stats.spearmanr(*pair).statistic
    assert pytest.approx(expected, rel=1e-12) == value_of(SpearmanRankCorrelation(), y_pred, y, 10_000)


@pytest.mark.parametrize("make", [KendallRankCorrelation, SpearmanRankCorrelation])
def test_orders_that_agree_or_are_opposed(make: Any) -> None:
    """The same order is exactly 1, the reverse exactly -1; one sample has none."""
    y = torch.arange(1000.0)
    assert 1 == value_of(make(), y**3, y)
    assert -1 == value_of(make(), -y, y)
    assert math.isnan(value_of(make(), y[:1], y[:1]))


@pytest.mark.parametrize("make", [KendallRankCorrelation, SpearmanRankCorrelation])
@pytest.mark.parametrize("checked", [True, False])
def test_nothing_is_checked_on_the_first_batch(make: Any, checked: bool) -> None:
    """`check_compute_fn` is taken, and a first batch without a value makes no warning."""
    metric = make(check_compute_fn=checked)
    metric.update((torch.ones(1), torch.ones(1)))
    metric.update((torch.zeros(1), torch.zeros(1)))
    assert 1 == metric.compute()


def test_there_are_two_variants() -> None:
    """Any other variant is refused."""
    with pytest.raises(ValueError, match="variant must be 'b' or 'c', got 'a'"):
        KendallRankCorrelation("a")  # type: ignore[arg-type]  # what is refused


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=40))
def test_inversions_are_counted(values: list[int]) -> None:
    """Each pair of which the earlier one is larger counts once."""
    expected = sum(a > b for index, a in enumerate(values) for b in values[index + 1 :])
    assert expected == inversions(dense_ranks(torch.tensor(values, dtype=torch.int64))[0])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=40))
def test_ranks_are_scipys(values: list[float]) -> None:
    """Infinities are ranked, and both zeros are equal."""
    assert stats.rankdata(values).tolist() == mean_ranks(torch.tensor(values)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e6, 1e6) | st.just(math.inf), min_size=1, max_size=30))
def test_the_median_is_numpys(values: list[float]) -> None:
    """Of an odd number it is the one in the middle, of an even number the mean of two."""
    assert float(np.median(values)) == median(torch.tensor(values, dtype=torch.float64))


def test_the_median_of_nan() -> None:
    """As in NumPy, a NaN anywhere makes the median NaN, so that it does not hide."""
    assert math.isnan(median(torch.tensor([1.0, math.nan, 2.0])))
    assert math.isnan(value_of(MedianAbsoluteError(), torch.tensor([1.0, math.nan, 3.0]), torch.ones(3)))


def test_a_target_of_0_has_an_infinite_percentage() -> None:
    """A target of 0 is the worst of all errors, and has none where the prediction is 0, too."""
    y = torch.tensor([0.0, 2.0, 4.0])
    assert 50 == value_of(MedianAbsolutePercentageError(), torch.tensor([1.0, 1.0, 4.0]), y)
    assert math.isinf(value_of(MedianAbsolutePercentageError(), torch.tensor([1.0]), torch.tensor([0.0])))
    assert math.isnan(value_of(MedianAbsolutePercentageError(), torch.tensor([0.0, 1.0, 4.0]), y))


@pytest.mark.parametrize("make", [MedianRelativeAbsoluteError, GeometricMeanRelativeAbsoluteError])
def test_constant_targets_are_their_mean(make: Any) -> None:
    """Errors relative to those of the mean are infinite where the mean has none."""
    y = torch.full((7,), 0.1, dtype=torch.float64)
    assert math.isinf(value_of(make(), y + 1, y))


def test_one_exact_prediction_makes_the_geometric_mean_0() -> None:
    """The logarithm of no error is minus infinity."""
    y = torch.tensor([0.0, 2.0, 4.5])
    assert 0 == value_of(GeometricMeanRelativeAbsoluteError(), torch.tensor([1.0, 2.0, 4.0]), y)
