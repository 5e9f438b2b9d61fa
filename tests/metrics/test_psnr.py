"""PSNR: its numbers, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import PSNR
from support.cases.images import psnr as expected_psnr

shapes = st.lists(st.integers(1, 6), min_size=2, max_size=5)
dtypes = st.sampled_from(
    [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int16, torch.int32, torch.int64]
)
seeds = st.integers(0, 2**32 - 1)


def some_images(seed: int, shape: list[int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    # Values below 128 are whole in every type, and no image equals its target.
    y = torch.randint(0, 100, shape, generator=generator)
    return (y + torch.randint(1, 28, shape, generator=generator)).to(dtype), y.to(dtype)


def psnr_of(y_pred: torch.Tensor, y: torch.Tensor, data_range: float = 255) -> float:
    metric = PSNR(data_range=data_range)
    metric.update((y_pred, y))
    return metric.compute()


@settings(max_examples=40, deadline=None)
@given(seeds, shapes, dtypes, st.sampled_from([1, 127.5, 255]))
def test_equals_scikit_image(seed: int, shape: list[int], dtype: torch.dtype, data_range: float) -> None:
    """Any shape and type gives scikit-image's mean over the images, of the same numbers in float64."""
    pytest.importorskip("skimage")
    y_pred, y = some_images(seed, shape, dtype)

    assert pytest.approx(expected_psnr(y_pred, y, data_range), rel=1e-6, abs=1e-5) == psnr_of(y_pred, y, data_range)


@settings(max_examples=20, deadline=None)
@given(seeds, shapes, dtypes)
def test_equals_ignite(seed: int, shape: list[int], dtype: torch.dtype) -> None:
    """The same outputs give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").PSNR(data_range=255)
    output = some_images(seed, shape, dtype)
    theirs.update(output)

    assert pytest.approx(theirs.compute(), rel=1e-6, abs=1e-5) == psnr_of(*output)


@pytest.mark.parametrize("data_range", [1.0, 255])
def test_of_a_perfect_image_is_that_of_ignite(data_range: float) -> None:
    """A squared error of 0 counts as 1e-10, so that the mean stays finite."""
    image = torch.rand(2, 3, 4, 4)
    theirs = pytest.importorskip("ignite.metrics").PSNR(data_range=data_range)
    theirs.update((image, image))

    assert pytest.approx(theirs.compute()) == psnr_of(image, image, data_range)


@pytest.mark.parametrize("data_range", [1.0, 1e-4, 1e-7])
def test_small_errors_are_exact(data_range: float) -> None:
    """The formula holds down to a hundred decibels, for small ranges too."""
    y = torch.zeros(1, 2, 2, dtype=torch.float64)

    assert pytest.approx(90.0) == psnr_of(y + data_range * 10**-4.5, y, data_range)


def test_no_image_is_an_error() -> None:
    """Without an image there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="PSNR has seen no sample"):
        PSNR(data_range=1.0).compute()


@pytest.mark.parametrize(
    ("output", "error", "message"),
    [
        ((torch.zeros(3), torch.zeros(3)), ValueError, r"two dimensions at least for PSNR, got \(3,\)"),
        ((torch.zeros(2, 3), torch.zeros(2, 4)), ValueError, r"one shape for PSNR, got \(2, 3\) and \(2, 4\)"),
        ((torch.zeros(2, 3), torch.zeros(2, 3).double()), TypeError, "one type .* for PSNR, got torch.float32 and"),
        ((torch.zeros(2, 3), [1]), TypeError, "must be tensors for PSNR, got Tensor and list"),
    ],
)
def test_refuses_what_are_no_images(output: object, error: type[Exception], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(error, match=message):
        PSNR(data_range=1.0).update(output)


@pytest.mark.parametrize(
    ("data_range", "error"), [("1", TypeError), (None, TypeError), (True, TypeError), (0, ValueError), (-1, ValueError)]
)
def test_refuses_a_range_that_is_not_positive(data_range: object, error: type[Exception]) -> None:
    """data_range must be a positive number."""
    with pytest.raises(error, match="data_range must be"):
        PSNR(data_range=data_range)  # type: ignore[arg-type]
