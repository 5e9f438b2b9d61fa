"""Ranks, ties and inversions, by sorting: what correlations of ranks are made of."""

from __future__ import annotations

import torch
from torch import Tensor

from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.pairs import wide

__all__ = ["dense_ranks", "inversions", "mean_ranks", "tied_pairs"]


def dense_ranks(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return each value's rank among the different values, from 0, and how often each of these occurs.

    >>> dense_ranks(torch.tensor([0.5, 0.1, 0.5]))
    (tensor([1, 0, 1]), tensor([1, 2]))
    """
    if values.dtype is torch.bool or values.is_floating_point():
        values = wide(values)
    _, ranks, counts = torch.unique(values, return_inverse=True, return_counts=True)
    return ranks, counts


def mean_ranks(values: Tensor) -> Tensor:
    """Return each value's rank, from 1; equal values share the mean of theirs.

    >>> mean_ranks(torch.tensor([0.5, 0.1, 0.5]))
    tensor([2.5000, 1.0000, 2.5000], dtype=torch.float64)
    """
    ranks, counts = dense_ranks(values)
    highest = counts.cumsum(0)
    return (highest - (counts - 1).to(sum_dtype(values.device)) / 2)[ranks]


def tied_pairs(counts: Tensor) -> Tensor:
    """Return how many pairs of equal values there are, of how often each value occurs.

    >>> tied_pairs(torch.tensor([1, 2, 3]))
    tensor(4)
    """
    return (counts * (counts - 1)).sum() // 2


def inversions(ranks: Tensor) -> Tensor:
    """Count the pairs of which the earlier one is larger.

    Sorted neighbouring runs are merged, as in a merge sort, all pairs of runs at once; a value of the
    right run makes an inversion with each larger one of the left. It takes O(n log(n)^2) time and O(n) memory.
    After Knight, "A Computer Method for Calculating Kendall's Tau with Ungrouped Data", 1966,
    https://doi.org/10.1080/01621459.1966.10480879.

    Args:
        ranks: integers below N, of shape `(N,)`.

    >>> inversions(torch.tensor([2, 0, 1, 1]))
    tensor(3)
    """
    size = 1 << max(len(ranks) - 1, 0).bit_length()
    # What fills up to a power of two stands last and is largest, so it makes no inversion.
    runs = torch.cat((ranks, ranks.new_full((size - len(ranks),), len(ranks)))).view(size, 1)
    count = torch.zeros((), dtype=torch.int64, device=ranks.device)
    while len(runs) > 1:
        left, right = runs[0::2].contiguous(), runs[1::2].contiguous()
        not_larger = torch.searchsorted(left, right, right=True)
        count += right.numel() * right.shape[1] - not_larger.sum()
        runs = runs.view(len(runs) // 2, -1).sort(dim=1).values
    return count
