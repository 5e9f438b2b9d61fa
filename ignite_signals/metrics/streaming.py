"""The base of the metrics that keep no outputs: a fixed state, where the values are."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.sync import agreed

__all__ = ["Streaming"]


class Streaming(Metric):
    """Accumulate into a state of fixed size that lives where the values are.

    A subclass names its state in `_reductions`, makes it in `_create`, begins `update` with

        if not self._placed:
            self._place(y_pred)

    accumulates, in place, without a read of any value, and adds to `_num_examples`. `_value`
    computes from the state, still unread. What is wrong with values that nobody has read is told
    by `_bad_input` once, when the window closes.
    """

    # The attributes of the state, with the operation that joins those of several processes.
    _reductions: ClassVar[dict[str, str]] = {"_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = ("_create", "_reductions")

    _num_examples: int
    _placed: bool
    # Whether a value that was given unread is NaN because of what was seen; outlives `reset`, till it is told.
    _refused: Tensor | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_state_dict_all_req_keys" not in vars(cls):
            cls._state_dict_all_req_keys = tuple(cls._reductions)

    def reset(self) -> None:
        """Forget what was seen."""
        super().reset()
        for name in self._reductions:
            setattr(self, name, None)
        self._num_examples = 0
        self._placed = False

    def _place(self, values: Tensor) -> None:
        """Make the state where the values are, or move what was loaded there."""
        # A state that was made in inference mode could not be updated outside of it.
        with torch.inference_mode(False):
            self._place_on(values.device if self._follows_values else self._device, values)
        self._placed = True

    def _place_on(self, device: torch.device, values: Tensor) -> None:
        if self._num_examples:
            for name in self._reductions:
                if isinstance(state := getattr(self, name), Tensor):
                    setattr(self, name, state.to(device))
        else:
            self._create(device, values)

    @abstractmethod
    def _create(self, device: torch.device, values: Tensor) -> None:
        """Make an empty state on a device, for values like these."""

    def load_state_dict(self, state_dict: Any) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key.
        """
        super().load_state_dict(state_dict)
        self._placed = False  # it may have been saved from another device

    @abstractmethod
    def _value(self) -> Any:
        """Return the value, a tensor, without a wait for the device."""

    def _bad_input(self) -> Tensor | None:
        """Return a boolean tensor without dimensions: was anything seen that is refused?"""
        return None

    def _complaint(self) -> str:
        """Say what was refused, what is taken, and the remedy."""
        raise NotImplementedError

    def _require_samples(self) -> None:
        # All processes together may count in a tensor, at an iteration, after which there is a sample.
        if isinstance(self._num_examples, int) and self._num_examples == 0:
            raise NotComputableError(
                f"{type(self).__name__} has seen no sample: it must be updated before it is computed"
            )

    def _kept(self, value: Any) -> Any:
        """Return a value that later updates, which are made in place, leave as it is."""
        return value.clone() if any(value is getattr(self, name) for name in self._reductions) else value

    def _unread(self) -> Any:
        with agreed(self, self._reductions):
            self._require_samples()
            value, bad = self._kept(self._value()), self._bad_input()
        if bad is None:
            return value
        self._refused = bad if self._refused is None else self._refused | bad
        return value.masked_fill(bad, math.nan) if value.is_floating_point() else value

    def refused(self) -> list[str]:
        if self._refused is None or not self._refused:
            return []
        bad = self._bad_input() if self._num_examples else None
        if bad is not None and bad:
            return [self._complaint()]
        complaint = f"{type(self).__name__} saw values that it does not take in a batch before the last"
        return [f"{complaint}; attach it epoch-wise, too, to learn which"]

    def forget_refused(self) -> None:
        self._refused = None

    @as_tensor_by(_unread)
    def compute(self) -> Any:
        """Return the value of what was seen: a number where it has no dimensions, else a tensor.

        Raises:
            NotComputableError: nothing was seen.
            ValueError: values were seen that the metric does not take.
        """
        with agreed(self, self._reductions):
            self._require_samples()
            bad = self._bad_input()
            if bad is not None and bad:
                raise ValueError(self._complaint())
            value = self._kept(self._value())
        return value.item() if isinstance(value, Tensor) and value.ndim == 0 else value
