"""What kind of classification a batch of predictions and targets is, told by their shapes."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from torch import Tensor

__all__ = ["Case", "Kind", "classify", "differs_from_0_and_1"]

Kind: TypeAlias = Literal["binary", "multiclass", "multilabel"]


class Case(NamedTuple):
    """Name a kind of classification and its number of classes."""

    kind: Kind
    num_classes: int


def classify(y_pred: Tensor, y: Tensor, is_multilabel: bool = False) -> Case:
    """Tell the kind of classification from the shapes of predictions and targets.

    Args:
        y_pred: `(N, C, ...)` scores of the classes, or `(N, ...)` or `(N, 1, ...)` zeros and ones.
        y: `(N, ...)` classes, or zeros and ones; `(N, C, ...)` zeros and ones if multilabel.
        is_multilabel: each of the C entries is a label of its own.

    Raises:
        TypeError: one of them is no tensor.
        ValueError: the shapes do not fit together.

    >>> import torch
    >>> classify(torch.rand(8, 10), torch.zeros(8))
    Case(kind='multiclass', num_classes=10)
    >>> classify(torch.zeros(8), torch.zeros(8))
    Case(kind='binary', num_classes=1)
    """
    if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor)):
        raise TypeError(
            f"y_pred and y must be tensors, got {type(y_pred).__name__} and {type(y).__name__}; "
            "convert them with output_transform"
        )
    if is_multilabel:
        return _multilabel(y_pred, y)
    if y_pred.shape == y.shape:
        return Case("binary", 1)
    if y_pred.ndim == y.ndim + 1 and y_pred.shape[:1] + y_pred.shape[2:] == y.shape:
        return Case("multiclass" if y_pred.shape[1] != 1 else "binary", y_pred.shape[1])
    raise ValueError(
        "y_pred must be of shape (N, C, ...) for a y of shape (N, ...), or both must be of one shape, "
        f"got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}"
    )


def _multilabel(y_pred: Tensor, y: Tensor) -> Case:
    if y_pred.shape != y.shape or y.ndim < 2 or y.shape[1] < 2:
        raise ValueError(
            "y_pred and y must be of one shape (N, C, ...) with C above 1 where is_multilabel, "
            f"got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}"
        )
    return Case("multilabel", y.shape[1])


def differs_from_0_and_1(values: Tensor) -> Tensor:
    """Return a boolean tensor without dimensions: does any value differ from 0 and 1?

    >>> import torch
    >>> differs_from_0_and_1(torch.tensor([0.0, 0.5]))
    tensor(True)
    """
    # Only 0 and 1 are their own squares; two passes over the values instead of the four of two comparisons.
    return (values * values != values).any()
