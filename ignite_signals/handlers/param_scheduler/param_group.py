"""ParamGroupScheduler: schedulers of several parameter groups, called as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Engine, Events
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import brief
from ignite_signals.handlers.param_scheduler.arguments import sequence
from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler, ParamScheduler, values_of
from ignite_signals.handlers.param_scheduler.composite import check_schedulers, check_states, load_all, state_of_part
from ignite_signals.handlers.param_scheduler.rehearsal import copies

if TYPE_CHECKING:
    from ignite_signals.engine.observable import AnyEvent

__all__ = ["ParamGroupScheduler"]


class ParamGroupScheduler(BaseParamScheduler):
    """Call several schedulers as one, of several groups, parameters or optimizers.

    Args:
        schedulers: at least one.
        names: under which names their histories are kept and plotted; by default those of their parameters. Schedulers
            of one name have one history, whose entries have the values of all of them.
        save_history: also append the values to `engine.state.param_history`.

    Attributes:
        schedulers: these.
        names: these.

    Raises:
        TypeError: one of the schedulers is none, or the names are no list or tuple.
        ValueError: there is no scheduler, or the names are not as many strings.

    >>> import torch
    >>> from ignite_signals.handlers import LinearCyclicalScheduler
    >>> groups = [{"params": [torch.zeros(1)]}, {"params": [torch.zeros(1)]}]
    >>> optimizer = torch.optim.SGD(groups, lr=0.1)
    >>> base = LinearCyclicalScheduler(optimizer, "lr", 0.0, 0.5, 4, param_group_index=0)
    >>> head = LinearCyclicalScheduler(optimizer, "lr", 0.0, 1.0, 4, param_group_index=1)
    >>> ParamGroupScheduler.simulate_values(3, schedulers=[base, head])
    [[0, 0.0, 0.0], [1, 0.25, 0.5], [2, 0.5, 1.0]]
    """

    def __init__(
        self,
        schedulers: Sequence[ParamScheduler],
        names: Sequence[str] | None = None,
        save_history: bool = False,
    ) -> None:
        self.schedulers: list[Any] = list(check_schedulers(schedulers))
        if not self.schedulers:
            raise ValueError(f"schedulers must be at least 1, got {brief(schedulers)}")
        self.names = _checked_names(names, self.schedulers)
        super().__init__("/".join(dict.fromkeys(scheduler.param_name for scheduler in self.schedulers)), save_history)
        for scheduler in self.schedulers:
            scheduler.become_part()

    @property
    def optimizer_param_groups(self) -> list[dict[str, Any]]:
        """The groups whose parameters are set."""
        return [group for scheduler in self.schedulers for group in scheduler.optimizer_param_groups]

    def attach(self, engine: Engine, event: AnyEvent = Events.ITERATION_STARTED) -> None:
        """Set the next values at an event, as `engine.add_event_handler(event, scheduler)` does.

        A history that is loaded is put into the engine's state at once then, not by the next call only.
        """
        self._attach(engine, event)

    def get_param(self) -> list[Any]:
        """Return the next value of each scheduler."""
        return [scheduler._get_param() for scheduler in self.schedulers]

    def value_at(self, count: int) -> list[Any]:
        self.count = count
        return [scheduler.value_at(count) for scheduler in self.schedulers]

    def _move(self, engine: Engine | None) -> None:
        for scheduler in self.schedulers:
            scheduler(engine)
        self.count += 1

    def _remember(self, engine: Engine, name: str | None, value: None) -> None:
        values: dict[str, list[Any]] = {}
        for each, scheduler in zip(self.names, self.schedulers, strict=True):
            values.setdefault(each, []).extend(values_of(scheduler.optimizer_param_groups, scheduler.param_name))
        for each, kept in values.items():
            self.history.append(engine, each, kept)

    def parts(self) -> Iterator[BaseParamScheduler]:
        yield self
        for scheduler in self.schedulers:
            yield from scheduler.parts()

    def state_dict(self) -> dict[str, Any]:
        named = zip(self.names, self.schedulers, strict=True)
        return super().state_dict() | {"schedulers": [(name, state_of_part(scheduler)) for name, scheduler in named]}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self._check_state(state_dict, "schedulers")
        named = check_states(state_dict["schedulers"], len(self.schedulers))
        names = [name for name, _ in named]
        if names != list(self.names):
            raise ValueError(f"state_dict['schedulers'] must have the states of {self.names}, got those of {names}")
        load_all(self.schedulers, [state for _, state in named])
        # PyTorch-Ignite's state does not have it.
        count = state_dict.get("event_index", self.schedulers[0].count)
        self.count = integer("state_dict['event_index']", count, least=0)
        self._load_others(state_dict)

    def _arguments(self) -> dict[str, Any]:
        return {"schedulers": self.schedulers}

    @classmethod
    def simulate_values(  # type: ignore[override]  # it is made of schedulers
        cls, num_events: int, schedulers: Sequence[ParamScheduler], **kwargs: Any
    ) -> list[list[Any]]:
        """Return lists of a count and the value of each scheduler at it, `num_events` of them, without a training.

        Schedulers and optimizers stay as they are; copies are made for it.

        Args:
            num_events: how many.
            schedulers: as of the class.
            kwargs: the other arguments of the class.
        """
        integer("num_events", num_events)
        check_schedulers(schedulers)
        whole = cls(copies(schedulers), **kwargs)
        rows = []
        for count in range(num_events):
            rows.append([count, *whole.get_param()])
            whole(None)
        return rows

    @classmethod
    def _labels(cls, number: int, scheduler_kwargs: Mapping[str, Any]) -> list[str]:
        names = scheduler_kwargs.get("names")
        return list(names or [scheduler.state_name for scheduler in scheduler_kwargs["schedulers"]])


def _checked_names(names: Any, schedulers: list[Any]) -> list[str]:
    if names is None:
        return [scheduler.param_name for scheduler in schedulers]
    for name in sequence("names", names, "names of schedulers"):
        if not isinstance(name, str):
            raise ValueError(f"names must be strings, got {brief(name)}")  # noqa: TRY004  # as in PyTorch-Ignite
    if len(names) != len(schedulers):
        raise ValueError(f"names must be as many as the {len(schedulers)} schedulers, got {len(names)}: {brief(names)}")
    return list(names)
