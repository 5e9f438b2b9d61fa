"""Cyclical schedulers: a value goes from a start to an end, again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.param_scheduler.arguments import finite
from ignite_signals.handlers.param_scheduler.base import ParamScheduler
from ignite_signals.handlers.param_scheduler.schedules import (
    Chain,
    Cycle,
    Cycles,
    Shape,
    cosine,
    linear,
    there_and_back,
)

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ["CosineAnnealingScheduler", "CyclicalScheduler", "LinearCyclicalScheduler"]


class CyclicalScheduler(ParamScheduler):
    """Give a parameter the values of a cycle, again and again: the base of such schedulers.

    A subclass says in `get_param` what the value is at `event_index` in the present cycle, which has `cycle_size`,
    `start_value` and `end_value`. It is not asked during a warm-up.

    Args:
        optimizer: or any object with `param_groups`.
        param_name: the parameter's key in the groups, such as "lr".
        start_value: the value at the start of the first cycle.
        end_value: the other value of the first cycle.
        cycle_size: how many events the first cycle has; at least 2.
        cycle_mult: by how much each cycle is longer than the one before. Sizes are rounded down, but not to 0.
        start_value_mult: what `start_value` is multiplied with after each cycle.
        end_value_mult: what `end_value` is multiplied with after each cycle.
        warmup_duration: how many events lead straight from the end of a cycle to the start of the next one; multiplied
            as the size is.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        param_group_index: the one group to set; all by default.

    Attributes:
        cycle: how many cycles were before the present one.
        event_index: the count in the present cycle and its warm-up.
        cycle_size, warmup_duration, start_value, end_value: those of the present cycle; in its warm-up `start_value` is
            that of the next one already.
        total_cycle_size: that of the cycle and its warm-up.

    Raises:
        TypeError: the optimizer has no `param_groups`.
        ValueError: the optimizer lacks the group, or the group the parameter, or a number is out of its range.

    >>> import torch
    >>> class Sawtooth(CyclicalScheduler):
    ...     def get_param(self):
    ...         return self.start_value + (self.end_value - self.start_value) * self.event_index / self.cycle_size
    >>> Sawtooth.simulate_values(5, param_name="lr", start_value=0.0, end_value=1.0, cycle_size=4)
    [[0, 0.0], [1, 0.25], [2, 0.5], [3, 0.75], [4, 0.0]]
    """

    # How the value goes from the start to the end of a cycle.
    _shape: Shape = staticmethod(linear)

    def __init__(
        self,
        optimizer: Optimizer,
        param_name: str,
        start_value: float,
        end_value: float,
        cycle_size: int,
        cycle_mult: float = 1.0,
        start_value_mult: float = 1.0,
        end_value_mult: float = 1.0,
        warmup_duration: int = 0,
        save_history: bool = False,
        param_group_index: int | None = None,
    ) -> None:
        super().__init__(optimizer, param_name, save_history, param_group_index)
        self.cycle_mult = finite("cycle_mult", cycle_mult)
        if self.cycle_mult <= 0:
            raise ValueError(f"cycle_mult must be greater than 0, got {cycle_mult!r}")
        self.start_value_mult = finite("start_value_mult", start_value_mult)
        self.end_value_mult = finite("end_value_mult", end_value_mult)
        self.schedule = Chain(
            Cycles(
                start=finite("start_value", start_value),
                end=finite("end_value", end_value),
                size=integer("cycle_size", cycle_size, least=2),
                shape=self._shape,
                size_mult=self.cycle_mult,
                start_mult=self.start_value_mult,
                end_mult=self.end_value_mult,
                warm_up=integer("warmup_duration", warmup_duration, least=0),
            )
        )

    def _present(self) -> tuple[Cycle, int]:
        """Return the cycle that the count lies in, and the count within it."""
        return self.schedule.locate(self.count)

    @property
    def event_index(self) -> int:
        return self._present()[1]

    @event_index.setter
    def event_index(self, index: int) -> None:
        self.count += index - self.event_index

    @property
    def cycle(self) -> int:
        return self._present()[0].number

    @property
    def cycle_size(self) -> int:
        return self._present()[0].ramp.length

    @property
    def warmup_duration(self) -> int:
        return self._present()[0].warm_up.length

    @property
    def total_cycle_size(self) -> int:
        return self.cycle_size + self.warmup_duration

    @property
    def start_value(self) -> float:
        cycle, _ = self._present()
        return cycle.warm_up.end if self._is_warming_up() else cycle.ramp.start

    @property
    def end_value(self) -> float:
        return self._present()[0].ramp.end

    def _is_warming_up(self) -> bool:
        return self.event_index >= self.cycle_size

    def _get_param(self) -> float:
        """Return the value of the warm-up, which a subclass need not know of, or else that of the subclass."""
        return self.schedule(self.count) if self._is_warming_up() else self.get_param()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"cycle": self.cycle}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._check_state(state_dict, "event_index", "cycle")
        cycle = integer("state_dict['cycle']", state_dict["cycle"], least=0)
        index = integer("state_dict['event_index']", state_dict["event_index"], least=0)
        self.count = self.schedule.begin(cycle) + index
        self._load_others(state_dict)

    def _arguments(self) -> dict[str, Any]:
        first: Any = self.schedule.parts
        shown = {"start_value": first.start, "end_value": first.end, "cycle_size": first.size}
        others = {
            "cycle_mult": (first.size_mult, 1.0),
            "start_value_mult": (first.start_mult, 1.0),
            "end_value_mult": (first.end_mult, 1.0),
            "warmup_duration": (first.warm_up, 0),
        }
        shown |= {name: value for name, (value, default) in others.items() if value != default}
        return shown | super()._arguments()


class _Shaped(CyclicalScheduler):
    """A cyclical scheduler whose schedule says all."""

    def get_param(self) -> float:
        return self.schedule(self.count)

    def _get_param(self) -> float:
        return self.get_param()  # without a look at where in the cycle that is


class LinearCyclicalScheduler(_Shaped):
    """Lead a parameter straight from one value to another and back, again and again.

    Args:
        args, kwargs: as of `CyclicalScheduler`. `end_value` is reached in the middle of a cycle.
        monotonic: reach `end_value` at the end of a cycle, where its warm-up or the next one begins.

    Raises:
        ValueError: there is a `warmup_duration`, but the cycles are not monotonic.

    Sources: L. N. Smith, "Cyclical learning rates for training neural networks", arXiv:1506.01186.

    >>> arguments = {"param_name": "lr", "start_value": 0.0, "end_value": 1.0, "cycle_size": 4}
    >>> [value for _, value in LinearCyclicalScheduler.simulate_values(6, **arguments)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.5]
    >>> [value for _, value in LinearCyclicalScheduler.simulate_values(6, **arguments, monotonic=True)]
    [0.0, 0.25, 0.5, 0.75, 0.0, 0.25]
    """

    def __init__(self, *args: Any, monotonic: bool = False, **kwargs: Any) -> None:
        self.monotonic = monotonic
        self._shape = linear if monotonic else there_and_back
        super().__init__(*args, **kwargs)
        if self.warmup_duration and not monotonic:
            raise ValueError(
                f"warmup_duration must be 0 unless monotonic=True, got {self.warmup_duration}: a cycle that is not "
                "monotonic ends where the next one begins"
            )

    def _arguments(self) -> dict[str, Any]:
        return super()._arguments() | ({"monotonic": True} if self.monotonic else {})


class CosineAnnealingScheduler(_Shaped):
    """Lead a parameter from one value to another along half a period of a cosine, again and again.

    Args:
        args, kwargs: as of `CyclicalScheduler`. `end_value` is reached at the end of a cycle, where its warm-up or the
            next one begins.

    Sources: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts", arXiv:1608.03983.

    >>> arguments = {"param_name": "lr", "start_value": 1.0, "end_value": 0.0, "cycle_size": 4}
    >>> [round(value, 3) for _, value in CosineAnnealingScheduler.simulate_values(6, **arguments)]
    [1.0, 0.854, 0.5, 0.146, 1.0, 0.854]
    """

    _shape = staticmethod(cosine)
