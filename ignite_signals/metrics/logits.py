"""What the metrics of probability distributions take: logits of shape (N, C, ...)."""

from __future__ import annotations

import math
from typing import Any

from torch import Tensor

from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.pairs import float_pair, wide

__all__ = ["MeanOverDistributions", "as_logits", "finite_log_softmax", "log_softmax", "num_distributions", "rows"]

# Of a class that a logit of -inf rules out, the probability is 0 and its logarithm this, so that
# the product of the two is 0 as it has to be, and not NaN.
_LOWEST_LOG = -1e4

# Over the last dimension torch's kernel for the CPU is ten times slower with less classes than this.
_FEW_CLASSES = 16


class MeanOverDistributions(MeanOverSamples):
    """Average a quantity of two distributions, both given by logits of shape `(N, C, ...)`."""

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors of real numbers.
            ValueError: their shapes differ, or are not `(N, C, ...)`.
        """
        y_pred, y = float_pair(self, output)
        if y_pred.ndim < 2 or y_pred.is_complex():
            as_logits(self, y_pred)
        if y_pred.dtype != y.dtype:
            y_pred, y = y_pred.double(), y.double()
        if not self._placed:
            self._place(y_pred)
        total = self._summed(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_examples += num_distributions(y_pred)


def as_logits(metric: object, values: Any) -> Tensor:
    """Return logits in a type in which a softmax is exact enough, without their gradient.

    Raises:
        TypeError: they are no tensor of real numbers; the message names the metric.
        ValueError: they are not of shape `(N, C, ...)`.

    >>> import torch
    >>> as_logits("", torch.zeros(2, 3, dtype=torch.float16)).dtype
    torch.float32
    """
    if not isinstance(values, Tensor) or values.is_complex():
        got = f"{values.dtype}" if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(
            f"y_pred must be a tensor of real numbers for {type(metric).__name__}, got {got}; "
            "convert it with output_transform"
        )
    if values.ndim < 2:
        raise ValueError(
            f"y_pred must be logits of shape (N, C) or (N, C, ...) for {type(metric).__name__}, "
            f"got {tuple(values.shape)}; choose them with output_transform"
        )
    return wide(values.detach())


def num_distributions(logits: Tensor) -> int:
    """Return how many distributions there are: one for each sample and place.

    >>> import torch
    >>> num_distributions(torch.zeros(2, 10, 4, 4))
    32
    """
    return len(logits) if logits.ndim == 2 else len(logits) * math.prod(logits.shape[2:])


def finite_log_softmax(logits: Tensor) -> Tensor:
    """Return the logarithms of the probabilities over the second dimension, finite for a probability of 0 too.

    >>> import torch
    >>> finite_log_softmax(torch.tensor([[2.0, float("-inf")]]))
    tensor([[     0., -10000.]])
    """
    return log_softmax(logits).clamp_(min=_LOWEST_LOG)


def log_softmax(logits: Tensor) -> Tensor:
    """Return `logits.log_softmax(1)`, by the way through memory that suits their layout.

    >>> import torch
    >>> log_softmax(torch.tensor([[0.0, 1000.0]]))
    tensor([[-1000.,     0.]])
    """
    if logits.ndim > 2:
        flat = rows(logits)
        if flat is None:
            return logits.log_softmax(1)
        return log_softmax(flat).view(len(logits), *logits.shape[2:], logits.shape[1]).movedim(-1, 1)
    if logits.is_cpu and logits.shape[1] < _FEW_CLASSES:
        return logits.t().contiguous().log_softmax(0).t()
    return logits.log_softmax(1)


def rows(logits: Tensor) -> Tensor | None:
    """Return logits of shape `(N, C, ...)` as `(N * ..., C)`, or None where that would copy them.

    It does not where classes lie side by side: in what a model of sequences returns, once transposed, and in images
    of the memory format `channels_last`.

    >>> import torch
    >>> rows(torch.zeros(2, 3, 5).transpose(1, 2)).shape
    torch.Size([6, 5])
    """
    last = logits.movedim(1, -1)
    return last.flatten(end_dim=-2) if last.is_contiguous() else None
