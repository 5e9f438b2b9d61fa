"""Distances between all rows of two matrices."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

__all__ = ["DISTANCES", "Distance", "euclidean", "minkowski"]

Distance = Callable[[Tensor, Tensor], Tensor]


def minkowski(rows: Tensor, others: Tensor, p: float = 2.0) -> Tensor:
    """Return `(sum |a - b| ** p) ** (1 / p)` for each pair, `(N, M)` for `(N, D)` and `(M, D)`."""
    # Not by matrix products, which lose the digits of small distances.
    return torch.cdist(rows, others, p=p, compute_mode="donot_use_mm_for_euclid_dist")


def euclidean(rows: Tensor, others: Tensor) -> Tensor:
    """Return the length of the straight line for each pair.

    >>> euclidean(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    return minkowski(rows, others)


def squared_euclidean(rows: Tensor, others: Tensor) -> Tensor:
    """Return the square of the euclidean distance for each pair."""
    return euclidean(rows, others).square()


def cosine(rows: Tensor, others: Tensor) -> Tensor:
    """Return 1 - cos of the angle for each pair; 1 where a row is all zeros."""
    return (1 - _directions(rows) @ _directions(others).T).clamp(0, 2)  # rounding may go beyond


def _directions(rows: Tensor) -> Tensor:
    lengths: Tensor = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    return rows / lengths.masked_fill(lengths == 0, 1)


DISTANCES: dict[str, Distance] = {
    "chebyshev": partial(minkowski, p=float("inf")),
    "cityblock": partial(minkowski, p=1.0),
    "cosine": cosine,
    "euclidean": euclidean,
    "l1": partial(minkowski, p=1.0),
    "l2": euclidean,
    "manhattan": partial(minkowski, p=1.0),
    "minkowski": minkowski,
    "sqeuclidean": squared_euclidean,
}
"""The distances by the names that scikit-learn and SciPy give them."""
