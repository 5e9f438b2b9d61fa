"""SSIM: its numbers, its settings, and what it refuses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate1d
from torch._subclasses.fake_tensor import FakeTensorMode

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import SSIM, MetricGroup
from support.cases.images import ssim as expected_ssim

sides = st.integers(7, 20)
dtypes = st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.uint8, torch.int64])
seeds = st.integers(0, 2**32 - 1)


def some_images(seed: int, shape: list[int], dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 90, shape, generator=generator)
    return (y + torch.randint(0, 38, shape, generator=generator)).to(dtype), y.to(dtype)


def ssim_of(y_pred: torch.Tensor, y: torch.Tensor, data_range: float = 127, **settings: Any) -> float:
    metric = SSIM(data_range=data_range, **settings)
    metric.update((y_pred, y))
    return metric.compute()


def by_scipy(y_pred: torch.Tensor, y: torch.Tensor, sizes: list[int], sigmas: list[float]) -> float:
    """Return the formula in float64 for a data range of 1, with SciPy's correlation along each axis."""

    def means(values: Any) -> Any:
        for axis, (size, sigma) in enumerate(zip(sizes, sigmas, strict=True), start=2):
            weights = torch.arange(-(size // 2), size // 2 + 1).double().div(sigma).square().mul(-0.5).exp()
            values = correlate1d(values, weights / weights.sum(), axis=axis, mode="mirror")
        return values

    a, b = y_pred.double().numpy(), y.double().numpy()
    mean_a, mean_b = means(a), means(b)
    cov, var = means(a * b) - mean_a * mean_b, means(a * a + b * b) - mean_a**2 - mean_b**2
    ratio = (2 * mean_a * mean_b + 1e-4) * (2 * cov + 9e-4) / ((mean_a**2 + mean_b**2 + 1e-4) * (var + 9e-4))
    return float(ratio.mean())


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 3), st.integers(1, 3), sides, sides, dtypes)
def test_equals_scikit_image(seed: int, n: int, channels: int, height: int, width: int, dtype: torch.dtype) -> None:
    """Any shape and type gives scikit-image's value of the same numbers in float64, with a Gaussian window."""
    pytest.importorskip("skimage")
    y_pred, y = some_images(seed, [n, channels, height, width], dtype)

    assert pytest.approx(expected_ssim(y_pred, y, 127), rel=1e-5, abs=1e-5) == ssim_of(y_pred, y)


@settings(max_examples=20, deadline=None)
@given(seeds, sides, sides, st.sampled_from([3, 5, 7, 11]))
def test_with_a_uniform_window_equals_scikit_image(seed: int, height: int, width: int, kernel_size: int) -> None:
    """A uniform window is as wide as kernel_size says."""
    pytest.importorskip("skimage")
    y_pred, y = some_images(seed, [2, 2, height, width], torch.float32)

    expected = expected_ssim(y_pred, y, 127, kernel_size=kernel_size, gaussian=False)

    actual = ssim_of(y_pred, y, gaussian=False, kernel_size=kernel_size)
    assert pytest.approx(expected, rel=1e-5, abs=1e-5) == actual


@pytest.mark.parametrize("shape", [(1, 2, 140, 30), (1, 1, 150, 160)])
def test_large_images_equal_scikit_image(shape: tuple[int, ...]) -> None:
    """Large sides, which are averaged in another way, give the same."""
    pytest.importorskip("skimage")
    y_pred, y = some_images(0, list(shape), torch.float32)

    assert pytest.approx(expected_ssim(y_pred, y, 127), rel=1e-5, abs=1e-5) == ssim_of(y_pred, y)


@pytest.mark.parametrize(
    ("shape", "sizes", "sigmas"),
    [
        ([2, 3, 9, 12], [3, 9], [0.8, 2.0]),
        ([2, 1, 200, 12], [9, 3], [2, 1]),
        ([2, 2, 6, 8, 10], [3, 5, 7], [0.5, 1.0, 1.5]),
        ([1, 1, 12, 131, 7], [5, 9, 3], [1.0, 2.0, 0.7]),
    ],
)
def test_each_dimension_has_its_window(shape: list[int], sizes: list[int], sigmas: list[float]) -> None:
    """Sequences give the window's size and deviation for each dimension in the order of the shape."""
    y_pred, y = torch.rand(shape), torch.rand(shape)

    expected = by_scipy(y_pred, y, sizes, sigmas)

    actual = ssim_of(y_pred, y, 1.0, kernel_size=sizes, sigma=sigmas, ndims=len(sizes))
    assert pytest.approx(expected, rel=1e-4, abs=1e-5) == actual


@pytest.mark.parametrize(
    ("shape", "kwargs"),
    [
        ([3, 3, 16, 20], {}),
        ([3, 3, 16, 20], {"k1": 0.1, "k2": 0.2, "kernel_size": 7, "sigma": 1.1}),
        ([3, 1, 16, 20], {"kernel_size": [5, 9], "sigma": [1.0, 2.0]}),
        ([3, 2, 16, 20], {"gaussian": False, "kernel_size": 5}),
        ([2, 2, 8, 9, 10], {"ndims": 3}),
    ],
)
def test_equals_ignite(shape: list[int], kwargs: dict[str, Any]) -> None:
    """The same outputs and settings give PyTorch-Ignite's value."""
    theirs = pytest.importorskip("ignite.metrics").SSIM(data_range=1.0, **kwargs)
    y_pred, y = torch.rand(shape), torch.rand(shape)
    theirs.update((y_pred, y))

    assert pytest.approx(theirs.compute(), abs=1e-5) == ssim_of(y_pred, y, 1.0, **kwargs)


def test_of_equal_images_is_1() -> None:
    """Nothing differs."""
    image = torch.rand(2, 3, 16, 16)

    assert pytest.approx(1.0) == ssim_of(image, image, 1.0)


def test_images_of_several_sizes_count_alike() -> None:
    """Each image counts once, however many pixels it has, and what is kept for sizes has an end."""
    metric = SSIM(data_range=1.0)
    values = []
    for side in range(7, 24):
        y_pred, y = torch.rand(1, 1, side, side + 1), torch.rand(1, 1, side, side + 1)
        metric.update((y_pred, y))
        values.append(ssim_of(y_pred, y, 1.0))

    assert pytest.approx(sum(values) / len(values), abs=1e-6) == metric.compute()
    assert 12 >= len(metric._window._matrices)


def test_equal_settings_share_what_they_accumulate() -> None:
    """In a group those with the same window are updated once, and others by themselves."""
    y_pred, y = torch.rand(2, 1, 12, 12), torch.rand(2, 1, 12, 12)
    group = MetricGroup(
        {"a": SSIM(data_range=1.0), "b": SSIM(data_range=1.0), "c": SSIM(data_range=1.0, kernel_size=5)}
    )
    group.update((y_pred, y))
    values = group.compute()

    assert values["a"] == values["b"] == ssim_of(y_pred, y, 1.0)
    assert values["c"] == ssim_of(y_pred, y, 1.0, kernel_size=5)
    assert 2 == len(group._accumulating)


def test_a_copy_goes_on() -> None:
    """A deep copy has the same value and takes in more."""
    y_pred, y = torch.rand(2, 1, 12, 12), torch.rand(2, 1, 12, 12)
    metric = SSIM(data_range=1.0)
    metric.update((y_pred, y))
    other = copy.deepcopy(metric)
    other.update((y_pred, y))

    assert pytest.approx(metric.compute()) == other.compute()


def test_no_image_is_an_error() -> None:
    """Without an image there is no value, and the error names the metric."""
    with pytest.raises(NotComputableError, match="SSIM has seen no sample"):
        SSIM(data_range=1.0).compute()


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ([(1, 1, 5, 16)] * 2, r"images of \(6, 6\) pixels at least for SSIM .* got \(5, 16\)"),
        ([(1, 16, 16)] * 2, r"of shape \(N, C, H, W\) for SSIM with ndims=2, got \(1, 16, 16\)"),
        ([(1, 1, 8, 16, 16)] * 2, r"of shape \(N, C, H, W\) for SSIM with ndims=2"),
        ([(1, 1, 16, 16), (1, 1, 16, 17)], "of one shape for SSIM"),
    ],
)
def test_refuses_shapes_that_do_not_fit(shapes: list[tuple[int, ...]], message: str) -> None:
    """The error names the metric, what it got and what it takes."""
    with pytest.raises(ValueError, match=message):
        SSIM(data_range=1.0).update(tuple(torch.zeros(shape) for shape in shapes))


def test_refuses_images_of_different_types() -> None:
    """As documented, both are of one type."""
    with pytest.raises(TypeError, match="one type of real numbers for SSIM"):
        SSIM(data_range=1.0).update((torch.zeros(1, 1, 16, 16), torch.zeros(1, 1, 16, 16).half()))


@pytest.mark.parametrize(
    ("kwargs", "error", "message"),
    [
        ({"ndims": 4}, ValueError, "ndims must be 2 or 3, got 4"),
        ({"kernel_size": 4}, ValueError, "kernel_size must be odd and positive, got 4"),
        ({"kernel_size": -1}, ValueError, "kernel_size must be odd and positive"),
        ({"kernel_size": 3.0}, TypeError, "kernel_size must be an integer"),
        ({"kernel_size": [3]}, ValueError, "kernel_size must have one value for each of the 2 dimensions"),
        ({"sigma": 0}, ValueError, "sigma must be positive"),
        ({"sigma": "1"}, TypeError, "sigma must be a number"),
        ({"sigma": [1.0] * 3}, ValueError, "sigma must have one value for each of the 2 dimensions"),
        ({"data_range": 0}, ValueError, "data_range must be positive"),
    ],
)
def test_refuses_settings(kwargs: dict[str, Any], error: type[Exception], message: str) -> None:
    """The error names the argument, its value and what it takes."""
    with pytest.raises(error, match=message):
        SSIM(**{"data_range": 1.0, **kwargs})


@pytest.mark.parametrize("side", [16, 200])
def test_an_update_on_an_accelerator_needs_nothing_from_the_host(side: int) -> None:
    """Small and large images are averaged by operations that can wait in the device's queue."""
    with FakeTensorMode():
        image = torch.empty(2, 3, side, side, device="cuda")
        metric = SSIM(data_range=1.0)
        metric.update((image, image))

    assert "cuda" == metric._sum.device.type
