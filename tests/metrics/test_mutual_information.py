"""MutualInformation: its numbers, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MutualInformation
from support.cases.distributions import mutual_information as expected_information

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.int64])
seeds = st.integers(0, 2**32 - 1)


def some_logits(seed: int, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(3).to(dtype)


def information_of(*logits: torch.Tensor) -> float:
    metric = MutualInformation()
    for values in logits:
        metric.update((values, None))
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, dtypes)
def test_equals_scipy(seed: int, shape: list[int], dtype: torch.dtype) -> None:
    """Any shape and type gives the entropy of the mean less the mean entropy, by SciPy in float64."""
    logits = some_logits(seed, shape, dtype)

    assert pytest.approx(expected_information(logits, logits), rel=1e-5, abs=1e-6) == information_of(logits)


@settings(max_examples=20, deadline=None)
@given(seeds, shapes)
def test_equals_ignite(seed: int, shape: list[int]) -> None:
    """The same outputs, in several batches, give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").MutualInformation()
    logits = some_logits(seed, [3 * shape[0], *shape[1:]], torch.float32)
    for part in logits.chunk(3):
        theirs.update((part, part))

    assert pytest.approx(theirs.compute(), rel=1e-4, abs=1e-5) == information_of(*logits.chunk(3))


def test_a_class_that_is_never_possible_adds_nothing() -> None:
    """Where every logit is -inf, the mean probability is 0, and 0 log 0 is 0."""
    logits = torch.tensor([[0.0, 900.0, -math.inf], [900.0, 0.0, -math.inf]])

    assert pytest.approx(math.log(2)) == information_of(logits)


def test_is_never_negative() -> None:
    """Equal predictions tell nothing, whatever the rounding."""
    assert 0 <= information_of(torch.randn(1, 7).expand(9, 7)) < 1e-6


def test_the_number_of_classes_must_not_change() -> None:
    """What is summed per class needs the same classes in each batch."""
    metric = MutualInformation()
    metric.update((torch.zeros(2, 3), None))

    with pytest.raises(ValueError, match="must keep 3 classes until reset for MutualInformation, got 4"):
        metric.update((torch.zeros(2, 4), None))

    metric.reset()
    metric.update((torch.zeros(2, 4), None))
    assert 0 == metric.compute()


def test_no_sample_is_an_error() -> None:
    """Without a sample there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="MutualInformation has seen no sample"):
        MutualInformation().compute()


def test_refuses_what_are_no_logits() -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(ValueError, match=r"logits of shape .* for MutualInformation, got \(3,\)"):
        MutualInformation().update((torch.zeros(3), None))
