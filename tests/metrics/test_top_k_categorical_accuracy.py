"""TopKCategoricalAccuracy: against scikit-learn and PyTorch-Ignite."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MetricGroup, TopKCategoricalAccuracy
from ignite_signals.metrics.device_value import device_value


def accuracy_of(k: int, *batches: Any, **kwargs: Any) -> float:
    metric = TopKCategoricalAccuracy(k, **kwargs)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def scikit_learns(k: int, y_pred: Tensor, y: Tensor) -> float:
    from sklearn.metrics import top_k_accuracy_score

    return float(top_k_accuracy_score(y.numpy(), y_pred.double().numpy(), k=k, labels=list(range(y_pred.shape[1]))))


@settings(deadline=None, max_examples=50)
@given(
    samples=st.integers(1, 200),
    classes=st.integers(3, 9),
    cut=st.integers(0, 200),
    seed=st.integers(0, 2**16),
    data=st.data(),
)
def test_it_is_scikit_learns(samples: int, classes: int, cut: int, seed: int, data: st.DataObject) -> None:
    """In small batches and in large ones, for each k below the number of classes."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.rand(samples, classes, generator=generator, dtype=torch.float64)
    y = torch.randint(classes, (samples,), generator=generator)
    k = data.draw(st.integers(1, classes - 1))

    assert scikit_learns(k, scores, y) == accuracy_of(k, (scores[:cut], y[:cut]), (scores[cut:], y[cut:]))


@settings(deadline=None, max_examples=40)
@given(
    samples=st.integers(1, 30),
    seed=st.integers(0, 2**16),
    k=st.integers(1, 4),
    dtype=st.sampled_from([torch.int64, torch.uint8, torch.float16, torch.bfloat16]),
)
def test_of_equal_scores_the_later_one_is_first(samples: int, seed: int, k: int, dtype: torch.dtype) -> None:
    """Where equal scores are common, in whole numbers and half precision, they are taken as scikit-learn takes them."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(3, (samples, 5), generator=generator).to(dtype)
    y = torch.randint(5, (samples,), generator=generator)

    assert scikit_learns(k, scores, y) == accuracy_of(k, (scores, y))


def test_in_a_large_batch_equal_scores_are_taken_so_in_any_type() -> None:
    """A model that says nothing gets the share of the last classes, not everything."""
    y = torch.arange(1000) % 5

    assert 2 / 5 == accuracy_of(2, (torch.zeros(1000, 5), y)) == scikit_learns(2, torch.zeros(1000, 5), y)


def test_a_score_that_is_nan_is_not_among_the_first_of_many() -> None:
    """A model that has diverged predicts nothing right in a large batch."""
    assert 0.0 == accuracy_of(2, (torch.full((1000, 5), math.nan), torch.zeros(1000)))


@pytest.mark.parametrize("samples", [6, 300])
@pytest.mark.parametrize("k", [1, 3, 5])
def test_it_is_ignites(samples: int, k: int) -> None:
    """The value is PyTorch-Ignite's."""
    theirs = pytest.importorskip("ignite.metrics").TopKCategoricalAccuracy(k)
    batches = [(torch.randn(samples, 5), torch.randint(5, (samples,))) for _ in range(2)]
    for batch in batches:
        theirs.update(batch)

    assert theirs.compute() == accuracy_of(k, *batches)


@pytest.mark.parametrize("positions", [2, 60])
def test_words_and_pixels(positions: int) -> None:
    """Each position of more dimensions is a sample."""
    scores, y = torch.randn(4, 5, positions, 3), torch.randint(5, (4, positions, 3))
    flat = scores.movedim(1, -1).reshape(-1, 5), y.reshape(-1)

    assert scikit_learns(2, *flat) == accuracy_of(2, (scores, y))


@pytest.mark.parametrize("samples", [4, 400])
@pytest.mark.parametrize("bad", [-1, -100, 3, 2**40])
def test_targets_that_are_no_class_are_told_once(samples: int, bad: int) -> None:
    """They index into no memory; `compute` names what is taken, and an unread value is NaN."""
    y = torch.zeros(samples, dtype=torch.int64)
    y[0] = bad
    metric = TopKCategoricalAccuracy(2)
    metric.update((torch.rand(samples, 3), y))

    assert math.isnan(device_value(metric).item())
    with pytest.raises(ValueError, match="whole numbers from 0 to 2, for TopKCategoricalAccuracy, got some from"):
        metric.compute()


class TestArguments:
    @pytest.mark.parametrize(("k", "error"), [(0, ValueError), (-1, ValueError), (1.0, TypeError), (True, TypeError)])
    def test_k_is_a_positive_int(self, k: Any, error: type[Exception]) -> None:
        """The error says what it got."""
        with pytest.raises(error, match=f"k must be .*, got {k}"):
            TopKCategoricalAccuracy(k)

    def test_k_is_at_most_the_number_of_classes(self) -> None:
        """Among all classes every target would be."""
        with pytest.raises(
            ValueError, match="k of TopKCategoricalAccuracy must be at most the number of classes 3, got 5"
        ):
            accuracy_of(5, (torch.rand(2, 3), torch.tensor([0, 1])))

    def test_it_is_5_by_default(self) -> None:
        """As in PyTorch-Ignite."""
        metric = TopKCategoricalAccuracy()
        metric.update((torch.arange(6.0).expand(2, 6), torch.tensor([0, 1])))

        assert 0.5 == metric.compute()

    @pytest.mark.parametrize("shapes", [((3,), (3,)), ((3, 1), (3,)), ((3, 4), (3, 4)), ((3, 4), (2,))])
    def test_shapes_that_do_not_fit_are_named(self, shapes: Any) -> None:
        """Neither binary nor multilabel data has a first class; the error says both shapes."""
        with pytest.raises(ValueError, match=r"for TopKCategoricalAccuracy, got .*\(3"):
            accuracy_of(1, tuple(torch.zeros(shape) for shape in shapes))

    def test_the_device_may_be_named(self) -> None:
        """Named, it is where the counts are, and the value is the same."""
        batch = torch.rand(5, 4), torch.randint(4, (5,))

        assert accuracy_of(2, batch) == accuracy_of(2, batch, device="cpu")


def test_without_samples_there_is_no_value() -> None:
    """Before a sample was seen, and after a batch of none, there is nothing to compute."""
    with pytest.raises(NotComputableError, match="TopKCategoricalAccuracy has seen no sample"):
        accuracy_of(2, (torch.zeros(0, 3), torch.zeros(0)))


def test_only_those_with_one_k_share() -> None:
    """Another k counts something else."""
    metrics = {"a": TopKCategoricalAccuracy(1), "b": TopKCategoricalAccuracy(1), "c": TopKCategoricalAccuracy(2)}

    assert 2 == len(MetricGroup(metrics)._accumulating)
