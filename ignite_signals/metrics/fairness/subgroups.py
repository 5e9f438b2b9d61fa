"""Subgroups of samples, named by numbers, and the outputs that tell each sample's own."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.output import parts

__all__ = ["checked_groups", "labelled", "positions"]


def checked_groups(groups: Sequence[Any]) -> tuple[Any, ...]:
    """Return the groups.

    Raises:
        TypeError: one is no number, as the labels in a tensor are.
        ValueError: there is none, or one twice.

    >>> checked_groups([0, 1])
    (0, 1)
    """
    groups = tuple(groups)
    if not all(isinstance(group, Real) for group in groups):
        raise TypeError(f"groups must be numbers, as the labels of a tensor are, got {list(groups)}")
    if not groups or len(set(groups)) != len(groups):
        raise ValueError(f"groups must hold at least one label, and each once, got {list(groups)}")
    return groups


def labelled(metric: object, output: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return `(y_pred, y, group_labels)`.

    Raises:
        TypeError: `output` does not hold three tensors, or the labels are complex.
        ValueError: they differ in their number of samples, or the labels are not of shape `(N,)`.
    """
    y_pred, y, group_labels = parts(metric, output, "(y_pred, y, group_labels)", (3,))
    if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor) and isinstance(group_labels, Tensor)):
        raise TypeError(
            f"y_pred, y and group_labels must be tensors for {type(metric).__name__}, got {type(y_pred).__name__}, "
            f"{type(y).__name__} and {type(group_labels).__name__}; convert them with output_transform"
        )
    if group_labels.is_complex():
        raise TypeError(f"group_labels must be real for {type(metric).__name__}, got {group_labels.dtype}")
    if not (group_labels.ndim == 1 and group_labels.shape == y.shape[:1] == y_pred.shape[:1]):
        raise ValueError(
            f"group_labels must be of shape (N,) for y_pred and y of N samples in {type(metric).__name__}, got "
            f"{tuple(group_labels.shape)}, {tuple(y_pred.shape)} and {tuple(y.shape)}"
        )
    return y_pred, y, group_labels


def positions(group_labels: Tensor, in_order: Tensor) -> Tensor:
    """Return where each label stands among the groups, and behind them all for a label that is none.

    Args:
        group_labels: `(N,)`.
        in_order: `(G,)`, the groups, ascending, in int64 or float64.

    >>> positions(torch.tensor([7, 3, 4]), torch.tensor([3, 7]))
    tensor([1, 0, 2])
    """
    # Labels that are not whole numbers in their own type, so that a float32's 0.1 is of the group 0.1.
    dtype = group_labels.dtype
    if not dtype.is_floating_point:
        dtype = torch.promote_types(dtype, in_order.dtype)
    group_labels, in_order = group_labels.to(dtype), in_order.to(dtype)
    found = torch.searchsorted(in_order, group_labels.contiguous())
    nearest = in_order.gather(0, found.clamp(max=len(in_order) - 1))
    return found.masked_fill_(nearest != group_labels, len(in_order))
