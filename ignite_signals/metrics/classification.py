"""Binary, multiclass or multilabel: what a batch of predictions and targets is, told by their shapes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.sequence_transform import SequenceTransform
from ignite_signals.metrics.streaming import Streaming

__all__ = ["Case", "Classification", "Kind", "class_indices", "classify", "no_class", "not_0_or_1", "num_not_0_or_1"]

Kind: TypeAlias = Literal["binary", "multiclass", "multilabel"]


class Case(NamedTuple):
    """Name a kind of classification and its number of classes."""

    kind: Kind
    num_classes: int


def classify(metric: object, y_pred: Tensor, y: Tensor, is_multilabel: bool = False) -> Case:
    """Tell the kind of classification from the shapes of predictions and targets.

    Args:
        metric: who asks; the error names it.
        y_pred: `(N, C, ...)` scores of the classes, or `(N, ...)` or `(N, 1, ...)` zeros and ones.
        y: `(N, ...)` classes, or zeros and ones; `(N, C, ...)` zeros and ones if multilabel.
        is_multilabel: each of the C entries is a label of its own.

    Raises:
        TypeError: one of them is no tensor, or complex.
        ValueError: the shapes do not fit together.

    >>> import torch
    >>> classify("", torch.rand(8, 10), torch.zeros(8))
    Case(kind='multiclass', num_classes=10)
    >>> classify("", torch.zeros(8), torch.zeros(8))
    Case(kind='binary', num_classes=1)
    """
    if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor)):
        raise TypeError(
            f"y_pred and y must be tensors for {type(metric).__name__}, got {type(y_pred).__name__} and "
            f"{type(y).__name__}; convert them with output_transform"
        )
    if y_pred.is_complex() or y.is_complex():
        raise TypeError(
            f"y_pred and y must be real for {type(metric).__name__}, got {y_pred.dtype} and {y.dtype}; "
            "convert them with output_transform"
        )
    if is_multilabel:
        return _multilabel(metric, y_pred, y)
    if y_pred.shape == y.shape:
        return Case("binary", 1)
    if y_pred.ndim == y.ndim + 1 and y_pred.shape[:1] + y_pred.shape[2:] == y.shape and y_pred.shape[1] > 0:
        return Case("multiclass" if y_pred.shape[1] != 1 else "binary", y_pred.shape[1])
    raise ValueError(
        f"y_pred must be of shape (N, C, ...) for a y of shape (N, ...), or both of one shape, for "
        f"{type(metric).__name__}, got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}; "
        "choose them with output_transform"
    )


def _multilabel(metric: object, y_pred: Tensor, y: Tensor) -> Case:
    if y_pred.shape != y.shape or y.ndim < 2 or y.shape[1] < 2:
        raise ValueError(
            f"y_pred and y must be of one shape (N, C, ...) with C above 1 for {type(metric).__name__} with "
            f"is_multilabel=True, got y_pred {tuple(y_pred.shape)} and y {tuple(y.shape)}"
        )
    return Case("multilabel", y.shape[1])


class Classification(Streaming):
    """Take predictions and targets of one kind, which is told by the shapes and stays until `reset`.

    A subclass begins `update` with

        y_pred, y, case = self._pair(output)
        if not self._batch_size:
            return

    `_batch_size` is the number of samples, or of positions such as pixels and words where the shapes
    have more dimensions.
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "_is_multilabel")

    # The kind until reset, None before the first batch; and the form for which it was told last.
    _case: Case | None
    _form: tuple[Any, ...] | None
    _batch_size: int
    _few: bool
    _apart: bool

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        is_multilabel: bool = False,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        self._is_multilabel = bool(is_multilabel)
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    @staticmethod
    def get_sequence_transform(
        ignore_index: int | Iterable[int] | None = None, output_transform: Callable[[Any], Any] = unchanged
    ) -> SequenceTransform:
        """Return an `output_transform` that makes single words of sequences, without the padding.

        Scores of shape `(N, S, C)` and classes of shape `(N, S)` become `(M, C)` and `(M,)`.

        Args:
            ignore_index: the class, or classes, to leave out where they are the target. How many samples remain
                must be known, so on a GPU leaving out waits for the device; without it nothing waits.
            output_transform: makes `(y_pred, y)` of `engine.state.output` first.

        Raises:
            ValueError: the shapes are others, when it is called.
        """
        return SequenceTransform(ignore_index, output_transform)

    def reset(self) -> None:
        """Forget what was seen, and of which kind it was."""
        super().reset()
        self._case = self._form = None

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key.
        """
        super().load_state_dict(state_dict)
        self._case = self._form = None

    def _pair(self, output: Any) -> tuple[Tensor, Tensor, Case]:
        """Return `(y_pred, y)`, on one device, and of which kind they are."""
        y_pred, y = output if type(output) is tuple and len(output) == 2 else parts(self, output, "(y_pred, y)", (2,))
        # Batches of one run are of one form, up to the last: look at it when it changes.
        try:
            form = (y_pred.shape, y.shape, y_pred.dtype, y.dtype, y_pred.is_cpu, y.is_cpu)
        except AttributeError:
            form = None
        case = self._case
        if case is None or form is None or form != self._form:
            self._form = None  # a batch that is refused leaves the one before to be looked at again
            self._case = case = self._look_at(y_pred, y)
            self._form = form
        if y_pred.requires_grad:
            y_pred = y_pred.detach()
        if self._apart:
            y = y.to(y_pred.device)
        return y_pred, y, case

    def _look_at(self, y_pred: Tensor, y: Tensor) -> Case:
        """Tell the kind of a batch, and refuse it where it is not that of the batches before."""
        case, before = classify(self, y_pred, y, self._is_multilabel), self._case
        if before is not None and case.kind != before.kind:
            raise RuntimeError(
                f"y_pred and y must stay {before.kind} until reset for {type(self).__name__}, got {case.kind} ones"
            )
        if before is not None and case.num_classes != before.num_classes and case.kind != "binary":
            raise ValueError(
                f"y_pred must keep {before.num_classes} classes until reset for {type(self).__name__}, "
                f"got {case.num_classes}"
            )
        self._batch_size = y.numel() // (case.num_classes if case.kind == "multilabel" else 1)
        # On a CPU `argmax` is faster than `max` for few samples, and far slower for many; it takes no bools.
        self._few = self._batch_size < 256 and y_pred.dtype is not torch.bool
        self._apart = y.device != y_pred.device
        return case

    def _best(self, y_pred: Tensor) -> Tensor:
        """Return the class with the largest score, the first of several."""
        return y_pred.argmax(dim=1) if self._few else y_pred.max(dim=1)[1]


def not_0_or_1(metric: object) -> str:
    """Say what a metric takes where values are neither."""
    return (
        f"y_pred and y must be zeros and ones where they are binary or multilabel for {type(metric).__name__}, "
        "got other values; round probabilities with output_transform, or give scores of shape (N, C) for classes"
    )


def no_class(metric: object, num_classes: int, got: str) -> str:
    """Say what a metric takes where targets are no classes."""
    return (
        f"y must hold classes, whole numbers from 0 to {num_classes - 1}, for {type(metric).__name__}, got {got}; "
        "leave out what is no class, such as padding, with output_transform"
    )


def class_indices(y: Tensor) -> Tensor:
    """Return classes as int64, with -1 for what is no whole number.

    >>> class_indices(torch.tensor([2.0, 0.5]))
    tensor([ 2, -1])
    """
    if y.dtype is torch.int64:
        return y
    indices = y.long()
    return torch.where(y == indices, indices, -1) if y.is_floating_point() else indices


def num_not_0_or_1(values: Tensor) -> Tensor:
    """Return how many values are neither 0 nor 1, unread.

    >>> num_not_0_or_1(torch.tensor([0.0, 0.5, float("nan"), 1.0]))
    tensor(2)
    """
    # One pass for the test and one to count. Only 0 and 1 are their own squares.
    if values.is_floating_point():
        return torch.count_nonzero(torch.addcmul(values, values, values, value=-1))
    return torch.count_nonzero(values >> 1)
