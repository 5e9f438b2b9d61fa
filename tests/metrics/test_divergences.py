"""JSDivergence and KLDivergence: their numbers, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import JSDivergence, KLDivergence
from support.cases.distributions import js_divergence, kl_divergence

Divergence = type[JSDivergence] | type[KLDivergence]
EXPECTED = {JSDivergence: js_divergence, KLDivergence: kl_divergence}

both = pytest.mark.parametrize("divergence", [JSDivergence, KLDivergence])

shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64])
seeds = st.integers(0, 2**32 - 1)


def some_logits(seed: int, shape: list[int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y_pred, y = (torch.randn(shape, generator=generator).mul(3).to(dtype) for _ in range(2))
    return y_pred, y


def value_of(divergence: Divergence, y_pred: torch.Tensor, y: torch.Tensor) -> float:
    metric = divergence()
    metric.update((y_pred, y))
    return metric.compute()


@both
@settings(max_examples=40, deadline=None)
@given(seeds, shapes, dtypes)
def test_equals_scipy(divergence: Divergence, seed: int, shape: list[int], dtype: torch.dtype) -> None:
    """Any shape and type gives SciPy's mean divergence of the same numbers in float64."""
    y_pred, y = some_logits(seed, shape, dtype)

    assert pytest.approx(EXPECTED[divergence](y_pred, y), rel=1e-5, abs=1e-6) == value_of(divergence, y_pred, y)


@both
@settings(max_examples=20, deadline=None)
@given(seeds, shapes)
def test_equals_ignite(divergence: Divergence, seed: int, shape: list[int]) -> None:
    """The same outputs give PyTorch-Ignite's value."""
    theirs = getattr(pytest.importorskip("ignite.metrics"), divergence.__name__)()
    y_pred, y = some_logits(seed, shape, torch.float32)
    theirs.update((y_pred, y))

    assert pytest.approx(theirs.compute(), rel=1e-4, abs=1e-5) == value_of(divergence, y_pred, y)


@both
@pytest.mark.parametrize("classes", [3, 40])
def test_does_not_depend_on_the_layout_in_memory(divergence: Divergence, classes: int) -> None:
    """Predictions and targets may lie differently in memory."""
    y_pred, y = torch.randn(2, classes, 4, 5), torch.randn(2, classes, 4, 5)

    expected = pytest.approx(value_of(divergence, y_pred, y), rel=1e-5)

    assert expected == value_of(divergence, y_pred.to(memory_format=torch.channels_last), y)
    assert expected == value_of(divergence, y_pred.double(), y)
    assert expected == value_of(divergence, y_pred, y.double())


@both
def test_of_equal_distributions_is_0(divergence: Divergence) -> None:
    """Logits that differ by a constant are of one distribution."""
    logits = torch.randn(5, 4)

    assert pytest.approx(0, abs=1e-6) == value_of(divergence, logits, logits + 1)


@both
def test_a_class_that_both_rule_out_adds_nothing(divergence: Divergence) -> None:
    """Where both logits are -inf, the value is that of the other classes."""
    y_pred, y = torch.tensor([[0.0, 1.0]]), torch.tensor([[2.0, 0.0]])
    out = torch.tensor([[-math.inf]])

    expected = value_of(divergence, y_pred, y)

    assert pytest.approx(expected) == value_of(divergence, torch.cat([y_pred, out], dim=1), torch.cat([y, out], dim=1))


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [(JSDivergence, (math.log(4 / 3) + math.log(2 / 3) / 2 + math.log(2) / 2) / 2), (KLDivergence, math.inf)],
)
def test_a_class_that_only_predictions_rule_out(divergence: Divergence, expected: float) -> None:
    """What the targets have as possible is infinitely surprising, and makes the symmetric divergence finite."""
    y_pred, y = torch.tensor([[0.0, -math.inf]]), torch.tensor([[0.0, 0.0]])

    assert pytest.approx(expected) == value_of(divergence, y_pred, y)


@both
def test_nan_is_not_hidden(divergence: Divergence) -> None:
    """NaN among the logits makes the value NaN."""
    fine, bad = torch.zeros(1, 2), torch.tensor([[0.0, math.nan]])

    assert math.isnan(value_of(divergence, fine, bad))
    assert math.isnan(value_of(divergence, bad, fine))


@both
def test_no_sample_is_an_error(divergence: Divergence) -> None:
    """Without a sample there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match=f"{divergence.__name__} has seen no sample"):
        divergence().compute()


@both
@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.zeros(3), torch.zeros(3)), ValueError, r"logits of shape .* for {name}, got \(3,\)"),
        (
            (torch.zeros(2, 3), torch.zeros(2, 4)),
            ValueError,
            r"of one shape for {name}, got \(2, 3\) and \(2, 4\)",
        ),
        ((torch.zeros(2, 3), [1, 2]), TypeError, "must be tensors for {name}"),
        ((torch.zeros(1, 2, dtype=torch.complex64),) * 2, TypeError, "got torch.complex64"),
    ],
)
def test_refuses_what_are_no_logits(
    divergence: Divergence, output: object, error: type[Exception], message: str
) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message.replace("{name}", divergence.__name__)):
        divergence().update(output)
