"""ConfusionMatrix: how often each class was predicted for each class, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from ignite_signals.metrics.contingency import bin_of_label, check_counts, checked_num_classes
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.metrics_lambda import MetricsLambda
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.streaming import Streaming

__all__ = [
    "ConfusionMatrix",
    "DiceCoefficient",
    "IoU",
    "JaccardIndex",
    "cmAccuracy",
    "cmPrecision",
    "cmRecall",
    "mIoU",
]

Average = Literal["samples", "recall", "precision"]

_AVERAGES = (None, "samples", "recall", "precision")


class ConfusionMatrix(Streaming):
    """Count how often each class was predicted (columns) for each true class (rows).

    `y_pred` holds the scores of the classes, of shape `(N, C, ...)`, and the largest is the prediction; `y`
    the classes, integers of shape `(N, ...)`. A target outside of `[0, C)`, such as the 255 or -100 that marks
    what has no class in segmentation, is left out.

    Args:
        num_classes: C, the number of classes, at least 2.
        average: None counts, as int64. "samples" divides the counts by the number of samples, `N` of each batch;
            "recall" each row by its sum, so that the diagonal holds the recalls; and "precision" each column by
            its sum, so that it holds the precisions. These are float64. A class that never occurs has zeros.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to count; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no real tensor, or `y` does not hold integers.
        ValueError: an argument is none of those above, or shapes do not fit.
        NotComputableError: `compute` was called before any sample was seen.

    >>> matrix = ConfusionMatrix(num_classes=3)
    >>> matrix.update((torch.eye(3)[[1, 1, 0, 1, 1]], torch.tensor([0, 1, 0, 1, 2])))
    >>> matrix.compute()
    tensor([[1, 1, 0],
            [0, 2, 0],
            [0, 1, 0]])

    One score for two classes becomes two:

    >>> def two_scores(output):
    ...     y_pred, y = output
    ...     return torch.stack([1 - y_pred, y_pred], dim=1), y
    >>> from ignite_signals.engine import Engine
    >>> evaluator = Engine(lambda engine, batch: batch)
    >>> ConfusionMatrix(2, output_transform=two_scores).attach(evaluator, "matrix")
    >>> evaluator.run([(torch.tensor([0.1, 0.9, 0.8]), torch.tensor([0, 1, 0]))]).metrics
    {'matrix': tensor([[1, 1],
            [0, 1]])}
    """

    _reductions: ClassVar[dict[str, str]] = {"_counts": "SUM", "_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "num_classes")

    # For each target one row, with one before them and one behind for those that are left out.
    _counts: Tensor | None

    def __init__(
        self,
        num_classes: int,
        average: Average | None = None,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = True,
    ) -> None:
        if average not in _AVERAGES:
            raise ValueError(f"average must be one of {_AVERAGES}, got {average!r}")
        self.num_classes = checked_num_classes(num_classes)
        self.average = average
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._counts = torch.zeros((self.num_classes + 2) * self.num_classes, dtype=torch.int64, device=device)

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key, or is that of a metric with another `num_classes`.
        """
        check_counts(self, state_dict, (self.num_classes + 2) * self.num_classes)
        super().load_state_dict(state_dict)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of real tensors, or `y` does not hold integers.
            ValueError: their shapes do not fit.
        """
        y_pred, y = self._checked(output)
        if not self._placed:
            self._place(y_pred)
        # As argmax, which is slower on a CPU.
        predicted = y_pred.max(dim=1).indices
        index = torch.add(predicted, bin_of_label(y, self.num_classes), alpha=self.num_classes)
        index = index.add_(self.num_classes).flatten()
        if not self._follows_values:
            index = index.to(self._device)
        self._counts.index_add_(0, index, torch.ones_like(index))  # type: ignore[union-attr]  # it is placed
        self._num_examples += len(y)

    def _checked(self, output: Any) -> tuple[Tensor, Tensor]:
        y_pred, y = parts(self, output, "(y_pred, y)", (2,))
        tensors = isinstance(y_pred, Tensor) and isinstance(y, Tensor)
        if not tensors or y_pred.is_complex() or y.is_floating_point() or y.is_complex():
            raise TypeError(
                f"y_pred and y must be real tensors for {type(self).__name__}, and y of integers, got "
                f"{_kind(y_pred)} and {_kind(y)}; convert them with output_transform"
            )
        shape = y_pred.shape
        if len(shape) < 2 or shape[1] != self.num_classes or shape[:1] + shape[2:] != y.shape:
            raise ValueError(
                f"y_pred must be of shape (N, {self.num_classes}, ...) and y of shape (N, ...) for "
                f"{type(self).__name__}(num_classes={self.num_classes}), got {tuple(shape)} and {tuple(y.shape)}"
            )
        return y_pred, y

    @property
    def confusion_matrix(self) -> Tensor:
        """The counts so far, those of this process."""
        if self._counts is None:
            return torch.zeros(self.num_classes, self.num_classes, dtype=torch.int64, device=self._device)
        # A copy, since the next update changes the counts.
        return self._counts.view(self.num_classes + 2, self.num_classes)[1:-1].clone()

    def _value(self) -> Tensor:
        matrix = self.confusion_matrix
        if self.average is None:
            return matrix
        matrix = _wide(matrix)
        if self.average == "samples":
            return matrix / self._num_examples
        return self.normalize(matrix, self.average)

    @staticmethod
    def normalize(matrix: Tensor, average: str) -> Tensor:
        """Divide each row ("recall") or each column ("precision") of a matrix by its sum, where that is not 0.

        Raises:
            ValueError: `average` is neither.

        >>> ConfusionMatrix.normalize(torch.tensor([[3, 1], [0, 0]]), "recall")
        tensor([[0.7500, 0.2500],
                [0.0000, 0.0000]])
        """
        if average not in ("recall", "precision"):
            raise ValueError(f"average must be 'recall' or 'precision', got {average!r}")
        return _ratio(matrix, matrix.sum(dim=1 if average == "recall" else 0, keepdim=True))


def cmAccuracy(cm: ConfusionMatrix) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the share of right predictions by a confusion matrix.

    Args:
        cm: the matrix; it is left alone, and shared with what else is made of one.

    Raises:
        TypeError: `cm` is no metric.

    >>> accuracy = cmAccuracy(ConfusionMatrix(num_classes=2))
    >>> accuracy.update((torch.eye(2)[[0, 1, 1, 1]], torch.tensor([0, 0, 1, 1])))
    >>> accuracy.compute().item()
    0.75
    """
    return MetricsLambda(_accuracy, _metric(cm))


def cmPrecision(cm: ConfusionMatrix, average: bool = True) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the precision, TP / (TP + FP), by a confusion matrix.

    Args:
        cm: the matrix; it is left alone, and shared with what else is made of one.
        average: take the mean over the classes. A class that was never predicted has 0.

    Raises:
        TypeError: `cm` is no metric.

    >>> precision = cmPrecision(ConfusionMatrix(num_classes=2), average=False)
    >>> precision.update((torch.eye(2)[[0, 1, 1, 1]], torch.tensor([0, 0, 1, 1])))
    >>> precision.compute()
    tensor([1.0000, 0.6667], dtype=torch.float64)
    """
    return MetricsLambda(_precision, _metric(cm), average=average)


def cmRecall(cm: ConfusionMatrix, average: bool = True) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the recall, TP / (TP + FN), by a confusion matrix.

    Args:
        cm: the matrix; it is left alone, and shared with what else is made of one.
        average: take the mean over the classes. A class that never occurred has 0.

    Raises:
        TypeError: `cm` is no metric.

    >>> recall = cmRecall(ConfusionMatrix(num_classes=2), average=False)
    >>> recall.update((torch.eye(2)[[0, 1, 1, 1]], torch.tensor([0, 0, 1, 1])))
    >>> recall.compute()
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """
    return MetricsLambda(_recall, _metric(cm), average=average)


def IoU(cm: ConfusionMatrix, ignore_index: int | None = None) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the intersection over union of each class, TP / (TP + FP + FN), by a confusion matrix.

    This is the Jaccard index, `|A & B| / |A | B|`, of where a class is predicted and where it is
    (https://en.wikipedia.org/wiki/Jaccard_index). A class that is nowhere has 0.

    Args:
        cm: the matrix, with `average` None or "samples"; it is left alone, and shared with what else is made of one.
        ignore_index: a class that the value leaves out, such as the background. It still counts as a wrong
            prediction or target of the others.

    Raises:
        TypeError: `cm` is no `ConfusionMatrix`.
        ValueError: `ignore_index` is no class, or `cm` was normalized by rows or columns.

    >>> iou = IoU(ConfusionMatrix(num_classes=3))
    >>> iou.update((torch.eye(3)[[1, 1, 0, 1, 1]], torch.tensor([0, 1, 0, 1, 2])))
    >>> iou.compute()
    tensor([0.5000, 0.5000, 0.0000], dtype=torch.float64)
    """
    return MetricsLambda(_iou, _matrix(cm, ignore_index), ignore_index=ignore_index)


def mIoU(cm: ConfusionMatrix, ignore_index: int | None = None) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the mean over the classes of the intersection over union, by a confusion matrix.

    Args:
        cm: the matrix, with `average` None or "samples"; it is left alone, and shared with what else is made of one.
        ignore_index: a class that the mean leaves out, such as the background.

    Raises:
        TypeError: `cm` is no `ConfusionMatrix`.
        ValueError: `ignore_index` is no class, or `cm` was normalized by rows or columns.

    >>> miou = mIoU(ConfusionMatrix(num_classes=3), ignore_index=0)
    >>> miou.update((torch.eye(3)[[1, 1, 0, 1, 1]], torch.tensor([0, 1, 0, 1, 2])))
    >>> miou.compute().item()
    0.25
    """
    return IoU(cm, ignore_index).mean()  # type: ignore[no-any-return]  # a metric, as each method of a tensor makes


def JaccardIndex(cm: ConfusionMatrix, ignore_index: int | None = None) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the Jaccard index of each class, by a confusion matrix: another name of `IoU`.

    Args:
        cm: the matrix, with `average` None or "samples"; it is left alone, and shared with what else is made of one.
        ignore_index: a class that the value leaves out, such as the background.

    Raises:
        TypeError: `cm` is no `ConfusionMatrix`.
        ValueError: `ignore_index` is no class, or `cm` was normalized by rows or columns.

    >>> jaccard = JaccardIndex(ConfusionMatrix(num_classes=3), ignore_index=0)
    >>> jaccard.update((torch.eye(3)[[1, 1, 0, 1, 1]], torch.tensor([0, 1, 0, 1, 2])))
    >>> jaccard.compute()
    tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    return IoU(cm, ignore_index)


def DiceCoefficient(cm: ConfusionMatrix, ignore_index: int | None = None) -> MetricsLambda:  # noqa: N802  # PyTorch-Ignite's name
    """Measure the Dice coefficient of each class, 2 TP / (2 TP + FP + FN), by a confusion matrix.

    It is the F1 score of a class (https://en.wikipedia.org/wiki/Dice-Sorensen_coefficient). A class that is
    nowhere has 0.

    Args:
        cm: the matrix, with `average` None or "samples"; it is left alone, and shared with what else is made of one.
        ignore_index: a class that the value leaves out, such as the background. It still counts as a wrong
            prediction or target of the others.

    Raises:
        TypeError: `cm` is no `ConfusionMatrix`.
        ValueError: `ignore_index` is no class, or `cm` was normalized by rows or columns.

    >>> dice = DiceCoefficient(ConfusionMatrix(num_classes=3), ignore_index=0)
    >>> dice.update((torch.eye(3)[[1, 1, 0, 1, 1]], torch.tensor([0, 1, 0, 1, 2])))
    >>> dice.compute()
    tensor([0.6667, 0.0000], dtype=torch.float64)
    """
    return MetricsLambda(_dice, _matrix(cm, ignore_index), ignore_index=ignore_index)


def _accuracy(matrix: Tensor) -> Tensor:
    matrix = _wide(matrix)
    return _ratio(matrix.diagonal().sum(), matrix.sum())


def _precision(matrix: Tensor, average: bool) -> Tensor:
    matrix = _wide(matrix)
    precision = _ratio(matrix.diagonal(), matrix.sum(dim=0))
    return precision.mean() if average else precision


def _recall(matrix: Tensor, average: bool) -> Tensor:
    matrix = _wide(matrix)
    recall = _ratio(matrix.diagonal(), matrix.sum(dim=1))
    return recall.mean() if average else recall


def _iou(matrix: Tensor, ignore_index: int | None) -> Tensor:
    matrix = _wide(matrix)
    right = matrix.diagonal()
    return _without(ignore_index, _ratio(right, matrix.sum(dim=0) + matrix.sum(dim=1) - right))


def _dice(matrix: Tensor, ignore_index: int | None) -> Tensor:
    matrix = _wide(matrix)
    return _without(ignore_index, _ratio(2 * matrix.diagonal(), matrix.sum(dim=0) + matrix.sum(dim=1)))


def _wide(matrix: Tensor) -> Tensor:
    return matrix.to(sum_dtype(matrix.device))


def _ratio(part: Tensor, total: Tensor) -> Tensor:
    """Divide, and let nothing out of nothing be 0."""
    return (part / total).masked_fill(total == 0, 0.0)


def _without(index: int | None, values: Tensor) -> Tensor:
    return values if index is None else torch.cat([values[:index], values[index + 1 :]])


def _metric(cm: Any) -> Metric:
    if not isinstance(cm, Metric):
        raise TypeError(f"cm must be a ConfusionMatrix, got {cm!r}")
    return cm


def _matrix(cm: Any, ignored: Any) -> ConfusionMatrix:
    if not isinstance(cm, ConfusionMatrix):
        raise TypeError(f"cm must be a ConfusionMatrix, got {cm!r}")
    if cm.average not in (None, "samples"):
        raise ValueError(f"average of cm must be None or 'samples', so that its entries are counts, got {cm.average!r}")
    if ignored is not None and not (isinstance(ignored, Integral) and 0 <= int(ignored) < cm.num_classes):
        raise ValueError(f"ignore_index must be an integer in [0, {cm.num_classes}), got {ignored!r}")
    return cm


def _kind(value: Any) -> str:
    return str(value.dtype) if isinstance(value, Tensor) else type(value).__name__
