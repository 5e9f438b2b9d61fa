"""What schedulers that are made of others have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.arguments import sequence
from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler

__all__ = ["check_schedulers", "check_states", "load_all", "state_of_part"]


def check_schedulers(schedulers: Any) -> Sequence[Any]:
    """Refuse what is no list of schedulers of optimizers' parameters."""
    for index, scheduler in enumerate(sequence("schedulers", schedulers, "parameter schedulers")):
        if not isinstance(scheduler, BaseParamScheduler) or not hasattr(scheduler, "optimizer_param_groups"):
            raise TypeError(
                f"schedulers[{index}] must be a parameter scheduler of an optimizer, got {brief(scheduler)}"
            )
    return list(schedulers)


def state_of_part(scheduler: BaseParamScheduler) -> dict[str, Any]:
    """Return a part's state without a history, which the whole keeps."""
    return {key: value for key, value in scheduler.state_dict().items() if key != "param_history"}


def check_states(states: Any, number: int) -> list[Any]:
    """Refuse states that are not those of as many schedulers."""
    states = sequence("state_dict['schedulers']", states, "states of schedulers")
    if len(states) != number:
        raise ValueError(f"state_dict['schedulers'] must have the states of {number} schedulers, got {len(states)}")
    return list(states)


def load_all(schedulers: Sequence[BaseParamScheduler], states: Iterable[Any]) -> None:
    """Give each scheduler its state, or none of them."""
    before = [scheduler.state_dict() for scheduler in schedulers]
    try:
        for scheduler, state in zip(schedulers, states, strict=True):
            scheduler.load_state_dict(state)
    except BaseException:
        for scheduler, state in zip(schedulers, before, strict=True):
            scheduler.load_state_dict(state)
        raise
