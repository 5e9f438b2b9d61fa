"""The forms of output that metrics take: a pair, or lists whose items belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Number
from typing import Any

import torch
from torch import Tensor

__all__ = ["described", "is_unrollable", "parts", "unroll"]


def is_unrollable(output: Any) -> bool:
    """Tell whether an output is a sequence of lists, all of tensors or numbers.

    >>> is_unrollable(([1, 2], [3, 4])), is_unrollable((torch.zeros(2), torch.zeros(2)))
    (True, False)
    """
    return (
        isinstance(output, tuple | list)
        and len(output) > 0
        and all(isinstance(part, tuple | list) and _holds_values(part) for part in output)
    )


def _holds_values(part: Sequence[Any]) -> bool:
    return all(isinstance(item, Tensor | Number) for item in part)


def unroll(output: Sequence[Sequence[Any]]) -> Iterator[tuple[Tensor, ...]]:
    """Yield the items that belong together, each as a batch of one.

    Raises:
        ValueError: the lists differ in length.

    >>> list(unroll(([1, 2], [3, 4])))
    [(tensor([1]), tensor([3])), (tensor([2]), tensor([4]))]
    """
    lengths = [len(part) for part in output]
    if len(set(lengths)) != 1:
        raise ValueError(
            f"the lists of an output must be of one length, got {lengths}; "
            "choose them with output_transform, or pass skip_unrolling=True"
        )
    for items in zip(*output, strict=True):
        yield tuple(torch.as_tensor(item).unsqueeze(0) for item in items)


def parts(metric: object, output: Any, form: str, counts: tuple[int, ...]) -> Sequence[Any]:
    """Return an output that has as many parts as a metric takes.

    A tensor is no sequence of parts, though it could be taken apart like one.

    Args:
        metric: who asks; the error names it.
        output: what the metric's `update` was given.
        form: how the output should look, for the error.
        counts: how many parts it may have.

    Raises:
        TypeError: it has other parts, or none.

    >>> parts("", (1, 2), "(y_pred, y)", (2,))
    (1, 2)
    """
    if isinstance(output, tuple | list) and len(output) in counts:
        return output
    raise TypeError(
        f"output must be {form} for {type(metric).__name__}, got {described(output)}; "
        "choose the parts with output_transform"
    )


def described(output: object) -> str:
    """Return what an output is, for an error: not its values, which may be many.

    >>> described((1, 2)), described({"y": 1}), described("text")
    ('a tuple of 2', "a dict with the keys ['y']", "'text' of type str")
    """
    if isinstance(output, tuple | list):
        return f"a {type(output).__name__} of {len(output)}"
    if isinstance(output, Mapping):
        return f"a {type(output).__name__} with the keys {list(output)}"
    return f"a {type(output).__name__}" if isinstance(output, Tensor) else f"{output!r} of type {type(output).__name__}"
