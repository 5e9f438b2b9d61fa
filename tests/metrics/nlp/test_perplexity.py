"""Perplexity: its numbers, the tokens that do not count, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import ignite_signals.metrics
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.nlp import Perplexity
from support.cases.distributions import perplexity as expected_perplexity

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=3)
vocabularies = st.integers(1, 20)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16])
seeds = st.integers(0, 2**32 - 1)


def some_tokens(
    seed: int, vocabulary: int, shape: list[int], dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn([shape[0], vocabulary, *shape[1:]], generator=generator).to(dtype)
    return logits, torch.randint(vocabulary, shape, generator=generator)


def perplexity_of(y_pred: torch.Tensor, y: torch.Tensor, ignore_index: int = -100) -> float:
    metric = Perplexity(ignore_index=ignore_index)
    metric.update((y_pred, y))
    return metric.compute()


def test_is_exported_beside_the_other_metrics() -> None:
    """It is found in both places."""
    assert Perplexity is ignite_signals.metrics.Perplexity


@settings(max_examples=40, deadline=None)
@given(seeds, vocabularies, shapes, dtypes)
def test_equals_the_formula(seed: int, vocabulary: int, shape: list[int], dtype: torch.dtype) -> None:
    """Any shape and type gives the formula's value in float64."""
    y_pred, y = some_tokens(seed, vocabulary, shape, dtype)

    assert pytest.approx(expected_perplexity(y_pred, y), rel=2e-6) == perplexity_of(y_pred, y)


@settings(max_examples=20, deadline=None)
@given(seeds, vocabularies, shapes, st.sampled_from([-100, -1, 0]))
def test_equals_ignite(seed: int, vocabulary: int, shape: list[int], ignore_index: int) -> None:
    """The same outputs give PyTorch-Ignite's value, padding of any index included."""
    theirs = pytest.importorskip("ignite.metrics.nlp").Perplexity(ignore_index=ignore_index)
    y_pred, y = some_tokens(seed, vocabulary + 1, [shape[0] + 1, *shape[1:]])
    y[0], y[1:].flatten()[0] = ignore_index, vocabulary
    y[-1] = vocabulary
    theirs.update((y_pred, y))

    assert pytest.approx(theirs.compute(), rel=1e-5) == perplexity_of(y_pred, y, ignore_index)


@pytest.mark.parametrize("vocabulary", [5, 50])
def test_does_not_depend_on_the_layout_in_memory(vocabulary: int) -> None:
    """What a model returns as (N, T, V) may be transposed, without a copy."""
    y_pred, y = some_tokens(0, vocabulary, [3, 7])

    actual = perplexity_of(y_pred.transpose(1, 2).contiguous().transpose(1, 2), y)
    assert pytest.approx(perplexity_of(y_pred, y), rel=1e-6) == actual


@pytest.mark.parametrize("length", [3, 40])
def test_a_large_batch_equals_many_small_ones(length: int) -> None:
    """However much is done at once, and however the logits lie in memory, the value is the same."""
    y_pred, y = some_tokens(0, 50, [400, length])
    metric = Perplexity()
    for part in zip(y_pred.split(20), y.split(20), strict=True):
        metric.update(part)

    assert pytest.approx(metric.compute(), rel=1e-6) == perplexity_of(y_pred, y)
    assert pytest.approx(metric.compute(), rel=1e-6) == perplexity_of(torch.cat([y_pred] * 3), torch.cat([y] * 3))
    longer = torch.cat([y_pred, y_pred], dim=2).transpose(1, 2).contiguous()
    assert pytest.approx(metric.compute(), rel=1e-6) == perplexity_of(longer[:, :length].transpose(1, 2), y)


def test_every_token_counts_alike() -> None:
    """Short and long sequences in several batches give the value of all tokens together."""
    y_pred, y = some_tokens(0, 6, [20])
    metric = Perplexity()
    for part in (slice(0, 3), slice(3, 20)):
        metric.update((y_pred[part], y[part]))

    assert pytest.approx(perplexity_of(y_pred, y), rel=1e-6) == metric.compute()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_targets_may_be_of_any_integer_type(dtype: torch.dtype) -> None:
    """Only their values count."""
    y_pred, y = some_tokens(0, 6, [4, 3])

    assert perplexity_of(y_pred, y) == perplexity_of(y_pred, y.to(dtype))


def test_of_an_impossible_token_is_infinite() -> None:
    """What the model rules out is infinitely surprising."""
    assert math.inf == perplexity_of(torch.tensor([[0.0, -math.inf]]), torch.tensor([1]))


@pytest.mark.parametrize("index", [-1, 5, 2**40, -(2**40)])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_a_target_out_of_range_is_told_by_compute(index: int, ignore_index: int) -> None:
    """No update looks it up, and the window's value is refused with what is taken."""
    metric = Perplexity(ignore_index=ignore_index)
    metric.update((torch.randn(2, 5, 3), torch.tensor([[0, 1, ignore_index], [index, 4, 0]])))

    with pytest.raises(ValueError, match=rf"ignore_index={ignore_index}, for Perplexity, got 1 others"):
        metric.compute()

    metric.reset()
    metric.update((torch.zeros(1, 5), torch.tensor([4])))
    assert pytest.approx(5.0) == metric.compute()


def test_only_targets_out_of_range_are_told_too() -> None:
    """That nothing else was seen does not hide them."""
    metric = Perplexity()
    metric.update((torch.zeros(1, 5), torch.tensor([7])))

    with pytest.raises(ValueError, match="got 1 others"):
        metric.compute()


def test_no_token_is_an_error() -> None:
    """Without a token that counts there is no value, and the error names the metric."""
    metric = Perplexity()
    with pytest.raises(NotComputableError, match="Perplexity has seen no sample"):
        metric.compute()

    metric.update((torch.zeros(1, 5, 2), torch.full((1, 2), -100)))
    with pytest.raises(NotComputableError, match="Perplexity has seen no token but those of ignore_index=-100"):
        metric.compute()


@pytest.mark.parametrize(
    ("y_pred", "y", "error", "message"),
    [
        (torch.zeros(2, 5, 3), torch.zeros(2, 4).long(), ValueError, r"for Perplexity, got \(2, 5, 3\) and \(2, 4\)"),
        (torch.zeros(2, 5, 3), torch.zeros(2, 5, 3).long(), ValueError, "of shapes"),
        (torch.zeros(3), torch.zeros(3).long(), ValueError, r"of shape \(N, C\) or \(N, C, \.\.\.\) for Perplexity"),
        (torch.zeros(2, 5), torch.zeros(2), TypeError, "y must be a tensor of integers, .* got torch.float32"),
        (torch.zeros(2, 5), [1, 2], TypeError, "y must be a tensor of integers, .* got list"),
        (1, torch.zeros(2).long(), TypeError, "y_pred must be a tensor of real numbers for Perplexity, got int"),
    ],
)
def test_refuses_shapes_and_types(y_pred: object, y: object, error: type[Exception], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message):
        Perplexity().update((y_pred, y))


def test_refuses_an_index_that_is_no_integer() -> None:
    """ignore_index is compared with tokens."""
    with pytest.raises(TypeError, match="ignore_index must be an integer, got None"):
        Perplexity(ignore_index=None)  # type: ignore[arg-type]
