"""InceptionScore: its numbers, its networks, and what it refuses."""

from __future__ import annotations

import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.engine import Engine
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.gan import InceptionScore
from support.cases.images import inception_score as expected_score
from support.torchvision_stand_in import stand_in

seeds = st.integers(0, 2**32 - 1)


def some_probabilities(seed: int, n: int, classes: int) -> torch.Tensor:
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(seed)).mul(4).softmax(dim=1)


def score_of(*batches: torch.Tensor) -> float:
    metric = InceptionScore(num_features=batches[0].shape[1])
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(1, 9), st.integers(1, 6))
def test_equals_scipy(seed: int, n: int, classes: int) -> None:
    """Any shape, in several batches, gives e to SciPy's mean divergence from the mean."""
    probabilities = some_probabilities(seed, n, classes)

    assert pytest.approx(expected_score(probabilities), rel=1e-5) == score_of(*probabilities.split(4))


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_equals_ignite(seed: int) -> None:
    """The same outputs give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").InceptionScore(num_features=5)
    probabilities = some_probabilities(seed, 20, 5)
    theirs.update(probabilities)

    assert pytest.approx(theirs.compute(), rel=1e-5) == score_of(probabilities)


def test_certain_and_various_classes_score_their_number() -> None:
    """Probabilities of 0 and 1 are no trouble."""
    assert pytest.approx(3.0) == score_of(torch.eye(3), torch.eye(3))


def test_by_default_takes_the_probabilities_of_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the network is torchvision's, with a softmax at its end."""
    monkeypatch.setitem(sys.modules, "torchvision.models", stand_in())
    images = torch.randn(4, 2)
    metric = InceptionScore()
    metric.update(images)

    probabilities = metric._feature_extractor(images).detach()

    assert pytest.approx(expected_score(probabilities), rel=1e-4) == metric.compute()
    assert pytest.approx([1.0] * 4) == probabilities.sum(dim=1).tolist()


def test_takes_an_output_with_a_key() -> None:
    """A mapping gives its `y_pred`, other keys are left alone."""
    engine = Engine(lambda engine, batch: {"y_pred": batch, "loss": 1.0})
    InceptionScore(num_features=2).attach(engine, "score")

    assert pytest.approx(2.0) == engine.run([torch.eye(2)]).metrics["score"]


@pytest.mark.parametrize("value", [-0.5, float("nan")])
def test_what_are_no_probabilities_is_told_by_compute(value: float) -> None:
    """Logits without a softmax are a common mistake."""
    metric = InceptionScore(num_features=2)
    metric.update(torch.tensor([[0.5, 0.5], [1.5, value]]))

    with pytest.raises(ValueError, match="must return probabilities for InceptionScore, got negative ones or NaN"):
        metric.compute()


def test_no_image_is_an_error() -> None:
    """Without an image there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="InceptionScore has seen no sample"):
        InceptionScore(num_features=2).compute()


def test_refuses_what_does_not_fit() -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(ValueError, match=r"shape \(N, 2\) for InceptionScore, got \(3, 4\)"):
        InceptionScore(num_features=2).update(torch.zeros(3, 4))
    with pytest.raises(TypeError, match="y_pred must be a tensor for InceptionScore, got a list"):
        InceptionScore(num_features=2).update([1.0])
