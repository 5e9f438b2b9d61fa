"""FID: its numbers, its networks, and what it refuses."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.gan import FID
from support.cases.images import fid as expected_fid
from support.torchvision_stand_in import stand_in

seeds = st.integers(0, 2**32 - 1)


def some_features(seed: int, n: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(size, size, generator=generator)
    train = torch.randn(n, size, generator=generator)
    return train, torch.randn(n, size, generator=generator) @ mix + 2


def fid_of(*batches: tuple[torch.Tensor, torch.Tensor], **kwargs: Any) -> float:
    metric = FID(**kwargs)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(2, 6), st.integers(1, 3))
def test_equals_scipy(seed: int, size: int, batches: int) -> None:
    """Features in several batches give the formula with SciPy's root of a matrix."""
    train, test = some_features(seed, 30, size)

    actual = fid_of(*zip(train.chunk(batches), test.chunk(batches), strict=True), num_features=size)

    assert pytest.approx(expected_fid(train, test), rel=1e-6, abs=1e-6) == actual


@settings(max_examples=10, deadline=None)
@given(seeds)
def test_equals_ignite(seed: int) -> None:
    """The same outputs give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").FID(num_features=4)
    batch = some_features(seed, 20, 4)
    theirs.update(batch)

    assert pytest.approx(theirs.compute(), rel=1e-5) == fid_of(batch, num_features=4)


def test_with_fewer_samples_than_features_is_exact() -> None:
    """Of equal sets the distance is 0, though their covariance has no inverse."""
    features, _ = some_features(0, 5, 40)

    assert pytest.approx(0, abs=1e-9) == fid_of((features, features), num_features=40)


def test_looks_through_a_network() -> None:
    """The network's features count, and it gets no gradient."""
    network = torch.nn.Linear(7, 3)
    train, test = torch.randn(9, 7), torch.randn(9, 7)
    metric = FID(num_features=3, feature_extractor=network)
    metric.update((train, test))

    expected = expected_fid(network(train).detach(), network(test).detach())

    assert pytest.approx(expected, rel=1e-5) == metric.compute()
    assert not metric._train_sum.requires_grad


def test_half_precision_features_are_summed_in_float64() -> None:
    """The sums lose nothing to the type of the features."""
    train, test = (part.half() for part in some_features(0, 50, 3))

    assert pytest.approx(expected_fid(train, test), rel=1e-9) == fid_of((train, test), num_features=3)


def test_by_default_takes_the_logits_of_inception(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without arguments the network is torchvision's, in evaluation mode."""
    monkeypatch.setitem(sys.modules, "torchvision.models", stand_in())
    images = torch.randn(4, 2), torch.randn(4, 2)
    metric = FID()
    metric.update(images)

    logits = [metric._feature_extractor(part).detach() for part in images]

    assert (4, 1000) == logits[0].shape
    torch.testing.assert_close(metric._train_sum, logits[0].double().sum(dim=0))
    assert logits[0].min() < 0
    assert not metric._feature_extractor.training


def test_without_torchvision_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the package and the way without it."""
    monkeypatch.setitem(sys.modules, "torchvision.models", None)

    with pytest.raises(ModuleNotFoundError, match=r"FID without a feature_extractor .* pip install torchvision"):
        FID()


def test_fewer_than_two_samples_are_an_error() -> None:
    """One sample has no covariance."""
    metric = FID(num_features=2)
    with pytest.raises(NotComputableError, match="FID has seen no sample"):
        metric.compute()

    metric.update((torch.zeros(1, 2), torch.zeros(1, 2)))
    with pytest.raises(NotComputableError, match="FID needs two samples at least"):
        metric.compute()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.zeros(3, 2), torch.zeros(4, 2)), ValueError, "as many samples as each other for FID, got 3 and 4"),
        ((torch.zeros(3, 5), torch.zeros(3, 5)), ValueError, r"shape \(N, 2\) for FID, got \(3, 5\) for train"),
        ((torch.zeros(3), torch.zeros(3)), ValueError, r"shape \(N, 2\) for FID, got \(3,\)"),
        ((torch.zeros(3, 2), [1]), TypeError, "test must be a tensor for FID, got a list"),
        (torch.zeros(3, 2), TypeError, r"output must be \(train, test\) for FID"),
    ],
)
def test_refuses_what_does_not_fit(output: object, error: type[Exception], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message):
        FID(num_features=2).update(output)


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"feature_extractor": torch.nn.Identity()}, ValueError, "num_features must be given"),
        ({"num_features": 0}, ValueError, "num_features must be positive, got 0"),
        ({"num_features": 2.0}, TypeError, "num_features must be an integer, got 2.0"),
        ({"num_features": 2, "feature_extractor": len}, TypeError, "feature_extractor must be a torch.nn.Module"),
    ],
)
def test_refuses_settings(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    """The error names the argument, its value and what it takes."""
    with pytest.raises(error, match=message):
        FID(**kwargs)
