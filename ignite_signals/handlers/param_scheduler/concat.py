"""ConcatScheduler: schedulers follow one another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.arguments import sequence
from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler, ParamScheduler, values_of
from ignite_signals.handlers.param_scheduler.composite import check_schedulers, check_states, load_all, state_of_part
from ignite_signals.handlers.param_scheduler.rehearsal import copies
from ignite_signals.handlers.param_scheduler.schedules import Chain

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.handlers.param_scheduler.param_group import ParamGroupScheduler

__all__ = ["ConcatScheduler", "target"]


class ConcatScheduler(ParamScheduler):
    """Let schedulers of one parameter follow one another, each for a number of events.

    Each begins at its own start when its turn comes, and the last one goes on for ever.

    Args:
        schedulers: at least two, of the same optimizer and the same parameter.
        durations: how many events each of them lasts but the last; one of 0 is passed over.
        save_history: also append each value to `engine.state.param_history[param_name]`.

    Attributes:
        schedulers: these.
        durations: these.

    Raises:
        TypeError: one of the schedulers is none, or the durations are no list or tuple.
        ValueError: there are too few schedulers, the durations are not one less, or one is no integer of at least 0, or
            the schedulers are of different optimizers or parameters.

    >>> import torch
    >>> from ignite_signals.handlers import CosineAnnealingScheduler, LinearCyclicalScheduler
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.1)
    >>> up = LinearCyclicalScheduler(optimizer, "lr", 0.0, 1.0, 8)
    >>> down = CosineAnnealingScheduler(optimizer, "lr", 1.0, 0.0, 4)
    >>> values = ConcatScheduler.simulate_values(7, schedulers=[up, down], durations=[4])
    >>> [round(value, 3) for _, value in values]
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.854, 0.5]
    """

    def __init__(
        self,
        schedulers: Sequence[ParamScheduler | ParamGroupScheduler],
        durations: Sequence[int],
        save_history: bool = False,
    ) -> None:
        self.schedulers: list[Any] = list(check_schedulers(schedulers))
        if len(self.schedulers) < 2:
            raise ValueError(f"schedulers must be at least 2, got {len(self.schedulers)}")
        self.durations = _checked_durations(durations, len(self.schedulers))
        optimizer, param_name = target(self.schedulers)
        # The last one's duration is of no account.
        self.schedule = Chain(list(zip([*self.durations, 1], self.schedulers, strict=True)))
        super().__init__(optimizer, param_name, save_history)
        for scheduler in self.schedulers:
            scheduler.become_part()

    @property
    def optimizer_param_groups(self) -> list[dict[str, Any]]:
        """The groups that were set last; before the first event, those that will be."""
        scheduler, _ = self.schedule.locate(max(self.count - 1, 0))
        groups: list[dict[str, Any]] = scheduler.optimizer_param_groups
        return groups

    def get_param(self) -> Any:
        scheduler, offset = self.schedule.locate(self.count)
        if offset and scheduler.count == offset:
            return scheduler._get_param()
        return copies([scheduler])[0].value_at(offset)  # it may have to move for that

    def value_at(self, count: int) -> Any:
        self.count = count
        scheduler, offset = self.schedule.locate(count)
        return scheduler.value_at(offset)

    def _move(self, engine: Engine | None) -> None:
        scheduler, offset = self.schedule.locate(self.count)
        if not offset or scheduler.count != offset:
            scheduler.value_at(offset)
        scheduler(engine)  # not `_set`: a scheduler may do more when it is called
        self.count += 1

    def _kept(self, value: Any) -> list[Any]:
        return values_of(self.optimizer_param_groups, self.param_name)

    def parts(self) -> Iterator[BaseParamScheduler]:
        yield self
        for scheduler in self.schedulers:
            yield from scheduler.parts()

    def state_dict(self) -> dict[str, Any]:
        states = [state_of_part(scheduler) for scheduler in self.schedulers]
        return super().state_dict() | {"schedulers": states}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._check_state(state_dict, "event_index", "schedulers")
        states = check_states(state_dict["schedulers"], len(self.schedulers))
        count = self._count_in(state_dict)
        load_all(self.schedulers, states)
        self.count = count
        self._load_others(state_dict)

    def _count_in(self, state_dict: Mapping[str, Any]) -> int:
        """Return the count in a state; PyTorch-Ignite's does not have it, but what is left of the present part."""
        if "_scheduler_index" not in state_dict:
            return integer("state_dict['event_index']", state_dict["event_index"], least=0)
        index, left = int(state_dict["_scheduler_index"]), int(state_dict["_current_duration"])
        durations = state_dict.get("durations", self.durations)
        duration = durations[index] if index < len(durations) else -1
        return self.schedule.begin(index) + duration - left

    def _arguments(self) -> dict[str, Any]:
        return {"schedulers": self.schedulers, "durations": self.durations}

    @classmethod
    def simulate_values(  # type: ignore[override]  # it is made of schedulers, not of an optimizer
        cls,
        num_events: int,
        schedulers: Sequence[ParamScheduler | ParamGroupScheduler],
        durations: Sequence[int],
        param_names: Sequence[str] | None = None,
    ) -> list[list[Any]]:
        """Return lists of a count and the values of each group at it, `num_events` of them, without a training.

        Schedulers and optimizers stay as they are; copies are made for it.

        Args:
            num_events: how many.
            schedulers: as of the class.
            durations: likewise.
            param_names: of which parameters, by default that of the schedulers.
        """
        integer("num_events", num_events)
        check_schedulers(schedulers)
        whole = cls(copies(schedulers), durations)
        names = [whole.param_name] if param_names is None else _checked_names(param_names)
        groups = list({id(group): group for part in whole.schedulers for group in part.optimizer_param_groups}.values())
        rows: list[list[Any]] = []
        for count in range(num_events):
            whole(None)
            rows.append([count, *(value for name in names for value in values_of(groups, name))])
        return rows

    @classmethod
    def _labels(cls, number: int, scheduler_kwargs: Mapping[str, Any]) -> list[str]:
        names = scheduler_kwargs.get("param_names") or [scheduler_kwargs["schedulers"][0].param_name]
        groups = number // len(names)
        return [name if groups == 1 else f"{name}, group {index}" for name in names for index in range(groups)]


def _checked_durations(durations: Any, number: int) -> list[int]:
    sequence("durations", durations, "integers")
    if len(durations) != number - 1:
        raise ValueError(
            f"durations must be one less than the {number} schedulers, got {len(durations)}: {brief(durations)}"
        )
    return [integer(f"durations[{index}]", duration, least=0) for index, duration in enumerate(durations)]


def _checked_names(names: Any) -> Sequence[str]:
    for name in sequence("param_names", names, "names"):
        if not isinstance(name, str):
            raise ValueError(f"param_names must be names of parameters, got {brief(name)}")  # noqa: TRY004  # as Ignite
    checked: Sequence[str] = names
    return checked


def target(schedulers: Sequence[Any]) -> tuple[Any, str]:
    """Return the optimizer and the parameter that all schedulers have in common."""
    parts = [part for scheduler in schedulers for part in scheduler.parts() if isinstance(part, ParamScheduler)]
    optimizers = {id(part.optimizer): part.optimizer for part in parts}
    names = {part.param_name: None for part in parts}
    if len(optimizers) != 1:
        raise ValueError(f"schedulers must be of one optimizer, got {len(optimizers)}")
    if len(names) != 1:
        raise ValueError(f"schedulers must be of one parameter, got {', '.join(map(repr, names))}")
    return parts[0].optimizer, parts[0].param_name
