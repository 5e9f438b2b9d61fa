"""Pairs of images, checked by what costs no wait: types and shapes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.output import parts

__all__ = ["check_data_range", "image_pair"]

# The differences of their values, and the squares of these, are exact enough in float32.
_SMALL = (torch.uint8, torch.int8, torch.int16, torch.bool, torch.float16, torch.bfloat16)


def check_data_range(data_range: Any) -> None:
    """Refuse a range of the pixels' values that is no positive number.

    Raises:
        TypeError: it is no number.
        ValueError: it is not positive.
    """
    if isinstance(data_range, bool) or not isinstance(data_range, int | float):
        raise TypeError(f"data_range must be a number, such as 1.0 or 255, got {data_range!r}")
    if not data_range > 0:
        raise ValueError(f"data_range must be positive, got {data_range!r}")


def image_pair(metric: object, output: Any) -> tuple[Tensor, Tensor]:
    """Return `(y_pred, y)` in a type in which differences of pixels are exact enough.

    Half precision and integers of 16 bits become float32, larger integers float64.

    Raises:
        TypeError: `output` is not a pair of tensors of one type; the message names the metric.
        ValueError: their shapes differ.

    >>> image = torch.ones(1, 3, 8, 8, dtype=torch.uint8)
    >>> image_pair("", (image, image))[0].dtype
    torch.float32
    """
    y_pred, y = parts(metric, output, "(y_pred, y)", (2,))
    if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor)):
        raise TypeError(
            f"y_pred and y must be tensors for {type(metric).__name__}, got {type(y_pred).__name__} and "
            f"{type(y).__name__}; convert them with output_transform"
        )
    if y_pred.dtype != y.dtype or y_pred.is_complex():
        raise TypeError(
            f"y_pred and y must be of one type of real numbers for {type(metric).__name__}, got {y_pred.dtype} and "
            f"{y.dtype}; convert them with output_transform"
        )
    if y_pred.shape != y.shape:
        raise ValueError(
            f"y_pred and y must be of one shape for {type(metric).__name__}, got {tuple(y_pred.shape)} "
            f"and {tuple(y.shape)}; choose them with output_transform"
        )
    return _pixels(y_pred), _pixels(y)


def _pixels(values: Tensor) -> Tensor:
    values = values.detach()
    if values.dtype in (torch.float32, torch.float64):
        return values
    return values.float() if values.dtype in _SMALL or values.is_mps else values.double()
