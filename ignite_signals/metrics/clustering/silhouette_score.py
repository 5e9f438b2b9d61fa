"""SilhouetteScore: how much closer samples are to their own cluster than to the next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics.clustering.clusters import ClusteringMetric, Clusters, clusters_of
from ignite_signals.metrics.clustering.distances import DISTANCES, Distance, euclidean, minkowski
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged

__all__ = ["SilhouetteScore"]

# Distances that are held at a time: 128 MiB in float64.
_ENTRIES_AT_ONCE = 2**24


class SilhouetteScore(ClusteringMetric):
    """Keep all outputs to measure how well samples lie within their clusters: memory grows with the data.

    The value is the mean of `(b - a) / max(a, b)` over the samples, where `a` is a sample's mean distance from
    the others of its cluster and `b` that from the samples of the next cluster; a sample alone in its cluster
    counts as 0. It is that of `sklearn.metrics.silhouette_score`: from -1 to 1, larger is better. It is NaN where
    it is not defined: unless there are at least 2 clusters, and fewer than samples.

    It needs the distances of all pairs, so the time to compute it grows with the square of the samples.

    Args:
        output_transform: makes `(features, labels)` of `engine.state.output`, of shapes `(N, D)` and `(N,)`, or
            a mapping with these keys.
        check_compute_fn: compute the value of the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.
        silhouette_kwargs: what `sklearn.metrics.silhouette_score` takes:

            - "metric": "euclidean" (the default), "l2", "sqeuclidean", "cityblock", "l1", "manhattan",
              "chebyshev", "cosine", or "minkowski" with its "p";
            - "sample_size": of how many samples, drawn at random, to compute the value; by default of all;
            - "random_state": the seed to draw them by, 0 by default, so that all processes draw the same.
              Torch draws others than NumPy.

    Raises:
        TypeError: `features` or `labels` is no tensor of real numbers.
        ValueError: `silhouette_kwargs` has another key, or another metric; the shapes do not fit; told by `compute`:
            a feature is not finite.
        NotComputableError: `compute` was called before any sample was seen.

    Source: P. J. Rousseeuw, *Silhouettes: a graphical aid to the interpretation and validation of cluster
    analysis*, Journal of Computational and Applied Mathematics 20, 1987.

    >>> score = SilhouetteScore()
    >>> score.update((torch.tensor([[0.0], [1.0], [10.0], [11.0]]), torch.tensor([0, 0, 1, 1])))
    >>> round(score.compute(), 4)
    0.8997
    """

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
        silhouette_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        compute_fn = partial(silhouette_score, **_settings(**_known(silhouette_kwargs or {})))
        super().__init__(compute_fn, output_transform, check_compute_fn, device, skip_unrolling)


def _known(silhouette_kwargs: Mapping[str, Any]) -> Mapping[str, Any]:
    known = ("metric", "p", "sample_size", "random_state")
    if unknown := [key for key in silhouette_kwargs if key not in known]:
        raise ValueError(f"silhouette_kwargs takes {', '.join(known)} for SilhouetteScore, got {unknown}")
    return silhouette_kwargs


def _settings(
    metric: str = "euclidean", p: float | None = None, sample_size: int | None = None, random_state: int | None = None
) -> dict[str, Any]:
    if metric not in DISTANCES:
        raise ValueError(f"metric in silhouette_kwargs must be one of {', '.join(DISTANCES)}, got {metric!r}")
    if p is not None and (metric != "minkowski" or not p > 0):
        raise ValueError(f"p in silhouette_kwargs must be a positive number for metric='minkowski', got {p!r}")
    if sample_size is not None and (not isinstance(sample_size, int) or sample_size < 1):
        raise ValueError(f"sample_size in silhouette_kwargs must be a positive integer or None, got {sample_size!r}")
    distance = DISTANCES[metric] if p is None else partial(minkowski, p=p)
    return {"distance": distance, "sample_size": sample_size, "seed": random_state or 0}


def silhouette_score(
    features: Tensor, labels: Tensor, distance: Distance = euclidean, sample_size: int | None = None, seed: int = 0
) -> float:
    """Return the score of features `(N, D)` with labels `(N,)`, or of so many of them."""
    if sample_size is not None:
        drawn = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:sample_size]
        features, labels = features[drawn.to(features.device)], labels[drawn.to(labels.device)]
    clusters = clusters_of(features, labels)
    if not clusters.are_measurable:
        return math.nan
    features = features.to(sum_dtype(features.device))
    total = features.new_zeros(())
    step = max(1, _ENTRIES_AT_ONCE // len(labels))
    for start in range(0, len(labels), step):
        between = distance(features[start : start + step], features)
        between.diagonal(start).zero_()  # of a sample and itself
        total += _silhouettes(between, clusters.own[start : start + step], clusters).sum()
    return float(total / len(labels))


def _silhouettes(distances: Tensor, own: Tensor, clusters: Clusters) -> Tensor:
    """Return the values of some samples.

    Args:
        distances: from these samples to all, `(n, N)`.
        own: the clusters of these samples, `(n,)`.
        clusters: the clusters of all.
    """
    totals = clusters.summed(distances.T).T
    own = own.unsqueeze(1)
    # Alone in a cluster, a sample has no others: 0 / 0, and below 0 in place of NaN.
    within = totals.gather(1, own) / (clusters.sizes[own] - 1)
    next_best = (totals / clusters.sizes).scatter(1, own, math.inf).amin(dim=1, keepdim=True)
    return ((next_best - within) / torch.maximum(within, next_best)).nan_to_num()
