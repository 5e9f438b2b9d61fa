"""The base of the measures of a clustering, and what they need to know of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ignite_signals.metrics.epoch_metric import EpochMetric
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged

__all__ = ["ClusteringMetric", "Clusters", "clusters_of"]


class ClusteringMetric(EpochMetric):
    """Keep all outputs, features and the labels of their clusters: memory grows with the data.

    Args:
        compute_fn: called with the features and the labels of a window.
        output_transform: makes `(features, labels)` of `engine.state.output`, of shapes `(N, D)` and `(N,)`, or
            a mapping with these keys.
        check_compute_fn: call `compute_fn` with the first batch of a window too. This waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.
    """

    required_output_keys = ("features", "labels")

    def __init__(
        self,
        compute_fn: Callable[[Tensor, Tensor], float],
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(compute_fn, output_transform, check_compute_fn, device, skip_unrolling)

    def _checked_shape(self, values: Any) -> Tensor:
        if not isinstance(values, Tensor):
            raise TypeError(
                f"features and labels must be tensors for {type(self).__name__}, got a {type(values).__name__}; "
                "convert them with output_transform"
            )
        if values.is_complex():
            raise TypeError(f"features and labels must be real for {type(self).__name__}, got {values.dtype}")
        return values

    def _check_pair(self, y_pred: Tensor, y: Tensor) -> None:
        if y_pred.ndim != 2 or y.shape != y_pred.shape[:1]:
            raise ValueError(
                f"features must be of shape (N, D) and labels of shape (N,) for {type(self).__name__}, "
                f"got {tuple(y_pred.shape)} and {tuple(y.shape)}"
            )

    def _arranged(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return both as they are: features of one column stay a column."""
        return y_pred, y

    def compute(self) -> float:
        """Return the measure of all samples; NaN unless there are at least 2 clusters, and fewer than samples.

        Raises:
            NotComputableError: nothing was seen.
            ValueError: a feature was not finite.
        """
        features, labels = self._all()
        if not features.isfinite().all():
            raise ValueError(
                f"features must be finite for {type(self).__name__}, got NaN or infinity; "
                "replace them with output_transform"
            )
        value: float = self.compute_fn(features, labels)
        return value


class Clusters(NamedTuple):
    """N samples in K clusters."""

    own: Tensor
    """The cluster of each sample, `(N,)`."""

    sizes: Tensor
    """How many samples a cluster has, `(K,)`."""

    centroids: Tensor
    """The mean of a cluster's features, `(K, D)`."""

    offsets: Tensor
    """The features of each sample less its cluster's centroid, `(N, D)`."""

    @property
    def are_measurable(self) -> bool:
        """Is there more than one cluster, and one with more than one sample?"""
        return 1 < len(self.sizes) < len(self.own)

    def summed(self, values: Tensor) -> Tensor:
        """Return the sum of the values, `(N, ...)`, of each cluster, `(K, ...)`."""
        return _summed(values, self.own, len(self.sizes))


def clusters_of(features: Tensor, labels: Tensor) -> Clusters:
    """Sort samples into clusters.

    Args:
        features: `(N, D)`.
        labels: `(N,)`, of any values.

    >>> clusters_of(torch.tensor([[1.0], [5.0], [3.0]]), torch.tensor([7, 9, 7])).centroids
    tensor([[2.],
            [5.]], dtype=torch.float64)
    """
    features = features.to(sum_dtype(features.device))
    kinds, index, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    sizes = counts.to(features.dtype)
    # Relative to a member, so that the offsets of equal samples are exactly 0, and no digits are lost far from 0.
    samples = torch.arange(len(index), device=index.device)
    member = torch.zeros_like(counts).scatter_reduce_(0, index, samples, "amin", include_self=False)
    from_member = features - features[member][index]
    mean = _summed(from_member, index, len(kinds)) / sizes.unsqueeze(1)
    return Clusters(index, sizes, features[member] + mean, from_member - mean[index])


def _summed(values: Tensor, index: Tensor, count: int) -> Tensor:
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, index, values)
