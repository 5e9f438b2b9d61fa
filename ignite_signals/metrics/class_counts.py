"""What precision and recall are made of: for each class, how often it was predicted, true, and both."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from ignite_signals.metrics.classification import (
    Case,
    Classification,
    class_indices,
    no_class,
    not_0_or_1,
    num_not_0_or_1,
)
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged

__all__ = ["AverageOption", "ClassCounts", "Counts"]

AverageOption: TypeAlias = Literal["macro", "micro", "weighted", "samples"] | bool | None

_AVERAGES = ("macro", "micro", "weighted", "samples")


class Counts(NamedTuple):
    """For each class, int64 of shape `(C,)`."""

    true_positive: Tensor
    predicted: Tensor
    actual: Tensor


class ClassCounts(Classification):
    """Count for each class, so that all metrics of one class against the rest share one accumulation.

    The memory is that of three numbers for each class, whatever they are averaged by. Only the
    average over samples needs something else: the sum of each sample's precision, and of its recall.

    `_counts` tells the kind by its form:

    - `(3 C + 2,)` multiclass: for each class the wrong predictions of it, the right ones, and then how often it is
      the target, between two bins for targets that are no class;
    - `(3,)` binary: true positives, predicted, actual, of class 1;
    - `(3, C)` multilabel: the same, of each label;
    - `(2,)` where the average is over samples: the sums of precision and of recall, in float64.
    """

    _reductions: ClassVar[dict[str, str]] = {"_counts": "SUM", "_num_examples": "SUM", "_invalid": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(Classification._accumulates_by or ()),
        *("_per_sample", "_look_at", "_count_classes", "_count_positives"),
    )

    _counts: Tensor
    _invalid: Tensor

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        average: AverageOption = False,
        is_multilabel: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if not (average is None or isinstance(average, bool) or average in _AVERAGES):
            raise ValueError(f"average must be None, a bool, or one of {_AVERAGES}, got {average!r}")
        self._average = "macro" if average is True else average
        super().__init__(output_transform, is_multilabel=is_multilabel, device=device, skip_unrolling=skip_unrolling)

    @property
    def _per_sample(self) -> bool:
        return self._average == "samples"

    def _look_at(self, y_pred: Tensor, y: Tensor) -> Case:
        case = super()._look_at(y_pred, y)
        kind, num_classes = case
        if self._per_sample and kind != "multilabel":
            raise ValueError(
                f"average='samples' of {type(self).__name__} takes multilabel data only, got {kind} data; "
                "pass is_multilabel=True, or another average"
            )
        if kind == "multiclass":
            # What to add at each index; `index_add_` takes no number.
            device = y_pred.device if self._follows_values else self._device
            self._ones = torch.ones(self._batch_size, dtype=torch.int64, device=device)
            self._shape: tuple[int, ...] = (3 * num_classes + 2,)
        else:
            self._dtype = torch.promote_types(y_pred.dtype, y.dtype)
            self._flat = kind == "multilabel" or y_pred.ndim == y.ndim == 1
            # Of the stacked positives all dimensions but that of the labels.
            self._dims = 1 if kind == "binary" or y.ndim == 2 else [1, *range(3, y.ndim + 1)]
            self._exact = _exact_sum(self._dtype, self._batch_size)
            self._shape = (2,) if self._per_sample else (3,) if kind == "binary" else (3, num_classes)
        return case

    def _create(self, device: torch.device, values: Tensor) -> None:
        dtype = sum_dtype(device) if self._per_sample else torch.int64
        self._counts = torch.zeros(self._shape, dtype=dtype, device=device)
        self._invalid = torch.zeros((), dtype=torch.int64, device=device)

    def _place(self, values: Tensor) -> None:
        # Of a state that was loaded the kind is not known: an index must not reach beyond it.
        if self._num_examples and tuple(self._counts.shape) != self._shape:
            raise ValueError(
                f"y_pred and y must be of the kind and number of classes of the state that {type(self).__name__} "
                f"has loaded, with counts of shape {tuple(self._counts.shape)}, got some for {self._shape}; "
                "reset it first"
            )
        super()._place(values)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of real tensors.
            ValueError: their shapes do not fit, or the number of classes changed.
            RuntimeError: the kind changed between two batches.
        """
        y_pred, y, case = self._pair(output)
        if not self._batch_size:
            return
        if not self._placed:
            self._place(y_pred)
        if case.kind == "multiclass":
            self._count_classes(y_pred, y, case.num_classes)
        else:
            self._count_positives(y_pred, y)
        self._num_examples += self._batch_size

    def _count_classes(self, y_pred: Tensor, y: Tensor, num_classes: int) -> None:
        predicted, y = self._best(y_pred), class_indices(y)
        if y.ndim > 1:
            predicted, y = predicted.reshape(-1), y.reshape(-1)
        if not self._follows_values:
            predicted, y = predicted.to(self._device), y.to(self._device)
        self._counts.index_add_(0, torch.add(predicted, predicted == y, alpha=num_classes), self._ones)
        self._counts.index_add_(0, y.clamp(-1, num_classes).add_(2 * num_classes + 1), self._ones)

    def _count_positives(self, y_pred: Tensor, y: Tensor) -> None:
        # In one type first: what follows is several times as fast then. Only 0 and 1 become 0 and 1.
        if y_pred.dtype is not self._dtype:
            y_pred = y_pred.to(self._dtype)
        if y.dtype is not self._dtype:
            y = y.to(self._dtype)
        if not self._flat:
            y_pred, y = y_pred.reshape(-1), y.reshape(-1)
        positives = torch.stack((y_pred * y, y_pred, y))
        counts = _ratios(positives) if self._per_sample else positives.sum(self._dims, dtype=self._exact).long()
        if not self._follows_values:
            counts, positives = counts.to(self._device), positives.to(self._device)
        self._counts += counts
        if self._dtype is not torch.bool:
            self._invalid += num_not_0_or_1(positives)

    def _per_class(self) -> Counts:
        """Return the counts for each class; of binary data for both classes, unless `average=False`."""
        if self._is_multiclass():
            num_classes = self._num_classes()
            wrong, right = self._counts[: 2 * num_classes].view(2, -1)
            return Counts(right, wrong + right, self._counts[2 * num_classes + 1 : -1])
        counts = Counts(*self._counts.view(3, -1))
        if self._is_multilabel or self._average is False:
            return counts
        both, predicted, actual = counts
        rest = self._num_examples
        negatives = Counts(rest - predicted - actual + both, rest - predicted, rest - actual)
        return Counts(*(torch.cat(pair) for pair in zip(negatives, counts, strict=True)))

    def _value(self) -> Tensor:
        if self._per_sample:
            return self._sample_sum() / self._num_examples
        counts = self._per_class()
        both, of = counts.true_positive, self._of(counts)
        if self._average == "micro":
            return _ratio(both.sum(), of.sum())
        ratios = _ratio(both, of)
        if self._average == "macro":
            return ratios.mean()
        if self._average == "weighted":
            return (ratios * counts.actual).sum() / counts.actual.sum().clamp(min=1)
        return ratios[0] if len(ratios) == 1 else ratios

    @abstractmethod
    def _of(self, counts: Counts) -> Tensor:
        """Return the counts of which the true positives are a share."""

    @abstractmethod
    def _sample_sum(self) -> Tensor:
        """Return the sum over the samples, of those in `_counts`."""

    def _outer_bins(self) -> Tensor:
        """Count the targets that are no class."""
        return self._counts[2 * self._num_classes()] + self._counts[-1]

    def _num_classes(self) -> int:
        return (len(self._counts) - 2) // 3

    def _is_multiclass(self) -> bool:
        return self._counts.ndim == 1 and len(self._counts) > 3

    def _bad_input(self) -> Tensor:
        return (self._outer_bins() if self._is_multiclass() else self._invalid) > 0

    def _complaint(self) -> str:
        if self._is_multiclass():
            return no_class(self, self._num_classes(), f"{int(self._outer_bins())} others")
        return not_0_or_1(self)


def _exact_sum(dtype: torch.dtype, num_terms: int) -> torch.dtype | None:
    """Return a type in which as many ones are added exactly, the fastest one; None for that of torch."""
    if dtype is torch.float64 or not dtype.is_floating_point:
        return None
    return torch.float32 if num_terms <= 2**24 else torch.int64


def _ratios(positives: Tensor) -> Tensor:
    """Sum each sample's precision and recall; that of nothing is 0."""
    both, *of = positives.detach().sum(dim=2, dtype=sum_dtype(positives.device))
    return torch.stack([(both / whole.clamp_(min=1)).sum() for whole in of])


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """Return the share in float64, 0 of nothing."""
    return part.to(sum_dtype(part.device)) / whole.clamp(min=1)
