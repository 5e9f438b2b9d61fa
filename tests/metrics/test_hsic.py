"""HSIC: its numbers, its bandwidths, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import HSIC
from support.cases.distributions import criterion, independence

dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16])
seeds = st.integers(0, 2**32 - 1)


def some_batch(seed: int, n: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=generator)
    y = x[:, :2].square() + 0.2 * torch.randn(n, 2, generator=generator)
    return x.to(dtype), y.to(dtype)


def criterion_of(*batches: tuple[torch.Tensor, torch.Tensor], sigma: float = -1) -> float:
    metric = HSIC(sigma_x=sigma, sigma_y=sigma)
    for batch in batches:
        metric.update(batch)
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, st.integers(4, 12), dtypes, st.sampled_from([-1, 0.7, 3]))
def test_equals_the_formula(seed: int, n: int, dtype: torch.dtype, sigma: float) -> None:
    """Any size and type gives the paper's estimate in float64, over batches of several sizes."""
    batches = [some_batch(seed, n, dtype), some_batch(seed + 1, n + 3, dtype)]

    assert pytest.approx(criterion(*batches, sigma=sigma), rel=1e-4, abs=1e-6) == criterion_of(*batches, sigma=sigma)


@settings(max_examples=20, deadline=None)
@given(seeds, st.integers(4, 12), st.sampled_from([-1.0, 2.0]))
def test_equals_ignite(seed: int, n: int, sigma: float) -> None:
    """The same batch gives PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").HSIC(sigma_x=sigma, sigma_y=sigma)
    batch = some_batch(seed, n)
    theirs.update(batch)

    assert pytest.approx(theirs.compute(), rel=1e-3, abs=1e-6) == criterion_of(batch, sigma=sigma)


def test_negative_estimates_count() -> None:
    """The estimates of independent batches average to about 0: each is added as it is, the mean alone is cut off."""
    batches = [(torch.randn(8, 2), torch.randn(8, 2)) for _ in range(50)]
    estimates = [independence(x, y, 1.0) for x, y in batches]

    assert min(estimates) < 0
    assert pytest.approx(max(0.0, sum(estimates) / 50), abs=1e-6) == criterion_of(*batches, sigma=1.0)


def test_classes_as_targets_have_a_bandwidth() -> None:
    """Where most samples are equal the median distance is 0, and the mean is taken."""
    x = torch.tensor([[0.0], [0.0], [0.0], [0.0], [0.0], [4.0]])
    variance = 16 * 10 / 36

    expected = independence(x, x, variance**0.5)

    assert pytest.approx(max(0.0, expected), abs=1e-6) == criterion_of((x, x))
    assert pytest.approx(0.0, abs=1e-6) == criterion_of((x, torch.ones(6, 1)))


def test_samples_may_have_any_shape() -> None:
    """Each sample is one vector, and the two sides differ in size and type."""
    x, y = torch.randn(6, 2, 2), torch.randn(6, 3, dtype=torch.float64)

    assert pytest.approx(criterion_of((x.flatten(1), y))) == criterion_of((x, y))


def test_a_small_batch_is_left_out() -> None:
    """Less than four samples have no estimate; it is an error where that is asked for."""
    batch = some_batch(0, 6)

    assert criterion_of(batch) == criterion_of(batch, some_batch(1, 3))
    with pytest.raises(ValueError, match="4 samples at least in each batch for HSIC, got 3; ignore_invalid_batch"):
        HSIC(ignore_invalid_batch=False).update(some_batch(1, 3))


def test_no_batch_is_an_error() -> None:
    """Without a batch that is large enough there is no value, and the error names the metric."""
    metric = HSIC()
    metric.update(some_batch(0, 2))

    with pytest.raises(NotComputableError, match="HSIC has seen no sample"):
        metric.compute()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.zeros(5, 2), torch.zeros(4, 2)), ValueError, "as many samples as each other for HSIC, got 5 and 4"),
        ((torch.zeros(5), torch.zeros(5, 1)), ValueError, r"y_pred must be of shape .* for HSIC, got \(5,\)"),
        ((torch.zeros(5, 1), [1]), TypeError, "must be tensors for HSIC, got Tensor and list"),
    ],
)
def test_refuses_what_does_not_fit(output: object, error: type[Exception], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message):
        HSIC().update(output)


@pytest.mark.parametrize("name", ["sigma_x", "sigma_y"])
def test_refuses_a_bandwidth_of_0(name: str) -> None:
    """The error names the argument and its value."""
    with pytest.raises(ValueError, match=f"{name} must be positive, or negative for the median"):
        HSIC(**{name: 0})
    with pytest.raises(TypeError, match=f"{name} must be a number, got None"):
        HSIC(**{name: None})  # type: ignore[arg-type]
