"""CalinskiHarabaszScore: the dispersion between clusters against that within them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.clustering.clusters import ClusteringMetric, clusters_of
from ignite_signals.metrics.metric import unchanged

__all__ = ["CalinskiHarabaszScore"]


class CalinskiHarabaszScore(ClusteringMetric):
    """Keep all outputs to measure the ratio of dispersion between and within clusters: memory grows with the data.

    The value is `(B / (K - 1)) / (W / (N - K))` for N samples in K clusters: B sums the squared distance of each
    sample's centroid from the mean of all, W that of each sample from its centroid. It is that of
    `sklearn.metrics.calinski_harabasz_score`: larger is better, and 1 where W is 0. It is NaN where it is not
    defined: unless there are at least 2 clusters, and fewer than samples.

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

    Source: T. Caliński and J. Harabasz, *A dendrite method for cluster analysis*, Communications in
    Statistics 3, 1974.

    >>> score = CalinskiHarabaszScore()
    >>> score.update((torch.tensor([[0.0], [2.0], [9.0], [11.0]]), torch.tensor([0, 0, 1, 1])))
    >>> score.compute()
    40.5
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(calinski_harabasz_score, output_transform, check_compute_fn, device, skip_unrolling)


def calinski_harabasz_score(features: Tensor, labels: Tensor) -> float:
    """Return the score of features `(N, D)` with labels `(N,)`."""
    clusters = clusters_of(features, labels)
    if not clusters.are_measurable:
        return math.nan
    sizes = clusters.sizes.unsqueeze(1)
    from_mean = clusters.centroids - (clusters.centroids * sizes).sum(0) / len(labels)
    between, within = torch.stack([(from_mean.square() * sizes).sum(), clusters.offsets.square().sum()]).tolist()
    if within == 0:
        return 1.0
    count = len(clusters.sizes)
    return float(between / (count - 1) / (within / (len(labels) - count)))
