"""A warm-up leads a learning rate from a small value to where a schedule begins."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import LRScheduler as TorchScheduler

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.arguments import finite
from ignite_signals.handlers.param_scheduler.base import ParamScheduler, values_of
from ignite_signals.handlers.param_scheduler.concat import ConcatScheduler, target
from ignite_signals.handlers.param_scheduler.lr_scheduler import LRScheduler
from ignite_signals.handlers.param_scheduler.param_group import ParamGroupScheduler
from ignite_signals.handlers.param_scheduler.piecewise_linear import PiecewiseLinear
from ignite_signals.handlers.param_scheduler.reduce_lr_on_plateau import ReduceLROnPlateauScheduler

if TYPE_CHECKING:
    AnyScheduler = ParamScheduler | ParamGroupScheduler

__all__ = ["create_lr_scheduler_with_warmup"]


def create_lr_scheduler_with_warmup(
    lr_scheduler: ParamScheduler | ParamGroupScheduler | TorchScheduler,
    warmup_start_value: float,
    warmup_duration: int,
    warmup_end_value: float | None = None,
    save_history: bool = False,
    output_simulated_values: list[Any] | None = None,
) -> ConcatScheduler:
    """Put a linear warm-up before a schedule.

    The first steps of a training are large and go astray, so they are made with small learning rates. Attach what it
    returns to `Events.ITERATION_STARTED`. The warm-up sets those groups that the schedule sets.

    Args:
        lr_scheduler: what follows the warm-up: a scheduler of this package, or one of torch's.
        warmup_start_value: the value at the first event.
        warmup_duration: how many events the warm-up has, with its start and its end; at least 2.
        warmup_end_value: the value at its last event; by default what each group of the optimizer has now. Where the
            schedule begins with this value, its first event is the last of the warm-up, so that the value is not set
            twice.
        save_history: also append each value to `engine.state.param_history["lr"]`.
        output_simulated_values: a list whose entries are replaced by as many of `ConcatScheduler.simulate_values`.

    Raises:
        TypeError: `lr_scheduler` is no scheduler, or `output_simulated_values` no list.
        ValueError: the duration or a value is out of its range, or the schedulers of a group are not of one optimizer
            and one parameter.

    >>> import torch
    >>> from torch.optim.lr_scheduler import ExponentialLR
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> values = [None] * 6
    >>> scheduler = create_lr_scheduler_with_warmup(
    ...     ExponentialLR(optimizer, 0.5), warmup_start_value=0.0, warmup_duration=3, output_simulated_values=values
    ... )
    >>> [value for _, value in values]
    [0.0, 0.05, 0.1, 0.05, 0.025, 0.0125]
    """
    scheduler = _handler(lr_scheduler)
    duration = integer("warmup_duration", warmup_duration, least=2)
    if not isinstance(output_simulated_values, list | None):
        raise TypeError(f"output_simulated_values must be a list, got {brief(output_simulated_values)}")
    optimizer, name = target([scheduler])
    groups = scheduler.optimizer_param_groups
    start = finite("warmup_start_value", warmup_start_value)
    ends = values_of(groups, name)
    if warmup_end_value is not None:
        ends = [finite("warmup_end_value", warmup_end_value)] * len(groups)
    indices = [_index(group, optimizer.param_groups) for group in groups]
    ramps = [
        PiecewiseLinear(optimizer, name, [(0, start), (duration - 1, end)], param_group_index=index)
        for index, end in zip(indices, ends, strict=True)
    ]
    schedulers = [ParamGroupScheduler(ramps), scheduler]
    durations = [duration - _begins_with(scheduler, ends)]
    if output_simulated_values:
        number = len(output_simulated_values)
        output_simulated_values[:] = ConcatScheduler.simulate_values(number, schedulers, durations)
    return ConcatScheduler(schedulers, durations, save_history)


def _handler(scheduler: Any) -> AnyScheduler:
    if isinstance(scheduler, TorchScheduler):
        return LRScheduler(scheduler)
    if not isinstance(scheduler, ParamScheduler | ParamGroupScheduler):
        raise TypeError(f"lr_scheduler must be a parameter scheduler or one of torch's, got {brief(scheduler)}")
    return scheduler


def _index(group: dict[str, Any], groups: list[dict[str, Any]]) -> int:
    return next(index for index, each in enumerate(groups) if each is group)


def _begins_with(scheduler: AnyScheduler, ends: list[float]) -> bool:
    """Tell whether a schedule begins with the last values of the warm-up."""
    if isinstance(scheduler, ReduceLROnPlateauScheduler):
        return False  # it goes on from what it finds
    values = _flat(scheduler.get_param())
    firsts = values * len(ends) if len(values) == 1 else values
    return all(math.isclose(first, end) for first, end in zip(firsts, ends, strict=True))


def _flat(values: Any) -> list[Any]:
    return [each for value in values for each in _flat(value)] if isinstance(values, list) else [values]
