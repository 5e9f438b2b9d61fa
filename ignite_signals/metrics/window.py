"""A window that moves over images: the weighted mean of what it shows at each pixel."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["Window"]

# The side up to which one product with a matrix is faster than a sum of shifted images.
_LARGEST_MATRIX = 128

# Images may be of many sizes; what is kept for them must not grow without end.
_MOST_MATRICES = 12

Key: TypeAlias = tuple[int, int, torch.device, torch.dtype]


class Window:
    """Average images in a window around each pixel; the window is a product of one-dimensional ones.

    The images are mirrored at their borders, without repeating the outermost pixels.

    Args:
        sizes: how many pixels wide the window is in each dimension, odd numbers.
        sigmas: the standard deviations of a Gaussian window; None weighs all pixels alike.

    >>> Window((3, 1), None).means(torch.tensor([[[[0.0], [3.0], [9.0]]]])).flatten()
    tensor([2., 4., 5.])
    """

    def __init__(self, sizes: tuple[int, ...], sigmas: tuple[float, ...] | None) -> None:
        self.sizes = sizes
        self.sigmas = sigmas
        self._matrices: dict[Key, Tensor] = {}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Window):
            return NotImplemented
        return (self.sizes, self.sigmas) == (other.sizes, other.sigmas)

    def __hash__(self) -> int:
        return hash((self.sizes, self.sigmas))

    def __getstate__(self) -> dict[str, object]:
        return {**vars(self), "_matrices": {}}

    def means(self, images: Tensor) -> Tensor:
        """Return the weighted means, of the shape of the images, `(N, C, ...)`."""
        for axis in reversed(range(len(self.sizes))):
            side = images.shape[-1]
            images = self._by_matrix(images, axis) if side <= _LARGEST_MATRIX else self._by_shifts(images, axis)
            # The next axis becomes the last one; after as many turns as there are axes all are where they were.
            images = images.movedim(-1, 2)
        return images

    def _by_matrix(self, images: Tensor, axis: int) -> Tensor:
        key = (axis, images.shape[-1], images.device, images.dtype)
        matrix = self._matrices.get(key)
        if matrix is None:
            if len(self._matrices) >= _MOST_MATRICES:
                self._matrices.clear()
            matrix = self._matrices[key] = self._matrix(*key)
        return images @ matrix

    def _matrix(self, axis: int, side: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Return the matrix whose product with a row is the means along it."""
        return self._by_shifts(torch.eye(side, dtype=dtype, device=device), axis)

    def _by_shifts(self, images: Tensor, axis: int) -> Tensor:
        side, reach = images.shape[-1], self.sizes[axis] // 2
        mirrored = images.index_select(-1, _mirrored(side, reach, images.device))
        center, *outer = self._weights(axis)
        means = mirrored.narrow(-1, reach, side) * center
        for distance, weight in enumerate(outer, start=1):
            pair = mirrored.narrow(-1, reach - distance, side) + mirrored.narrow(-1, reach + distance, side)
            means.add_(pair, alpha=weight)
        return means

    def _weights(self, axis: int) -> list[float]:
        """Return the weight of the middle, and of each distance from it."""
        size = self.sizes[axis]
        if self.sigmas is None:
            return [1 / size] * (size // 2 + 1)
        half = [math.exp(-0.5 * (distance / self.sigmas[axis]) ** 2) for distance in range(size // 2 + 1)]
        total = half[0] + 2 * sum(half[1:])
        return [weight / total for weight in half]


def _mirrored(side: int, reach: int, device: torch.device) -> Tensor:
    """Return the indices of a row's entries, continued on both sides as a mirror would show them."""
    places = torch.arange(-reach, side + reach, device=device).abs_()
    return places.sub_(side - 1).abs_().sub_(side - 1).neg_()
