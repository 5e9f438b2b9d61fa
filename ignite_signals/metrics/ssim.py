"""SSIM: how alike two images look."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.images import check_data_range, image_pair
from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.window import Window

__all__ = ["SSIM"]


class SSIM(MeanOverSamples):
    """Average the structural similarity of the images, 1 for images that are equal.

    At each pixel and in each channel means, variances and the covariance are taken in a window around it, the image
    being mirrored at its borders; the similarity there is
    `(2 mu_x mu_y + c1) (2 cov_xy + c2) / ((mu_x ** 2 + mu_y ** 2 + c1) (var_x + var_y + c2))` with
    `c1 = (k1 data_range) ** 2` and `c2 = (k2 data_range) ** 2`; an image's is the mean over pixels and channels. See
    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity" (2004),
    https://doi.org/10.1109/TIP.2003.819861. `y_pred` and `y` are of one type and one shape, `(N, C, H, W)`, or
    `(N, C, D, H, W)` with `ndims=3`.

    Args:
        data_range: the distance between the smallest and the largest value that a pixel may have, such as 1.0 or 255.
        kernel_size: how many pixels wide the window is, an odd number, or one for each dimension of the image.
        sigma: the standard deviation of a Gaussian window in pixels, or one for each dimension.
        k1, k2: keep the ratio stable where means or variances are small.
        gaussian: weigh the window's pixels by a Gaussian; False weighs all alike.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.
        ndims: how many dimensions an image has, 2 or 3.

    Raises:
        TypeError: `y_pred` and `y` are not tensors of one type; an argument is of another type than it should be.
        ValueError: their shapes differ or are not as above, or an image is smaller than half the window; an argument
            is out of its range.
        NotComputableError: `compute` was called before any image was seen.

    >>> image = torch.linspace(0, 1, 256).reshape(1, 1, 16, 16)
    >>> ssim = SSIM(data_range=1.0)
    >>> ssim.update((image * 0.75, image))
    >>> round(ssim.compute(), 4)
    0.9246
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(MeanOverSamples._accumulates_by or ()),
        "data_range",
        "_window",
        "_c1",
        "_c2",
    )

    def __init__(
        self,
        data_range: int | float,
        kernel_size: int | Sequence[int] = 11,
        sigma: float | Sequence[float] = 1.5,
        k1: float = 0.01,
        k2: float = 0.03,
        gaussian: bool = True,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
        ndims: int = 2,
    ) -> None:
        check_data_range(data_range)
        if ndims not in (2, 3):
            raise ValueError(f"ndims must be 2 or 3, got {ndims!r}")
        self.data_range = data_range
        self.ndims = ndims
        self.kernel_size = _sizes(kernel_size, ndims)
        self.sigma = _deviations(sigma, ndims)
        self.gaussian = gaussian
        self._c1 = (k1 * data_range) ** 2
        self._c2 = (k2 * data_range) ** 2
        self._window = Window(self.kernel_size, self.sigma if gaussian else None)
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors of one type.
            ValueError: their shapes differ or are not as they must be, or an image is too small for the window.
        """
        y_pred, y = image_pair(self, output)
        self._check_shape(y_pred)
        if not self._placed:
            self._place(y_pred)
        total = self._summed(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_examples += len(y_pred)

    def _check_shape(self, images: Tensor) -> None:
        sides = images.shape[2:]
        if images.ndim != self.ndims + 2:
            raise ValueError(
                f"y_pred and y must be of shape {_SHAPES[self.ndims]} for {type(self).__name__} with "
                f"ndims={self.ndims}, got {tuple(images.shape)}; choose them with output_transform, or set ndims"
            )
        if any(side <= size // 2 for side, size in zip(sides, self.kernel_size, strict=True)):
            least = tuple(size // 2 + 1 for size in self.kernel_size)
            raise ValueError(
                f"y_pred and y must be images of {least} pixels at least for {type(self).__name__} with "
                f"kernel_size={self.kernel_size}, got {tuple(sides)}; enlarge them, or pass a smaller kernel_size"
            )

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        mean_pred, mean = self._window.means(y_pred), self._window.means(y)
        squares = self._window.means((y_pred * y_pred).addcmul_(y, y))
        products = self._window.means(y_pred * y)
        means_product = mean_pred * mean
        means_squares = mean_pred.square_().addcmul_(mean, mean)
        # In place, as images are large: covariances, then sums of variances.
        covariances = products.sub_(means_product)
        variances = squares.sub_(means_squares)
        similar = means_product.mul_(2).add_(self._c1).mul_(covariances.mul_(2).add_(self._c2))
        similar /= means_squares.add_(self._c1).mul_(variances.add_(self._c2))
        return similar.sum() / max(1, math.prod(y.shape[1:]))


_SHAPES = {2: "(N, C, H, W)", 3: "(N, C, D, H, W)"}


def _sizes(kernel_size: Any, ndims: int) -> tuple[int, ...]:
    sizes = _one_each("kernel_size", kernel_size, ndims)
    if not all(isinstance(size, int) and not isinstance(size, bool) for size in sizes):
        raise TypeError(f"kernel_size must be an integer, or {ndims} of them, got {kernel_size!r}")
    if not all(size > 0 and size % 2 for size in sizes):
        raise ValueError(f"kernel_size must be odd and positive, got {kernel_size!r}")
    return sizes


def _deviations(sigma: Any, ndims: int) -> tuple[float, ...]:
    deviations = _one_each("sigma", sigma, ndims)
    if not all(isinstance(deviation, Real) and not isinstance(deviation, bool) for deviation in deviations):
        raise TypeError(f"sigma must be a number, or {ndims} of them, got {sigma!r}")
    if not all(deviation > 0 for deviation in deviations):
        raise ValueError(f"sigma must be positive, got {sigma!r}")
    return deviations


def _one_each(name: str, value: Any, ndims: int) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        return (value,) * ndims
    if len(value) != ndims:
        raise ValueError(f"{name} must have one value for each of the {ndims} dimensions, got {value!r}")
    return tuple(value)
