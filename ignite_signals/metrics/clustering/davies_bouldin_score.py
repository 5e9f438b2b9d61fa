"""DaviesBouldinScore: how wide clusters are against how far the most similar one is away."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.clustering.clusters import ClusteringMetric, clusters_of
from ignite_signals.metrics.clustering.distances import euclidean
from ignite_signals.metrics.metric import unchanged

__all__ = ["DaviesBouldinScore"]

# What scikit-learn takes for no distance at all.
_NOTHING = 1e-8


class DaviesBouldinScore(ClusteringMetric):
    """Keep all outputs to measure how similar each cluster is to the most similar one: memory grows with the data.

    The value is the mean over the clusters i of `max_j (s_i + s_j) / d_ij`, where `s_i` is the mean distance of
    a sample from its centroid and `d_ij` that of two centroids. It is that of `sklearn.metrics.davies_bouldin_score`:
    smaller is better, and 0 where all `s_i` or all `d_ij` are below 1e-8. It is NaN where it is not defined:
    unless there are at least 2 clusters, and fewer than samples.

    Args:
        output_transform: makes `(features, labels)` of `engine.state.output`, of shapes `(N, D)` and `(N,)`, or
            a mapping with these keys.
        check_compute_fn: compute the value of the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `features` or `labels` is no tensor of real numbers.
        ValueError: their shapes do not fit; told by `compute`: a feature is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    Source: D. L. Davies and D. W. Bouldin, *A cluster separation measure*, IEEE TPAMI 1, 1979.

    >>> score = DaviesBouldinScore()
    >>> score.update((torch.tensor([[0.0], [2.0], [10.0], [12.0]]), torch.tensor([0, 0, 1, 1])))
    >>> score.compute()
    0.2
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(davies_bouldin_score, output_transform, check_compute_fn, device, skip_unrolling)


def davies_bouldin_score(features: Tensor, labels: Tensor) -> float:
    """Return the score of features `(N, D)` with labels `(N,)`."""
    clusters = clusters_of(features, labels)
    if not clusters.are_measurable:
        return math.nan
    widths = clusters.summed(torch.linalg.vector_norm(clusters.offsets, dim=1)) / clusters.sizes
    apart = euclidean(clusters.centroids, clusters.centroids)
    if (widths <= _NOTHING).all() or (apart <= _NOTHING).all():
        return 0.0
    # Of centroids at one place no other is the most similar; so neither is a cluster to itself.
    similarities = (widths.unsqueeze(1) + widths) / apart.masked_fill(apart == 0, math.inf)
    return float(similarities.amax(dim=1).mean())
