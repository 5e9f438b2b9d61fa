"""Samples as vectors, and the distances of all pairs of them."""

from __future__ import annotations

from torch import Tensor

__all__ = ["as_vectors", "squared_distances", "squared_lengths"]


def as_vectors(metric: object, name: str, values: Tensor) -> Tensor:
    """Return samples of shape `(N, ...)` as `(N, D)`.

    Raises:
        TypeError: they are no real numbers; the message names the metric.
        ValueError: they have less than two dimensions.

    >>> import torch
    >>> as_vectors("", "y", torch.zeros(2, 3, 4)).shape
    torch.Size([2, 12])
    """
    if values.is_complex():
        raise TypeError(f"{name} must be real numbers for {type(metric).__name__}, got {values.dtype}")
    if values.ndim < 2:
        raise ValueError(
            f"{name} must be of shape (N, ...) with two dimensions at least for {type(metric).__name__}, "
            f"got {tuple(values.shape)}; choose it with output_transform"
        )
    return values.flatten(start_dim=1)


def squared_lengths(vectors: Tensor) -> Tensor:
    """Return `|x| ** 2` of vectors `(N, D)`, a tensor `(N,)`.

    >>> import torch
    >>> squared_lengths(torch.tensor([[3.0, 4.0]]))
    tensor([25.])
    """
    return (vectors * vectors).sum(dim=1)


def squared_distances(x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> Tensor:
    """Return `|x_i - y_j| ** 2` of all pairs, `(N, M)`, given the squared lengths of the vectors.

    By `|x| ** 2 + |y| ** 2 - 2 x.y`, which is fast and loses digits where vectors are long and near each other: put
    them around 0 first.

    >>> import torch
    >>> x, y = torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0]])
    >>> squared_distances(x, y, squared_lengths(x), squared_lengths(y))
    tensor([[1.],
            [4.]])
    """
    return (x_lengths.unsqueeze(1) + y_lengths).addmm_(x, y.t(), alpha=-2)
