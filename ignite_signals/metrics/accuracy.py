"""Accuracy: the share of right predictions."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

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

__all__ = ["Accuracy", "ShareOfRight"]


class ShareOfRight(Classification):
    """Count the right predictions among all; a subclass says which are right.

    It shows the targets that must be classes to `_see`, and adds to `_invalid` how many values are
    not 0 and 1 where they must be. Of the targets the lowest and the highest are kept, which tell at
    the end whether all were classes.
    """

    _reductions: ClassVar[dict[str, str]] = {
        "_num_correct": "SUM",
        "_num_examples": "SUM",
        "_num_classes": "MAX",
        "_lowest": "MIN",
        "_highest": "MAX",
        "_invalid": "SUM",
    }
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Classification._accumulates_by or ()), "_num_right")

    _num_correct: Tensor
    _num_classes: int
    _lowest: Tensor
    _highest: Tensor
    _invalid: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        for name in ("_num_correct", "_lowest", "_highest", "_invalid"):
            setattr(self, name, torch.zeros((), dtype=torch.int64, device=device))

    def _look_at(self, y_pred: Tensor, y: Tensor) -> Case:
        case = super()._look_at(y_pred, y)
        loaded = self._num_classes if self._num_examples else case.num_classes
        if loaded != case.num_classes:
            raise ValueError(f"y_pred must keep {loaded} classes until reset for {type(self).__name__}, got {case}")
        self._num_classes = case.num_classes
        return case

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
        num_right = self._num_right(y_pred, y, case)
        self._num_correct += num_right if self._follows_values else num_right.to(self._device)
        self._num_examples += self._batch_size

    @abstractmethod
    def _num_right(self, y_pred: Tensor, y: Tensor, case: Case) -> Tensor:
        """Return how many predictions of a batch are right, unread."""

    def _see(self, y: Tensor) -> None:
        lowest, highest = y.aminmax()
        if not self._follows_values:
            lowest, highest = lowest.to(self._device), highest.to(self._device)
        torch.minimum(self._lowest, lowest, out=self._lowest)
        torch.maximum(self._highest, highest, out=self._highest)

    def _value(self) -> Tensor:
        return self._num_correct.to(sum_dtype(self._num_correct.device)) / self._num_examples

    def _no_class(self) -> Tensor:
        return (self._lowest < 0) | (self._highest >= self._num_classes)

    def _bad_input(self) -> Tensor:
        return self._no_class() | (self._invalid > 0)

    def _complaint(self) -> str:
        if self._no_class():
            return no_class(self, self._num_classes, f"some from {self._lowest} to {self._highest}")
        return not_0_or_1(self)


class Accuracy(ShareOfRight):
    """Measure the share of right predictions, binary, multiclass or multilabel.

    The accuracy is (TP + TN) / (TP + TN + FP + FN). A multilabel prediction is right if all of
    its labels are. The kind is told by the shapes of `y_pred` and `y`:

    - multiclass: `(N, C, ...)` scores, of which the largest counts, and `(N, ...)` classes;
    - binary: zeros and ones of shape `(N, ...)` or `(N, 1, ...)`, and `(N, ...)`;
    - multilabel: zeros and ones of shape `(N, C, ...)`, both.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`; the place to round probabilities.
        is_multilabel: each of the C entries is a label of its own.
        device: where to count; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no real tensor.
        ValueError: shapes do not fit, or the number of classes changed; or, told by `compute`, since `update`
            does not wait for the device, classes were not in [0, C), or values not 0 and 1 where they must be.
            A value that is not read is NaN then.
        RuntimeError: the kind changed between two batches.
        NotComputableError: `compute` was called before any sample was seen.

    >>> accuracy = Accuracy()
    >>> accuracy.update((torch.tensor([[0.9, 0.1], [0.2, 0.8]]), torch.tensor([0, 0])))
    >>> accuracy.compute()
    0.5
    >>> from ignite_signals.engine import Engine
    >>> evaluator = Engine(lambda engine, batch: batch)
    >>> Accuracy(lambda output: (output[0].round(), output[1])).attach(evaluator, "accuracy")
    >>> evaluator.run([(torch.tensor([0.2, 0.7, 0.9]), torch.tensor([0, 1, 0]))]).metrics
    {'accuracy': 0.6666666666666666}
    """

    def _num_right(self, y_pred: Tensor, y: Tensor, case: Case) -> Tensor:
        if case.kind == "multiclass":
            y = class_indices(y)
            self._see(y)
            return torch.count_nonzero(self._best(y_pred) == y)
        for values in (y_pred, y):
            if values.dtype is not torch.bool:
                count = num_not_0_or_1(values)
                self._invalid += count if self._follows_values else count.to(self._device)
        if case.kind == "binary":
            return torch.count_nonzero((y_pred if y_pred.shape == y.shape else y_pred.reshape(y.shape)) == y)
        # In a third of the time that `all` takes.
        return torch.count_nonzero((y_pred == y).sum(dim=1, dtype=torch.int32) == case.num_classes)
