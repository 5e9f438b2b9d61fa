"""How often two labels occur together, and how they may be counted without a look at any of them."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype

__all__ = ["bin_of_label", "check_counts", "check_real", "checked_num_classes", "contingency", "whole"]


def checked_num_classes(num_classes: Any) -> int:
    """Return a number of classes.

    Raises:
        ValueError: it is no integer, or below 2.

    >>> checked_num_classes(2)
    2
    """
    if not isinstance(num_classes, Integral) or int(num_classes) < 2:
        raise ValueError(f"num_classes must be an integer of at least 2, got {num_classes!r}")
    return int(num_classes)


def bin_of_label(labels: Tensor, num_classes: int) -> Tensor:
    """Return the labels as integers in `[-1, num_classes]`; the two outer ones stand for all that are no class.

    An index made of a label that is no class would reach into foreign memory, and to look for one
    would wait for the device. So these are counted beside the classes.

    >>> bin_of_label(torch.tensor([-100, 0, 2, 3, 255]), 3)
    tensor([-1,  0,  2,  3,  3])
    >>> bin_of_label(torch.tensor([1.0, 1.5, float("nan")]), 3)
    tensor([ 1, -1, -1])
    """
    if labels.is_floating_point():
        return labels.where(labels == labels.round(), -1).clamp(-1, num_classes).long()
    # Of an unsigned type -1 would be the largest number.
    return labels.long().clamp(-1, num_classes)


def whole(*labels: Tensor) -> bool:
    """Tell whether all labels are whole numbers; this reads them.

    >>> whole(torch.tensor([1, 2]), torch.tensor([1.0, -1.0])), whole(torch.tensor([0.5]))
    (True, False)
    """
    return all(
        not values.is_floating_point() or bool((values.isfinite() & (values == values.round())).all())
        for values in labels
    )


def check_real(metric: object, y_pred: Tensor, y: Tensor) -> None:
    """Refuse complex numbers, which have no order.

    Raises:
        TypeError: there are some.
    """
    if y_pred.is_complex() or y.is_complex():
        raise TypeError(
            f"y_pred and y must be real for {type(metric).__name__}, got {y_pred.dtype} and {y.dtype}; "
            "convert them with output_transform"
        )


def check_counts(metric: object, state_dict: Any, size: int) -> None:
    """Refuse counts of another number of classes: an index would reach beyond them, or to another class.

    Raises:
        ValueError: `state_dict` has counts, and not as many.
    """
    counts = state_dict.get("_counts") if isinstance(state_dict, Mapping) else None
    if counts is not None and counts.numel() != size:
        raise ValueError(
            f"state_dict must be that of a {type(metric).__name__} with the same num_classes, and have {size} counts, "
            f"got {counts.numel()}"
        )


def contingency(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Return the labels that occur, in order, and how often each two do: the targets' in rows.

    Args:
        y_pred: `(N,)` labels.
        y: `(N,)` labels.
        weight: `(N,)`, how much each sample counts; by default once.

    >>> contingency(torch.tensor([-1, 5, 5]), torch.tensor([-1, -1, 5]))
    (tensor([-1,  5]), tensor([[1, 1],
            [0, 1]]))
    """
    labels, positions = torch.unique(torch.cat([y_pred, y]), return_inverse=True)
    predicted, target = positions.chunk(2)
    index = target * len(labels) + predicted
    counted = torch.ones_like(index) if weight is None else weight.to(sum_dtype(weight.device))
    counts = counted.new_zeros(len(labels) ** 2).index_add_(0, index, counted)
    return labels, counts.view(len(labels), len(labels))
