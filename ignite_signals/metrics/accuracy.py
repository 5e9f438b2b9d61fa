"""Accuracy: the share of right predictions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.classification import Case, Kind, classify, differs_from_0_and_1
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.output import parts

__all__ = ["Accuracy"]


class Accuracy(Metric):
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
        ValueError: shapes do not fit; values are not 0 and 1 where they must be (on a GPU this is told
            by `compute`, since `update` does not wait for the device, and a value that is not read is NaN);
            the number of classes changed.
        RuntimeError: the kind changed between two batches.
        NotComputableError: `compute` was called before any example was seen.

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

    _state_dict_all_req_keys = ("_num_correct", "_num_examples", "_invalid")

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        is_multilabel: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        self._is_multilabel = is_multilabel
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def reset(self) -> None:
        """Forget what was seen, and of which kind it was."""
        self._num_correct = torch.zeros((), dtype=torch.int64, device=self._device)
        self._num_examples = 0
        self._invalid: Tensor | None = None
        self._case: Case | None = None
        self._shapes: tuple[torch.Size, torch.Size] | None = None

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`."""
        y_pred, y = parts(self, output, "(y_pred, y)", (2,))
        kind = self._kind(y_pred, y)
        if kind == "multiclass":
            y_pred = y_pred.argmax(dim=1)
        else:
            self._check_values(y_pred, y)
        correct = _matches(y_pred, y)
        if kind == "multilabel":
            correct = correct.all(dim=1)
        self._num_correct = self._num_correct + self._moved(correct.sum())
        self._num_examples += correct.numel()

    def _kind(self, y_pred: Tensor, y: Tensor) -> Kind:
        # Batches of one run are of one shape, up to the last: look at it when it changes.
        if self._case is None or (y_pred.shape, y.shape) != self._shapes:
            case = classify(y_pred, y, self._is_multilabel)
            self._check_same(case)
            self._case, self._shapes = case, (y_pred.shape, y.shape)
        return self._case.kind

    def _check_same(self, case: Case) -> None:
        if self._case is None or case == self._case:
            return
        if case.kind != self._case.kind:
            raise RuntimeError(f"y_pred and y must stay {self._case.kind} until reset, got {case.kind} ones")
        raise ValueError(f"y_pred must keep {self._case.num_classes} classes until reset, got {case.num_classes}")

    def _check_values(self, *tensors: Tensor) -> None:
        for tensor in tensors:
            if tensor.dtype == torch.bool:
                continue
            invalid = differs_from_0_and_1(tensor)
            if tensor.is_cpu and invalid:
                raise ValueError(_NOT_0_AND_1)
            if not tensor.is_cpu:
                # To look at it here would make every iteration wait for the device.
                self._invalid = invalid if self._invalid is None else self._invalid | invalid

    def _ratio(self) -> Tensor:
        if self._num_examples == 0:
            raise NotComputableError("Accuracy has seen no example: it must be updated before it is computed")
        ratio = self._num_correct.to(self._float) / self._num_examples
        return ratio if self._invalid is None else ratio.masked_fill(self._invalid, math.nan)

    @as_tensor_by(_ratio)
    def compute(self) -> float:
        """Return the share of right predictions, in [0, 1].

        Raises:
            NotComputableError: nothing was seen.
            ValueError: values on a GPU were not 0 and 1.
        """
        ratio = float(self._ratio().item())
        if math.isnan(ratio):
            raise ValueError(_NOT_0_AND_1)
        return ratio


_NOT_0_AND_1 = (
    "y_pred and y must be zeros and ones where they are binary or multilabel, got other values; "
    "round probabilities with output_transform"
)


def _matches(y_pred: Tensor, y: Tensor) -> Tensor:
    """Compare entry by entry, in the shape of the targets and on the device of the predictions."""
    if y_pred.shape != y.shape:
        y_pred = y_pred.reshape(y.shape)
    return y_pred == (y if y.device == y_pred.device else y.to(y_pred.device))
