"""Numbers of a setting as a tensor, on a device that nobody waits for."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype

__all__ = ["constants"]


def constants(numbers: Sequence[float], device: torch.device) -> Tensor:
    """Return numbers as a tensor `(len(numbers),)`: of int64, or where one is no integer, of float64.

    They are filled in, where `torch.tensor` would be a copy to the device, which waits for it.

    >>> constants([3, True], torch.device("cpu")), constants([0.5, 1], torch.device("cpu")).dtype
    (tensor([3, 1]), torch.float64)
    """
    dtype = torch.int64 if all(isinstance(number, Integral) for number in numbers) else sum_dtype(device)
    values = torch.empty(len(numbers), dtype=dtype, device=device)
    for index, number in enumerate(numbers):
        values.narrow(0, index, 1).fill_(number)
    return values
