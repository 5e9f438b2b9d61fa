"""What all metrics of the regression family promise, and the sums and means of errors among them."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MetricGroup, regression
from support.cases import regression as cases

REFERENCES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "CanberraMetric": cases.canberra,
    "FractionalAbsoluteError": cases.fractional_absolute_error,
    "FractionalBias": cases.fractional_bias,
    "GeometricMeanAbsoluteError": cases.geometric_mean_absolute_error,
    "GeometricMeanRelativeAbsoluteError": cases.geometric_mean_relative_absolute_error,
    "KendallRankCorrelation": cases.kendall,
    "ManhattanDistance": cases.manhattan,
    "MaximumAbsoluteError": cases.maximum_absolute_error,
    "MeanAbsoluteRelativeError": cases.mean_absolute_relative_error,
    "MeanError": cases.mean_error,
    "MeanNormalizedBias": cases.mean_normalized_bias,
    "MedianAbsoluteError": cases.median_absolute_error,
    "MedianAbsolutePercentageError": cases.median_absolute_percentage_error,
    "MedianRelativeAbsoluteError": cases.median_relative_absolute_error,
    "PearsonCorrelation": cases.pearson,
    "R2Score": cases.r2,
    "SpearmanRankCorrelation": cases.spearman,
    "WaveHedgesDistance": cases.wave_hedges,
}
# In these, terms of both signs may be large and cancel; positive values have terms of a moderate size.
OF_POSITIVE = {"FractionalBias", "MeanNormalizedBias", "WaveHedgesDistance"}
# Of one sample, or of equal ones, these are not defined; SciPy warns or refuses.
OF_SPREAD = {"KendallRankCorrelation", "PearsonCorrelation", "R2Score", "SpearmanRankCorrelation"}
FLOATS = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
INTEGERS = [torch.int64, torch.int32, torch.int16, torch.uint8]
every_metric = pytest.mark.parametrize("name", sorted(REFERENCES))


def value_of(metric: Any, *batches: tuple[Tensor, Tensor]) -> float:
    """Return what a metric computes of batches."""
    for batch in batches:
        metric.update(batch)
    value = metric.compute()
    assert isinstance(value, float)
    return value


def expected_of(name: str, y_pred: Tensor, y: Tensor) -> float:
    """Return the reference's value; what it warns of are infinite values."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return REFERENCES[name](y_pred, y)


def values(n: int, dtype: torch.dtype, seed: int, *, above_0: bool) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    if not dtype.is_floating_point:
        return torch.randint(1, 50, (n,), generator=generator).to(dtype)
    drawn = torch.randn(n, generator=generator, dtype=torch.float64)
    return (drawn.abs() + 0.1 if above_0 else drawn).to(dtype)


def in_batches(y_pred: Tensor, y: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(y_pred.split(size), y.split(size), strict=True))


def test_the_family_is_complete() -> None:
    """All eighteen are exported, and every one has a reference here."""
    assert sorted(REFERENCES) == sorted(regression.__all__)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(REFERENCES)),
    st.sampled_from(FLOATS + INTEGERS),
    st.sampled_from(FLOATS + INTEGERS),
    st.integers(1, 40),
    st.integers(1, 15),
    st.booleans(),
    st.integers(0, 2**20),
)
def test_the_value_is_that_of_the_reference_in_float64(
    name: str, of_predictions: torch.dtype, of_targets: torch.dtype, n: int, size: int, column: bool, seed: int
) -> None:
    """Of any types and shapes, and however they are split, the value is that of SciPy, scikit-learn or the formula."""
    above_0 = name in OF_POSITIVE
    y_pred = values(n, of_predictions, seed, above_0=above_0)
    y = values(n, of_targets, seed + 1, above_0=above_0)
    if name in OF_SPREAD:
        assume(len(y_pred.unique()) > 1 and len(y.unique()) > 1)
    expected = expected_of(name, y_pred, y)
    # The reference rounds the mean of the targets, so that one which is the mean isn't always.
    assume("Relative" not in name or not expected > 1e6)
    if column:
        y_pred, y = y_pred.unsqueeze(1), y.unsqueeze(1)

    value = value_of(getattr(regression, name)(), *in_batches(y_pred, y, size))

    assert pytest.approx(expected, rel=2e-6, abs=1e-6, nan_ok=True) == value


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(REFERENCES)), st.integers(2, 40), st.integers(1, 15), st.integers(0, 2**20))
def test_the_value_is_that_of_ignite(name: str, n: int, size: int, seed: int) -> None:
    """Where all is defined, the value is PyTorch-Ignite's, whose sums are in float32."""
    peers = pytest.importorskip("ignite.metrics.regression")
    batches = in_batches(
        values(n, torch.float32, seed, above_0=True), values(n, torch.float32, seed + 1, above_0=True), size
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of ranks that are constant in the first batch
        peer = getattr(peers, name)()
        for batch in batches:
            peer.update(batch)
        expected = peer.compute()
    assert pytest.approx(expected, rel=1e-3, abs=1e-4) == value_of(getattr(regression, name)(), *batches)


@every_metric
def test_the_constructor_takes_what_ignites_takes(name: str) -> None:
    """The arguments have PyTorch-Ignite's names and order, the device's default aside."""
    peers = pytest.importorskip("ignite.metrics.regression")
    theirs = list(inspect.signature(getattr(peers, name)).parameters)
    ours = list(inspect.signature(getattr(regression, name)).parameters)
    assert [argument for argument in theirs if argument != "metrics_result_mode"] == [
        argument for argument in ours if argument in theirs and argument != "metrics_result_mode"
    ]


@every_metric
def test_without_a_sample_there_is_no_value(name: str) -> None:
    """A window without a sample, or with empty batches only, is told by the metric's name."""
    metric = getattr(regression, name)()
    with pytest.raises(NotComputableError, match=name):
        metric.compute()
    metric.update((torch.empty(0), torch.empty(0)))
    with pytest.raises(NotComputableError, match=name):
        metric.compute()


@every_metric
def test_an_empty_batch_adds_nothing(name: str) -> None:
    """A batch without a sample changes no value, even if it is the first."""
    batch = torch.tensor([1.0, 4.0, 2.0]), torch.tensor([1.5, 3.0, 7.0])
    empty = torch.empty(0), torch.empty(0)
    make = getattr(regression, name)
    assert value_of(make(), batch) == value_of(make(), empty, batch, empty)


@every_metric
def test_one_column_and_no_second_dimension_are_the_same(name: str) -> None:
    """Shapes (N,), (N, 1), and one of each are one and the same."""
    y_pred, y = torch.tensor([1.0, 4.0, 2.0]), torch.tensor([1.5, 3.0, 7.0])
    make = getattr(regression, name)
    expected = value_of(make(), (y_pred, y))
    assert expected == value_of(make(), (y_pred.unsqueeze(1), y.unsqueeze(1)))
    assert expected == value_of(make(), (y_pred.unsqueeze(1), y))
    assert expected == value_of(make(), (y_pred, y.unsqueeze(1)))


@every_metric
@pytest.mark.parametrize(
    ("output", "error", "words"),
    [
        ((torch.ones(2, 3), torch.ones(2, 3)), ValueError, r"\(N,\) or \(N, 1\).*got \(2, 3\)"),
        ((torch.tensor(1.0), torch.tensor(1.0)), ValueError, r"\(N,\) or \(N, 1\).*got \(\)"),
        ((torch.ones(2), torch.ones(3)), ValueError, r"of one shape.*\(2,\).*\(3,\)"),
        ((torch.ones(2, 1, 1), torch.ones(2, 1, 1)), ValueError, r"got \(2, 1, 1\)"),
        ((torch.ones(2, dtype=torch.complex64), torch.ones(2)), TypeError, "must be real.*complex64"),
        (([1.0], [2.0]), TypeError, "must be tensors.*list"),
        (torch.ones(2), TypeError, r"must be \(y_pred, y\).*Tensor"),
    ],
    ids=["many columns", "no dimension", "two lengths", "three dimensions", "complex", "lists", "no pair"],
)
def test_what_does_not_fit_is_told_by_update(name: str, output: Any, error: type[Exception], words: str) -> None:
    """An output that does not fit is refused at once, with the metric's name, what it got and what it takes."""
    metric = getattr(regression, name)()
    with pytest.raises(error, match=words) as raised:
        metric.update(output)
    assert name in str(raised.value)


@every_metric
def test_gradients_are_left_alone(name: str) -> None:
    """Predictions that require a gradient are measured without their graph."""
    y_pred = torch.tensor([1.0, 4.0, 2.0], requires_grad=True)
    y = torch.tensor([1.5, 3.0, 7.0])
    metric, make = getattr(regression, name)(), getattr(regression, name)
    assert value_of(make(), (y_pred.detach(), y)) == value_of(metric, (2 * y_pred / 2, y))
    assert not any(value.requires_grad for value in vars(metric).values() if isinstance(value, Tensor))


@every_metric
def test_inputs_are_left_as_they_are(name: str) -> None:
    """No update changes what it is given, in whatever type, and no later change of it changes the value."""
    for dtype in (torch.float32, torch.float64, torch.int64):
        y_pred, y = torch.tensor([1, 4, 2]).to(dtype), torch.tensor([2, 3, 7]).to(dtype)
        metric = getattr(regression, name)()
        metric.update((y_pred, y))
        assert ([1, 4, 2], [2, 3, 7]) == (y_pred.tolist(), y.tolist())
        expected = metric.compute()
        y_pred.zero_()
        y.zero_()
        assert expected == metric.compute()


@every_metric
def test_a_nan_is_seen(name: str) -> None:
    """A prediction that is NaN makes the value NaN, not an error and not a number."""
    batches = [(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 5.0])), (torch.tensor([math.nan]), torch.tensor([1.0]))]
    make = getattr(regression, name)
    assert math.isnan(value_of(make(), *batches))
    assert math.isnan(value_of(make(), *reversed(batches)))


@every_metric
def test_a_run_measures(name: str) -> None:
    """Attached, a metric takes mappings, as the engine gives them, and has the value of all batches."""
    y_pred, y = torch.tensor([1.0, 4.0, 2.0]), torch.tensor([1.5, 3.0, 7.0])
    make = getattr(regression, name)
    evaluator = Engine(lambda engine, batch: {"y_pred": batch[0], "y": batch[1], "loss": 0.0})
    make(device="cpu").attach(evaluator, "value")
    measured = evaluator.run([(y_pred[:2], y[:2]), (y_pred[2:], y[2:])]).metrics["value"]
    assert pytest.approx(value_of(make(), (y_pred, y))) == measured


@pytest.mark.parametrize("name", ["MeanAbsoluteRelativeError", "MeanNormalizedBias"])
def test_a_target_of_0_is_told_once(name: str) -> None:
    """What divides by the targets takes a 0 in silence, and computes an error that says so until it is reset."""
    metric = getattr(regression, name)()
    metric.update((torch.tensor([1.0, 0.0]), torch.tensor([1.0, 0.0])))
    metric.update((torch.tensor([1.0]), torch.tensor([2.0])))
    with pytest.raises(ValueError, match=f"y must not be 0 for {name}.*output_transform"):
        metric.compute()
    metric.reset()
    metric.update((torch.tensor([1]), torch.tensor([2])))
    assert 0.5 == metric.compute()


@pytest.mark.parametrize("name", ["CanberraMetric", "FractionalAbsoluteError", "FractionalBias", "WaveHedgesDistance"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.int64])
def test_a_pair_of_zeros_has_no_error(name: str, dtype: torch.dtype) -> None:
    """What divides by the size of a pair adds 0 for a pair of zeros, as `scipy.spatial.distance.canberra` does."""
    zeros = torch.zeros(3, dtype=dtype)
    assert 0 == value_of(getattr(regression, name)(), (zeros, zeros))


def test_small_values_count_as_much_as_large_ones() -> None:
    """The Canberra metric has no constant that pairs of a small size would vanish beside."""
    y_pred, y = torch.tensor([1e-20, 3e-30]), torch.tensor([3e-20, 1e-30])
    assert pytest.approx(1.0) == value_of(regression.CanberraMetric(), (y_pred, y))


def test_a_million_terms_are_summed_right() -> None:
    """An average of a million float32 terms is right to 1e-6, in one batch and in many, and cancels where it should."""
    y = torch.rand(1_000_000, generator=torch.Generator().manual_seed(0))
    y_pred = torch.rand(1_000_000, generator=torch.Generator().manual_seed(1))
    for name in ("MeanError", "MeanAbsoluteRelativeError", "FractionalBias", "GeometricMeanAbsoluteError"):
        expected = expected_of(name, y_pred + 0.5, y + 0.5)
        for size in (1_000_000, 4000):
            batches = in_batches(y_pred + 0.5, y + 0.5, size)
            assert pytest.approx(expected, rel=1e-6, abs=1e-9) == value_of(getattr(regression, name)(), *batches)


def test_a_constant_error_stays_exact() -> None:
    """A float32 sum would stop growing at 2 ** 24."""
    ones = torch.ones(2**20)
    metric = regression.ManhattanDistance()
    for _ in range(20):
        metric.update((ones, 0 * ones))
    assert 20 * 2**20 == metric.compute()


@pytest.mark.parametrize("n", [1, 2000])
def test_the_geometric_mean_has_digits_far_from_1(n: int) -> None:
    """The rounding of a logarithm in float32 does not show where there are few samples."""
    errors = torch.full((n,), 1e-30)
    rel = 1e-6 if n == 1 else 1e-5
    assert pytest.approx(1e-30, rel=rel, abs=0) == value_of(
        regression.GeometricMeanAbsoluteError(), (errors, 0 * errors)
    )


def test_a_group_accumulates_once_what_members_share() -> None:
    """Members that accumulate the same in a group are updated once: distances of pairs, moments apart, all outputs."""
    names = ["CanberraMetric", "FractionalAbsoluteError", "MedianAbsoluteError", "KendallRankCorrelation", "R2Score"]
    group = MetricGroup({name: getattr(regression, name)() for name in names})
    batch = torch.tensor([1.0, 4.0, 2.0]), torch.tensor([1.5, 3.0, 7.0])
    group.update(batch)
    assert {name: value_of(getattr(regression, name)(), batch) for name in names} == group.compute()
    assert ["CanberraMetric", "MedianAbsoluteError", "R2Score"] == [type(m).__name__ for m in group._accumulating]


def largest_on_rank(rank: int, errors: list[list[float]]) -> float:
    """Return the largest error of what both processes have seen."""
    metric = regression.MaximumAbsoluteError()
    if errors[rank]:
        metric.update((torch.tensor(errors[rank]), torch.zeros(len(errors[rank]))))
    return metric.compute()


def test_the_largest_error_of_two_processes(ranks: Any) -> None:
    """Each process has the largest error of both, one without a sample included."""
    assert [3.0, 3.0] == ranks.run(largest_on_rank, [[1.0], [3.0, 2.0]])
    assert [1.0, 1.0] == ranks.run(largest_on_rank, [[1.0], []])
