"""PSNR: how much stronger an image is than its error, in decibels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.images import check_data_range, image_pair
from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.metric import unchanged

__all__ = ["PSNR"]

# An image without an error would have an infinite ratio, and so would the mean over all of them.
_LEAST_SQUARED_ERROR = 1e-10


class PSNR(MeanOverSamples):
    """Average the peak signal-to-noise ratio of the images, in decibels.

    The value is the mean of `10 log10(data_range ** 2 / MSE)`, where MSE is the mean squared error of one image
    (https://en.wikipedia.org/wiki/Peak_signal-to-noise_ratio). `y_pred` and `y` are of one shape, `(N, ...)`, and of
    one type. An MSE counts as 1e-10 at least (of a `data_range` below 1, as that share of its square), so that
    a perfect image has a finite ratio.

    Args:
        data_range: the distance between the smallest and the largest value that a pixel may have, such as 1.0 or 255.
        output_transform: makes `(y_pred, y)` of `engine.state.output`; the place to choose the Y channel of YCbCr.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` and `y` are not tensors of one type, or `data_range` is no number.
        ValueError: their shapes differ, or are not `(N, ...)`; `data_range` is not positive.
        NotComputableError: `compute` was called before any image was seen.

    >>> psnr = PSNR(data_range=1.0)
    >>> psnr.update((torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), 0.6)))
    >>> round(psnr.compute(), 4)  # 10 log10(1 / 0.1 ** 2)
    20.0
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(MeanOverSamples._accumulates_by or ()), "data_range")

    def __init__(
        self,
        data_range: int | float,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        check_data_range(data_range)
        self.data_range = data_range
        self._least_error = _LEAST_SQUARED_ERROR * min(1.0, data_range) ** 2
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors of one type.
            ValueError: their shapes differ, or are not `(N, ...)`.
        """
        y_pred, y = image_pair(self, output)
        if y_pred.ndim < 2:
            raise ValueError(
                f"y_pred and y must be of shape (N, ...) with two dimensions at least for {type(self).__name__}, "
                f"got {tuple(y_pred.shape)}; choose them with output_transform"
            )
        if not self._placed:
            self._place(y_pred)
        total = self._summed(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_examples += len(y_pred)

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the sum of the logarithms of the images' errors."""
        errors = (y_pred - y).square_().flatten(start_dim=1).mean(dim=1)
        return errors.clamp_(min=self._least_error).log10_().sum()

    def _value(self) -> Tensor:
        return 10 * (2 * math.log10(self.data_range) - super()._value())
