"""Entropy: its numbers, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import Entropy
from support.cases.distributions import entropy as expected_entropy

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8])
seeds = st.integers(0, 2**32 - 1)


def some_logits(seed: int, shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(5).abs().to(dtype)


def entropy_of(*logits: torch.Tensor) -> float:
    metric = Entropy()
    for values in logits:
        metric.update((values, None))
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, dtypes)
def test_equals_scipy(seed: int, shape: list[int], dtype: torch.dtype) -> None:
    """Any shape and type gives SciPy's mean entropy of the same numbers in float64."""
    logits = some_logits(seed, shape, dtype)

    assert pytest.approx(expected_entropy(logits, logits), rel=1e-5, abs=1e-6) == entropy_of(logits)


@settings(max_examples=20, deadline=None)
@given(seeds, shapes)
def test_equals_ignite(seed: int, shape: list[int]) -> None:
    """The same outputs give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").Entropy()
    logits = some_logits(seed, shape, torch.float32)
    theirs.update((logits, logits))

    assert pytest.approx(theirs.compute(), rel=1e-4, abs=1e-5) == entropy_of(logits)


@pytest.mark.parametrize("classes", [3, 40])
def test_does_not_depend_on_the_layout_in_memory(classes: int) -> None:
    """Images in the channels_last format give the same as others."""
    logits = torch.randn(2, classes, 4, 5)

    assert pytest.approx(entropy_of(logits), rel=1e-6) == entropy_of(logits.to(memory_format=torch.channels_last))


def test_batches_of_any_size_count_by_their_samples() -> None:
    """The mean is over samples, not over batches."""
    logits = torch.randn(10, 3)

    assert pytest.approx(entropy_of(logits), rel=1e-6) == entropy_of(logits[:1], logits[1:])


def test_an_impossible_class_adds_nothing() -> None:
    """A logit of -inf is a probability of 0, and 0 log 0 is 0."""
    assert pytest.approx(math.log(2)) == entropy_of(torch.tensor([[0.0, 0.0, -math.inf]]))


def test_nan_is_not_hidden() -> None:
    """NaN among the logits makes the value NaN."""
    assert math.isnan(entropy_of(torch.tensor([[0.0, math.nan]])))


def test_no_sample_is_an_error() -> None:
    """Without a sample there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="Entropy has seen no sample"):
        Entropy().compute()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.zeros(3), None), ValueError, r"logits of shape \(N, C\) or \(N, C, \.\.\.\) for Entropy, got \(3,\)"),
        (([[1.0]], None), TypeError, "must be a tensor of real numbers for Entropy, got list"),
        ((torch.zeros(1, 2, dtype=torch.complex64), None), TypeError, "got torch.complex64"),
        (torch.zeros(2, 3), TypeError, r"output must be \(y_pred, y\) for Entropy"),
    ],
)
def test_refuses_what_are_no_logits(output: object, error: type[Exception], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message):
        Entropy().update(output)
