"""MatthewsCorrCoef: the correlation of predicted and true labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.contingency import check_real, contingency, whole
from ignite_signals.metrics.epoch_metric import EpochMetric, gathered
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts

__all__ = ["MatthewsCorrCoef"]


class MatthewsCorrCoef(EpochMetric):
    """Keep all outputs, and measure the correlation of predicted and true labels: memory grows with the data.

    For two labels the value is (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN)); for more it is that
    of Gorodkin 2004 (https://doi.org/10.1016/j.compbiolchem.2004.09.006). It is 1 for full agreement, 0 for that
    of chance or where one side is the same label throughout, and at least -1.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`, or `(y_pred, y, sample_weight)`. Each of the
            first two holds labels, any whole numbers, of shape `(N,)` or `(N, 1)`, or scores `(N, C)`, of
            which the largest counts; `y` is of shape `(N, C)` only if `y_pred` is. `sample_weight`, of shape `(N,)`,
            says how much each sample counts; all batches of a window have it, or none.
        check_compute_fn: compute the value of the first batch of a window too, to warn early where it fails;
            this waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: a part is no tensor, or complex.
        ValueError: shapes do not fit; or, when it is computed, labels were not whole numbers, or not in `[0, C)` where
            `y_pred` holds scores, or a weight not finite.
        NotComputableError: `compute` was called before any sample was seen.

    >>> correlation = MatthewsCorrCoef()
    >>> correlation.update((torch.tensor([1, 1, 1, -1]), torch.tensor([1, -1, 1, 1])))
    >>> round(correlation.compute(), 4)
    -0.3333
    """

    required_output_keys = ("y_pred", "y", "sample_weight")
    optional_output_keys: ClassVar[tuple[str, ...]] = ("sample_weight",)
    _state_dict_all_req_keys: tuple[str, ...] = (*EpochMetric._state_dict_all_req_keys, "_weights")

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        super().__init__(
            _correlation,
            output_transform,
            check_compute_fn=check_compute_fn,
            device=device,
            skip_unrolling=skip_unrolling,
        )

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        self._weights: list[Tensor] = []

    def update(self, output: Any) -> None:
        """Keep `(y_pred, y)` or `(y_pred, y, sample_weight)`.

        Raises:
            TypeError: a part is no tensor, or complex.
            ValueError: shapes do not fit, or only some batches have weights.
        """
        y_pred, y, *weight = parts(self, output, "(y_pred, y) or (y_pred, y, sample_weight)", (2, 3))
        if self._predictions and bool(weight) != bool(self._weights):
            raise ValueError(f"sample_weight must be in all batches or in none until reset for {type(self).__name__}")
        for values in weight:
            self._check_weight(values, y)
        super().update((y_pred, y))
        self._weights += [self._copied(values) for values in weight]

    def _check_pair(self, y_pred: Tensor, y: Tensor) -> None:
        super()._check_pair(y_pred, y)
        check_real(self, y_pred, y)
        if y.ndim == 2 and y.shape != y_pred.shape:
            raise ValueError(
                f"y must hold labels of shape (N,), or be of the shape of y_pred, for {type(self).__name__}, "
                f"got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}"
            )

    def _check_weight(self, weight: Any, y: Any) -> None:
        if not (isinstance(weight, Tensor) and isinstance(y, Tensor)):
            raise TypeError(
                f"y_pred, y and sample_weight must be tensors for {type(self).__name__}, got a "
                f"{type(weight).__name__} as weights and a {type(y).__name__} as y; convert them with output_transform"
            )
        if weight.shape != y.shape[:1]:
            raise ValueError(
                f"sample_weight must be of shape (N,) for {type(self).__name__}, got {tuple(weight.shape)} and y "
                f"{tuple(y.shape)}"
            )

    def compute(self) -> float:
        """Return the correlation, in [-1, 1].

        Raises:
            NotComputableError: nothing was seen.
            ValueError: labels are not whole numbers, or not in `[0, C)`, or a weight is not finite.
        """
        (y_pred, y), weight = self._all(), self._all_weights()
        if y_pred.ndim == 1 and not whole(y_pred, y):
            raise ValueError(
                f"y_pred and y must be whole numbers for {type(self).__name__}, got others; "
                "choose labels with output_transform"
            )
        if y_pred.ndim == 2 and y.ndim == 1 and not (whole(y) and y.min() >= 0 and y.max() < y_pred.shape[1]):
            raise ValueError(
                f"y must be whole numbers in [0, {y_pred.shape[1]}) for {type(self).__name__}, as y_pred holds the "
                f"scores of {y_pred.shape[1]} classes, got others; choose labels with output_transform"
            )
        if weight is not None and not weight.isfinite().all():
            raise ValueError(f"sample_weight must be finite for {type(self).__name__}, got NaN or infinity")
        return float(self.compute_fn(y_pred, y) if weight is None else _correlation(y_pred, y, weight))

    def _all_weights(self) -> Tensor | None:
        weights = gathered(self._weights)
        return torch.cat(weights) if weights else None


def _correlation(y_pred: Tensor, y: Tensor, weight: Tensor | None = None) -> float:
    # As argmax, which takes no bools.
    y_pred, y = (values.max(dim=1).indices if values.ndim == 2 else values for values in (y_pred, y))
    counts = contingency(y_pred, y, weight)[1].to(sum_dtype(y_pred.device))
    # Shares instead of counts: the squares of many counts are not exact.
    shares = counts / counts.sum()
    true, predicted = shares.sum(dim=1), shares.sum(dim=0)
    covariance = shares.trace() - true.dot(predicted)
    variances = (1 - true.square().sum()) * (1 - predicted.square().sum())
    # Of one label throughout the variance is 0, or the little that rounding leaves.
    if counts.sum(dim=0).count_nonzero() < 2 or counts.sum(dim=1).count_nonzero() < 2:
        return 0.0
    return float((covariance / variances.sqrt()).item())
