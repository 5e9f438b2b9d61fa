"""Precision: the share of right predictions among those of a class."""

from __future__ import annotations

from torch import Tensor

from ignite_signals.metrics.class_counts import ClassCounts, Counts

__all__ = ["Precision"]


class Precision(ClassCounts):
    """Measure which share of the predictions of a class is right, TP / (TP + FP).

    Of a class that was never predicted it is 0. `Precision`, `Recall` and `Fbeta` of the same settings,
    but for `average`, are updated once where they are in one `MetricGroup` or expression. The kind is
    told by the shapes of `y_pred` and `y`:

    - multiclass: `(N, C, ...)` scores, of which the largest counts, and `(N, ...)` classes;
    - binary: zeros and ones of shape `(N, ...)` or `(N, 1, ...)`, and `(N, ...)`;
    - multilabel: zeros and ones of shape `(N, C, ...)`, both.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`; the place to round probabilities.
        average: how to make one number of those of the classes (or labels; binary data has the classes 0 and 1):

            - False: do not, the value is a tensor of shape `(C,)`; of binary data it is the number of class 1;
            - None: the same, but of binary data the value is that of both classes, `(2,)`;
            - True or "macro": their mean, over the classes that do not occur, too;
            - "weighted": their mean, each weighted by how often the class is the target;
            - "micro": of all classes together, which for data that is not multilabel is the accuracy;
            - "samples": the mean over the samples of each one's own precision, of multilabel data only.
        is_multilabel: each of the C entries is a label of its own.
        device: where to count; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no real tensor.
        ValueError: `average` is none of these, or is for multilabel data and the data is not; shapes do not fit,
            or the number of classes changed; or, told by `compute`, since `update` does not wait for the device,
            classes were not in [0, C), or values not 0 and 1 where they must be. A value that is not read is NaN then.
        RuntimeError: the kind changed between two batches.
        NotComputableError: `compute` was called before any sample was seen.

    The names and the averages are those of scikit-learn's
    `precision_recall_fscore_support <https://scikit-learn.org/stable/modules/model_evaluation.html>`_
    with all classes as `labels`.

    >>> import torch
    >>> y_pred, y = torch.eye(3)[[0, 0, 1, 0]], torch.tensor([0, 1, 1, 0])
    >>> precision, macro = Precision(), Precision(average="macro")
    >>> precision.update((y_pred, y))
    >>> precision.compute()
    tensor([0.6667, 1.0000, 0.0000], dtype=torch.float64)
    >>> macro.update((y_pred, y))
    >>> round(macro.compute(), 4)
    0.5556
    """

    def _of(self, counts: Counts) -> Tensor:
        return counts.predicted

    def _sample_sum(self) -> Tensor:
        return self._counts[0]
