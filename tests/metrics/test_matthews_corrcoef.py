"""MatthewsCorrCoef: the correlation of labels."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import MatthewsCorrCoef

TYPES = [torch.int64, torch.int32, torch.int8, torch.float32, torch.float16, torch.float64]


def correlation_of(*batches: Any, **kwargs: Any) -> float:
    """Return the correlation of batches."""
    metric = MatthewsCorrCoef(**kwargs)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


def reference(y_pred: Any, y: Any, sample_weight: Any = None) -> float:
    """Return scikit-learn's correlation."""
    score = pytest.importorskip("sklearn.metrics").matthews_corrcoef
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single label
        return float(score(np.asarray(y), np.asarray(y_pred), sample_weight=sample_weight))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=1, max_size=30),
    st.sampled_from(TYPES),
    st.integers(1, 30),
)
def test_is_that_of_scikit_learn(labels: list[tuple[int, int]], dtype: torch.dtype, size: int) -> None:
    """Of any whole numbers of any type, and however they are split, the correlation is scikit-learn's."""
    values = torch.tensor(labels)
    expected = reference(values[:, 0], values[:, 1])
    actual = correlation_of(*((part[:, 0].to(dtype), part[:, 1]) for part in values.split(size)))
    assert pytest.approx(expected, rel=1e-9, abs=1e-12) == actual


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 20), st.integers(2, 5), st.integers(0, 2**31), st.booleans())
def test_of_weighted_samples_it_is_that_of_scikit_learn(n: int, classes: int, seed: int, floats: bool) -> None:
    """Each sample counts as much as its weight says."""
    generator = torch.Generator().manual_seed(seed)
    y_pred, y = (torch.randint(classes, (n,), generator=generator) for _ in range(2))
    weight = torch.rand(n, generator=generator) if floats else torch.randint(1, 5, (n,), generator=generator)
    batches = zip(y_pred.split(7), y.split(7), weight.split(7), strict=True)
    expected = reference(y_pred, y, weight.double().numpy())
    assert pytest.approx(expected, rel=1e-9, abs=1e-9) == correlation_of(*batches)


@pytest.mark.parametrize("scores", [(True, True), (True, False)])
def test_the_largest_score_is_the_label(scores: tuple[bool, bool]) -> None:
    """Predictions may be scores, and targets then, too; the value is PyTorch-Ignite's."""
    theirs, ours = pytest.importorskip("ignite.metrics").MatthewsCorrCoef(), MatthewsCorrCoef()
    for size in (8, 3):
        batch = torch.rand(size, 4), torch.rand(size, 4) if scores[1] else torch.randint(4, (size,))
        theirs.update(batch)
        ours.update(batch)
    assert pytest.approx(theirs.compute(), rel=1e-9) == ours.compute()


@pytest.mark.parametrize("batch", [([1, 1], [0, 1]), ([0, 1], [1, 1]), ([1, 1], [1, 1])])
def test_one_label_throughout_has_no_correlation(batch: tuple[list[int], list[int]]) -> None:
    """Where one side never varies the value is 0, as scikit-learn's."""
    assert 0.0 == correlation_of(tuple(map(torch.tensor, batch)))


def test_is_right_of_many_samples() -> None:
    """Half a million samples of which a few differ give the value of scikit-learn."""
    y_pred, y = torch.zeros(500_000, dtype=torch.int64), torch.zeros(500_000, dtype=torch.int64)
    y_pred[:30], y[10:50] = 1, 1
    assert pytest.approx(reference(y_pred, y), rel=1e-9) == correlation_of((y_pred, y))


def test_a_mapping_may_have_weights() -> None:
    """sample_weight is a key of an output that it may lack."""
    engine = Engine(lambda engine, batch: batch)
    MatthewsCorrCoef().attach(engine, "correlation")
    y_pred, y = torch.tensor([1, 0, 1, 1]), torch.tensor([1, 0, 0, 1])
    output = {"y_pred": y_pred, "y": y}
    weight = torch.tensor([1.0, 2.0, 3.0, 4.0])
    plain = engine.run([output]).metrics["correlation"]
    weighted = engine.run([{**output, "sample_weight": weight}]).metrics["correlation"]
    assert pytest.approx(reference(y_pred, y)) == plain
    assert pytest.approx(reference(y_pred, y, weight.numpy())) == weighted


@pytest.mark.parametrize("first", [True, False])
def test_weights_are_in_all_batches_or_in_none(first: bool) -> None:
    """A batch that has weights where others have none is refused; after reset it is not."""
    pair, weight = (torch.tensor([0, 1]), torch.tensor([0, 1])), torch.ones(2)
    outputs = [(*pair, weight), pair] if first else [pair, (*pair, weight)]
    metric = MatthewsCorrCoef()
    metric.update(outputs[0])
    with pytest.raises(ValueError, match="sample_weight must be in all batches or in none until reset"):
        metric.update(outputs[1])
    metric.reset()
    metric.update(outputs[1])
    assert 1.0 == metric.compute()


def test_labels_that_are_no_class_are_told_when_it_is_computed() -> None:
    """A target that has no score is refused, with the range; so are labels that are no whole numbers."""
    for bad in (-1, 3, 1.5, math.nan):
        with pytest.raises(ValueError, match=r"y must be whole numbers in \[0, 3\) for MatthewsCorrCoef"):
            correlation_of((torch.rand(2, 3), torch.tensor([0, bad])))
    with pytest.raises(ValueError, match="y_pred and y must be whole numbers for MatthewsCorrCoef"):
        correlation_of((torch.tensor([0.5, 1.0]), torch.tensor([0, 1])))


def test_what_does_not_fit_is_refused() -> None:
    """The errors name the metric and what it takes."""
    metric, ones = MatthewsCorrCoef(), torch.ones(4)
    with pytest.raises(ValueError, match=r"or be of the shape of y_pred, for MatthewsCorrCoef, got y_pred \(4,\)"):
        metric.update((ones, torch.ones(4, 3)))
    with pytest.raises(ValueError, match=r"for MatthewsCorrCoef, got y_pred \(4, 3\) and y \(4, 2\)"):
        metric.update((torch.ones(4, 3), torch.ones(4, 2)))
    with pytest.raises(ValueError, match="as many samples as each other for MatthewsCorrCoef"):
        metric.update((ones, torch.ones(3)))
    with pytest.raises(ValueError, match=r"sample_weight must be of shape \(N,\) for MatthewsCorrCoef, got \(3,\)"):
        metric.update((ones, ones, torch.ones(3)))
    with pytest.raises(TypeError, match="tensors for MatthewsCorrCoef, got a list as weights"):
        metric.update((ones, ones, [1.0] * 4))
    with pytest.raises(TypeError, match=r"output must be \(y_pred, y\) or \(y_pred, y, sample_weight\)"):
        metric.update((ones,))
    with pytest.raises(NotComputableError, match="MatthewsCorrCoef has seen no sample"):
        metric.compute()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_weights_that_are_not_finite_are_told_when_it_is_computed(bad: float) -> None:
    """A sample that counts infinitely often, or nobody knows how often, gives no correlation."""
    labels = torch.tensor([0, 1])
    with pytest.raises(ValueError, match="sample_weight must be finite for MatthewsCorrCoef, got NaN or infinity"):
        correlation_of((labels, labels, torch.tensor([1.0, bad])))


def test_weights_of_a_run_resumed_elsewhere_come_together() -> None:
    """Weights that were saved from another device than those after them are joined."""
    with FakeTensorMode():
        metric = MatthewsCorrCoef()
        metric._weights = [torch.ones(2), torch.ones(3, device="cuda")]
        weights = metric._all_weights()
    assert weights is not None
    assert ((5,), "cuda") == (weights.shape, weights.device.type)


def test_classes_may_be_one_hot_in_any_type() -> None:
    """Bools, too, say which class it is."""
    y_pred, y = torch.tensor([0, 1, 2, 0, 2]), torch.tensor([0, 1, 1, 2, 2])
    for dtype in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16):
        one_hot = (torch.eye(3)[labels].to(dtype) for labels in (y_pred, y))
        assert correlation_of((y_pred, y)) == correlation_of(tuple(one_hot))


def test_complex_labels_are_refused() -> None:
    """What has no order has no place in a matrix."""
    with pytest.raises(TypeError, match=r"y_pred and y must be real for MatthewsCorrCoef, got torch\.complex64"):
        correlation_of((torch.ones(2, dtype=torch.complex64), torch.ones(2)))
