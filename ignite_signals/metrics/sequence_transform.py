"""SequenceTransform: sequences of words as single words, so that a classification metric can count them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import attrs
from torch import Tensor

from ignite_signals.metrics.metric import unchanged

__all__ = ["SequenceTransform"]


def _indices(ignore_index: int | Iterable[int] | None) -> tuple[int, ...]:
    if ignore_index is None:
        return ()
    return tuple(ignore_index) if isinstance(ignore_index, Iterable) else (ignore_index,)


# A value, not a closure: it can be pickled, and metrics with equal transforms can share what they accumulate.
@attrs.frozen
class SequenceTransform:
    """Make single words of sequences, without the padding; an `output_transform`.

    Args:
        ignore_index: the class, or classes, to leave out where they are the target. How many samples
            remain must be known, so on a GPU leaving out waits for the device.
        output_transform: makes `(y_pred, y)` of the output first.

    Raises:
        ValueError: `y_pred` is not of shape `(N, S, C)`, or `y` not of shape `(N, S)`, when it is called.

    >>> import torch
    >>> y_pred, y = SequenceTransform(ignore_index=-100)((torch.zeros(1, 3, 2), torch.tensor([[0, 1, -100]])))
    >>> y_pred.shape, y
    (torch.Size([2, 2]), tensor([0, 1]))
    """

    ignore_index: tuple[int, ...] = attrs.field(default=None, converter=_indices)
    output_transform: Callable[[Any], Any] = unchanged

    def __call__(self, output: Any) -> tuple[Tensor, Tensor]:
        y_pred, y = self.output_transform(output)
        if y_pred.ndim != 3 or y_pred.shape[:2] != y.shape:
            raise ValueError(
                "y_pred must be of shape (N, S, C) and y of shape (N, S) for a sequence transform, got "
                f"{tuple(y_pred.shape)} and {tuple(y.shape)}; choose them with its output_transform"
            )
        y_pred, y = y_pred.flatten(0, 1), y.flatten()
        if not self.ignore_index:
            return y_pred, y
        kept = y != self.ignore_index[0]
        for index in self.ignore_index[1:]:
            kept &= y != index
        return y_pred[kept], y[kept]
