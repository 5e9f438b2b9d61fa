"""CohenKappa: how far two raters agree beyond chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.contingency import (
    bin_of_label,
    check_counts,
    check_real,
    checked_num_classes,
    contingency,
    whole,
)
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.epoch_metric import EpochMetric
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.sync import agreed

__all__ = ["CohenKappa"]

Weights = Literal["linear", "quadratic"]

_WEIGHTS = (None, "linear", "quadratic")


class CohenKappa(EpochMetric):
    """Measure the agreement of labels beyond chance; keep all outputs, unless `num_classes` is given.

    The value is `1 - sum(w * observed) / sum(w * expected)`, where `observed` is the share of samples with each two
    labels, `expected` what it would be were they independent, and `w` how much these two labels
    disagree: 1 where they differ, or their distance ("linear") or its square ("quadratic"). It is 1 for full
    agreement, 0 for that of chance, and NaN where all labels are the same one (Cohen 1960,
    https://doi.org/10.1177/001316446002000104; weights: Cohen 1968, https://doi.org/10.1037/h0026256).

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`: whole numbers, each of shape `(N,)` or `(N, 1)`.
        weights: None, "linear" or "quadratic".
        check_compute_fn: compute the value of the first batch of a window too, to warn early where it fails;
            this waits for the device. With `num_classes` it does nothing.
        device: where to keep or count the labels; by default where they are.
        skip_unrolling: give lists to `update` as they are.
        num_classes: the labels are in `[0, num_classes)`; then they are only counted, and memory does not grow with
            the data. By default they may be any whole numbers.

    Raises:
        TypeError: `y_pred` or `y` is no real tensor.
        ValueError: `weights` or `num_classes` is none of those above; shapes do not fit; or, when it is
            computed, labels were not whole numbers, or no classes.
        NotComputableError: `compute` was called before any sample was seen.

    >>> kappa = CohenKappa()
    >>> kappa.update((torch.tensor([0, 0, 2, 2, 0, 2]), torch.tensor([2, 0, 2, 2, 0, 1])))
    >>> round(kappa.compute(), 4)
    0.4286
    """

    _state_dict_all_req_keys: tuple[str, ...] = (*EpochMetric._state_dict_all_req_keys, "_counts")
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(EpochMetric._accumulates_by or ()), "num_classes")

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        weights: Weights | None = None,
        check_compute_fn: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
        num_classes: int | None = None,
    ) -> None:
        if weights not in _WEIGHTS:
            raise ValueError(f"weights must be one of {_WEIGHTS}, got {weights!r}")
        self.weights = weights
        self.num_classes = None if num_classes is None else checked_num_classes(num_classes)
        super().__init__(
            partial(_kappa_of_labels, weights=weights),
            output_transform,
            check_compute_fn=check_compute_fn,
            device=device,
            skip_unrolling=skip_unrolling,
        )

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        # As `num_classes` rows and columns, and one around them for the labels that are no class.
        self._counts: Tensor | None = None
        self._placed = False

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key, or is that of a metric with another `num_classes`.
        """
        check_counts(self, state_dict, 0 if self.num_classes is None else (self.num_classes + 2) ** 2)
        if self.num_classes is not None and isinstance(state_dict, Mapping) and state_dict.get("_predictions"):
            raise ValueError(
                f"state_dict must be that of a {type(self).__name__} with num_classes={self.num_classes}, which "
                "counts, got that of one that keeps all outputs"
            )
        super().load_state_dict(state_dict)
        self._placed = False  # it may have been saved from another device

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of real tensors.
            ValueError: their shapes do not fit.
        """
        if self.num_classes is None:
            super().update(output)
        else:
            y_pred, y = parts(self, output, "(y_pred, y)", (2,))
            # What most outputs are is told by the fewest questions: this stands before every update.
            if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor) and y_pred.shape == y.shape and y.ndim == 1):
                y_pred, y = self._checked_shape(y_pred), self._checked_shape(y)
                super()._check_pair(y_pred, y)
            check_real(self, y_pred, y)
            self._count(y_pred, y, self.num_classes)

    def _checked_shape(self, values: Any) -> Tensor:
        labels = super()._checked_shape(values)
        if labels.ndim != 1:
            raise ValueError(
                f"y_pred and y must be labels of shape (N,) or (N, 1) for {type(self).__name__}, got "
                f"{tuple(labels.shape)}; take the argmax of scores with output_transform"
            )
        return labels

    def _check_pair(self, y_pred: Tensor, y: Tensor) -> None:
        super()._check_pair(y_pred, y)
        check_real(self, y_pred, y)

    def _count(self, y_pred: Tensor, y: Tensor, num_classes: int) -> None:
        if not self._placed:
            self._place(y.device, num_classes)
        index = torch.add(bin_of_label(y_pred, num_classes), bin_of_label(y, num_classes), alpha=num_classes + 2)
        index = index.add_(num_classes + 3)
        if not self._follows_values:
            index = index.to(self._device)
        self._counts.index_add_(0, index, torch.ones_like(index))  # type: ignore[union-attr]  # it is placed

    def _place(self, device: torch.device, num_classes: int) -> None:
        device = device if self._follows_values else self._device
        if self._counts is None:
            self._counts = torch.zeros((num_classes + 2) ** 2, dtype=torch.int64, device=device)
        self._counts = self._counts.to(device)
        self._placed = True

    def _counted(self, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return kappa, whether labels were seen that are no class, and how many samples there were, unread."""
        with agreed(self, {"_counts": "SUM"}):
            if self._counts is None:
                raise NotComputableError(_unseen(self))
            seen, counts = self._counts.sum(), self._counts.view(num_classes + 2, num_classes + 2)[1:-1, 1:-1]
        return _kappa(torch.arange(num_classes, device=counts.device), counts, self.weights), counts.sum() != seen, seen

    def _unread(self) -> Any:
        if self.num_classes is None:
            return self._of_all()
        kappa, bad, _ = self._counted(self.num_classes)
        return kappa.masked_fill(bad, math.nan)

    @as_tensor_by(_unread)
    def compute(self) -> float:
        """Return kappa, at most 1.

        Raises:
            NotComputableError: nothing was seen.
            ValueError: labels are not whole numbers, or no classes.
        """
        if self.num_classes is None:
            return self._of_all()
        kappa, bad, seen = self._counted(self.num_classes)
        if not seen:
            raise NotComputableError(_unseen(self))
        if bad:
            raise ValueError(
                f"y_pred and y must be whole numbers in [0, {self.num_classes}) for {type(self).__name__}"
                f"(num_classes={self.num_classes}), got others; choose labels with output_transform"
            )
        return float(kappa.item())

    def _of_all(self) -> float:
        y_pred, y = self._all()
        if not whole(y_pred, y):
            raise ValueError(
                f"y_pred and y must be whole numbers for {type(self).__name__}, got others; "
                "choose labels with output_transform"
            )
        return float(self.compute_fn(y_pred, y))


def _kappa_of_labels(y_pred: Tensor, y: Tensor, weights: Weights | None) -> float:
    return float(_kappa(*contingency(y_pred, y), weights).item())


def _kappa(labels: Tensor, counts: Tensor, weights: Weights | None) -> Tensor:
    """Return kappa of how often each two labels occur together."""
    observed = counts.to(sum_dtype(counts.device))
    observed = observed / observed.sum()
    expected = torch.outer(observed.sum(dim=1), observed.sum(dim=0))
    disagreement = _disagreement(labels.unsqueeze(0), labels.unsqueeze(1), weights).to(observed.dtype)
    return 1 - (disagreement * observed).sum() / (disagreement * expected).sum()


def _disagreement(labels: Tensor, others: Tensor, weights: Weights | None) -> Tensor:
    if weights is None:
        return labels != others
    distance = (labels.to(sum_dtype(labels.device)) - others).abs()
    return distance if weights == "linear" else distance.square()


def _unseen(metric: object) -> str:
    return f"{type(metric).__name__} has seen no sample: it must be updated before it is computed"
