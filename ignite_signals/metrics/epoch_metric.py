"""EpochMetric: a function of all outputs of a window."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals import distributed
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.output import parts

__all__ = ["EpochMetric", "EpochMetricWarning", "gathered"]


class EpochMetricWarning(UserWarning):
    """Say that a function failed on the first batch of a window, and so may fail on all of them."""


class EpochMetric(Metric):
    """Keep all outputs of a window, and compute a function of them: memory grows with the data.

    The outputs stay where they are, on their device, as copies. In several processes each one computes the
    function of the outputs of all, in the order of their ranks.

    Args:
        compute_fn: called with all predictions and all targets, `(N,)` or `(N, C)` each.
        output_transform: makes `(y_pred, y)` of `engine.state.output`, of shapes `(N,)`, `(N, 1)` or `(N, C)`.
        check_compute_fn: call `compute_fn` with the first batch of a window that has a sample too, to warn early
            where it fails. If it reads values, this waits for the device.
        device: where to keep the outputs; by default where they are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `compute_fn` is not callable, or an output not a pair of tensors.
        ValueError: the shapes do not fit, or type or columns differ from those of the batches before.
        NotComputableError: `compute` was called before any sample was seen.

    >>> largest_error = EpochMetric(lambda y_pred, y: (y_pred - y).abs().max().item())
    >>> largest_error.update((torch.tensor([1.0, 2.0]), torch.tensor([1.5, 2.0])))
    >>> largest_error.update((torch.tensor([3.0]), torch.tensor([5.0])))
    >>> largest_error.compute()
    2.0
    """

    _state_dict_all_req_keys: tuple[str, ...] = ("_predictions", "_targets")
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        "_compute_fn_to_check",
        "_checked_shape",
        "_check_pair",
        "_arranged",
    )

    def __init__(
        self,
        compute_fn: Callable[[Tensor, Tensor], Any],
        output_transform: Callable[[Any], Any] = unchanged,
        check_compute_fn: bool = True,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if not callable(compute_fn):
            raise TypeError(f"compute_fn must be callable, got {compute_fn!r}")
        self.compute_fn = compute_fn
        self._check_compute_fn = check_compute_fn
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    @property
    def _compute_fn_to_check(self) -> Callable[[Tensor, Tensor], Any] | None:
        return self.compute_fn if self._check_compute_fn else None

    def reset(self) -> None:
        """Forget what was seen."""
        self._predictions: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._form: tuple[Any, ...] | None = None
        self._as_it_is = False
        self._tried = False

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key.
        """
        super().load_state_dict(state_dict)
        self._form = None  # what was loaded may be of another
        self._tried = bool(self._predictions)

    def update(self, output: Any) -> None:
        """Keep `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors.
            ValueError: their shapes do not fit, or are not those of the batches before, or their types.
        """
        y_pred, y = output if type(output) is tuple and len(output) == 2 else parts(self, output, "(y_pred, y)", (2,))
        try:
            form = y_pred.shape, y.shape, y_pred.dtype, y.dtype
        except AttributeError:  # no tensors, as the check will tell
            form = None
        # Batches of one run are of one form, up to the last: look at it when it changes.
        if form is None or form != self._form:
            self._check(y_pred, y)
            self._form = form
        if not self._as_it_is:
            y_pred, y = self._arranged(y_pred, y)
        self._predictions.append(self._copied(y_pred))
        self._targets.append(self._copied(y))
        if self._check_compute_fn and not self._tried and len(y):
            self._tried = True
            self._try_compute_fn(y_pred, y)

    def _check(self, y_pred: Any, y: Any) -> None:
        self._check_pair(self._checked_shape(y_pred), self._checked_shape(y))
        arranged = self._arranged(y_pred, y)
        if self._predictions:
            self._check_type("y_pred", arranged[0], self._predictions[0])
            self._check_type("y", arranged[1], self._targets[0])
        self._as_it_is = arranged[0] is y_pred and arranged[1] is y

    def _checked_shape(self, values: Any) -> Tensor:
        """Return a part of an output, `(N, 1)` as `(N,)`, if its shape is one that is taken."""
        if not isinstance(values, Tensor):
            raise TypeError(
                f"y_pred and y must be tensors for {type(self).__name__}, got a {type(values).__name__}; "
                "convert them with output_transform"
            )
        if values.ndim not in (1, 2):
            raise ValueError(
                f"y_pred and y must be of shape (N,) or (N, C) for {type(self).__name__}, got {tuple(values.shape)}"
            )
        return _squeezed(values)

    def _check_pair(self, y_pred: Tensor, y: Tensor) -> None:
        """Refuse two parts whose shapes are taken, but not together."""
        if len(y_pred) != len(y):
            raise ValueError(
                f"y_pred and y must have as many samples as each other for {type(self).__name__}, "
                f"got shapes {tuple(y_pred.shape)} and {tuple(y.shape)}"
            )

    def _check_type(self, name: str, values: Tensor, kept: Tensor) -> None:
        """Refuse what could not be joined with what is kept."""
        if values.dtype != kept.dtype:
            raise ValueError(
                f"{name} must keep the type {kept.dtype} until reset for {type(self).__name__}, got {values.dtype}"
            )
        if values.shape[1:] != kept.shape[1:]:
            raise ValueError(
                f"{name} must keep its shape but for the number of samples until reset for {type(self).__name__}, "
                f"got {tuple(values.shape)} after {tuple(kept.shape)}"
            )

    def _arranged(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return the two parts of an output in the shapes in which they are kept."""
        return _squeezed(y_pred), _squeezed(y)

    def _copied(self, values: Tensor) -> Tensor:
        """Return a copy, since the step may use the memory of its output again."""
        if values.requires_grad:
            values = values.detach()
        if self._follows_values and not values.is_mps:
            return values.clone()
        return values.to(self._device, copy=True)

    def _try_compute_fn(self, y_pred: Tensor, y: Tensor) -> None:
        try:
            self.compute_fn(self._copied(y_pred), self._copied(y))
        except Exception as error:  # noqa: BLE001 - whatever a user's function raises
            warnings.warn(
                f"compute_fn of {type(self).__name__} failed on the first batch, and may fail on all of them: "
                f"{type(error).__name__}: {error}; check_compute_fn=False does not try it",
                EpochMetricWarning,
                stacklevel=3,
            )

    def _all(self) -> tuple[Tensor, Tensor]:
        """Return all predictions and all targets, of all processes, as copies.

        Raises:
            NotComputableError: there is none.
        """
        predictions, targets = gathered(self._predictions), gathered(self._targets)
        if not any(map(len, predictions)):
            raise NotComputableError(
                f"{type(self).__name__} has seen no sample: it must be updated before it is computed"
            )
        return torch.cat(predictions), torch.cat(targets)

    def compute(self) -> Any:
        """Return what `compute_fn` returns for all outputs.

        Raises:
            NotComputableError: nothing was seen.
        """
        return self.compute_fn(*self._all())


def _squeezed(values: Tensor) -> Tensor:
    return values.squeeze(1) if values.ndim == 2 and values.shape[1] == 1 else values


def gathered(kept: list[Tensor]) -> list[Tensor]:
    """Return what all processes have kept, on one device; for one process that is `kept`."""
    # What was loaded may have been saved from another device.
    kept = [values.to(kept[-1].device) for values in kept]
    if distributed.get_world_size() == 1:
        return kept
    return distributed.gather_uneven(torch.cat(kept) if kept else None)
