"""A prediction and its target as two tensors, checked by what costs no wait: types and shapes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.output import parts

__all__ = ["float_pair", "pair"]


def pair(metric: object, output: Any) -> tuple[Tensor, Tensor]:
    """Return `(y_pred, y)` as two tensors of one shape, without their gradients.

    A `y_pred` of shape `(N, 1)` and a `y` of shape `(N,)`, or the reverse, become `(N,)`.

    Raises:
        TypeError: `output` is not a pair of tensors.
        ValueError: their shapes do not fit; the message names the metric and both shapes.

    >>> pair("", (torch.zeros(2, 1), torch.ones(2)))
    (tensor([0., 0.]), tensor([1., 1.]))
    """
    y_pred, y = output if type(output) is tuple and len(output) == 2 else parts(metric, output, "(y_pred, y)", (2,))
    if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor)):
        raise TypeError(
            f"y_pred and y must be tensors for {type(metric).__name__}, got {type(y_pred).__name__} and "
            f"{type(y).__name__}; convert them with output_transform"
        )
    if y_pred.shape != y.shape:
        y_pred, y = _of_one_shape(metric, y_pred, y)
    return y_pred.detach(), y.detach()


def float_pair(metric: object, output: Any) -> tuple[Tensor, Tensor]:
    """Return `(y_pred, y)` as `pair` does, in a type in which differences are exact enough.

    Half precision becomes float32, and integers become float64.

    >>> float_pair("", (torch.zeros(1, dtype=torch.float16), torch.ones(1, dtype=torch.int64)))
    (tensor([0.]), tensor([1.], dtype=torch.float64))
    """
    try:
        y_pred, y = output
        # What most outputs are is told by the fewest questions: this stands before every update.
        if (
            type(output) is tuple
            and y_pred.dtype is y.dtype is torch.float32
            and y_pred.shape == y.shape
            and not (y_pred.requires_grad or y.requires_grad)
        ):
            return y_pred, y
    except (TypeError, ValueError, AttributeError):
        pass
    y_pred, y = pair(metric, output)
    return wide(y_pred), wide(y)


def wide(values: Tensor) -> Tensor:
    """Return values in float32 or, where those are not exact, in float64.

    >>> wide(torch.ones(1, dtype=torch.bfloat16)).dtype, wide(torch.ones(1, dtype=torch.int64)).dtype
    (torch.float32, torch.float64)
    """
    if values.dtype in (torch.float32, torch.float64) or values.is_complex():
        return values
    if values.is_floating_point() or values.is_mps:
        return values.float()
    return values.double()


def _of_one_shape(metric: object, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    long, short = (y_pred, y) if y_pred.ndim > y.ndim else (y, y_pred)
    if long.ndim == 2 and long.shape == (*short.shape, 1):
        return y_pred.reshape(-1), y.reshape(-1)
    raise ValueError(
        f"y_pred and y must be of one shape for {type(metric).__name__}, got {tuple(y_pred.shape)} "
        f"and {tuple(y.shape)}; choose them with output_transform"
    )
