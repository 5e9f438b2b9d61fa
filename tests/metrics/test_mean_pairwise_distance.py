"""MeanPairwiseDistance."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MeanPairwiseDistance, MetricGroup
from support.cases.regression import mean_pairwise_distance

TYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8]


def value_of(metric: Any, *batches: Any) -> Any:
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(TYPES),
    st.sampled_from(TYPES),
    st.integers(1, 10),
    st.integers(1, 6),
    st.sampled_from([0.5, 1, 2, 3, 4.5, math.inf]),
    st.sampled_from([0, 1e-6, 0.1]),
    st.integers(0, 2**20),
)
def test_the_value_is_numpys(
    of_predictions: torch.dtype, of_targets: torch.dtype, n: int, entries: int, p: float, eps: float, seed: int
) -> None:
    """Of any types and norms, the value is the mean of NumPy's norms."""
    generator = torch.Generator().manual_seed(seed)
    y_pred = (10 * torch.rand(n, entries, generator=generator)).to(of_predictions)
    y = (10 * torch.rand(n, entries, generator=generator)).to(of_targets)
    batches = list(zip(y_pred.split(3), y.split(3), strict=True))
    expected = mean_pairwise_distance(y_pred, y, p, eps)
    assert pytest.approx(expected, rel=2e-6, abs=1e-7) == value_of(MeanPairwiseDistance(p, eps), *batches)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.sampled_from([1, 2, 4]), st.integers(0, 2**20))
def test_the_value_is_that_of_ignite(shape: list[int], p: int, seed: int) -> None:
    """PyTorch-Ignite takes the distance over the last dimension, and sums those of a sample, too."""
    peers = pytest.importorskip("ignite.metrics")
    generator = torch.Generator().manual_seed(seed)
    batch = torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)
    expected = value_of(peers.MeanPairwiseDistance(p=p), batch)
    assert pytest.approx(expected, rel=1e-5) == value_of(MeanPairwiseDistance(p=p), batch)


def test_samples_without_a_second_dimension_have_one_entry() -> None:
    """In shape (N,) each sample has its own distance."""
    y_pred, y = torch.tensor([1.0, 5.0]), torch.tensor([2.0, 2.0])
    assert 2 == value_of(MeanPairwiseDistance(eps=0), (y_pred, y))
    assert 2 == value_of(MeanPairwiseDistance(eps=0), (y_pred.unsqueeze(1), y.unsqueeze(1)))


def test_lists_are_given_as_they_are_on_request() -> None:
    """`skip_unrolling` is heeded, which PyTorch-Ignite forgets."""
    assert MeanPairwiseDistance(skip_unrolling=True)._skip_unrolling


def test_a_group_shares_one_setting() -> None:
    """Members with the same norm accumulate once, others for themselves."""
    settings = [(2, 1e-6), (2, 1e-6), (1, 1e-6), (2, 0)]
    group = MetricGroup({str(index): MeanPairwiseDistance(*setting) for index, setting in enumerate(settings)})
    batch = torch.rand(4, 3), torch.rand(4, 3)
    values = list(value_of(group, batch).values())
    assert [value_of(MeanPairwiseDistance(*setting), batch) for setting in settings] == values
    assert 3 == len(group._accumulating)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"p": 0}, "p must be a number above 0, got 0"),
        ({"p": -1}, "p must be a number above 0, got -1"),
        ({"p": "2"}, "p must be a number above 0, got '2'"),
        ({"eps": math.nan}, "eps must be a finite number, got nan"),
        ({"eps": None}, "eps must be a finite number, got None"),
    ],
)
def test_settings_that_make_no_distance_are_refused(settings: dict[str, Any], words: str) -> None:
    """The error names the argument, what it got and what it takes."""
    with pytest.raises(ValueError, match=words):
        MeanPairwiseDistance(**settings)


def test_without_a_sample_there_is_no_value() -> None:
    """A window without a sample is told by the metric's name."""
    with pytest.raises(NotComputableError, match="MeanPairwiseDistance"):
        MeanPairwiseDistance().compute()


def test_shapes_that_differ_are_refused() -> None:
    """The error names the metric and both shapes."""
    with pytest.raises(ValueError, match=r"MeanPairwiseDistance.*\(2, 3\).*\(2, 4\)"):
        MeanPairwiseDistance().update((torch.zeros(2, 3), torch.zeros(2, 4)))
