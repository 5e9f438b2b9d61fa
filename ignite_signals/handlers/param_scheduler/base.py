"""What all parameter schedulers have in common: at each call the next value is set."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ignite_signals.engine import Engine, Events
from ignite_signals.engine.integers import integer
from ignite_signals.extras import extra
from ignite_signals.handlers.checks import brief, check_engine
from ignite_signals.handlers.param_scheduler.history import History
from ignite_signals.handlers.param_scheduler.seen_epoch import SeenEpoch
from ignite_signals.handlers.param_scheduler.stand_in import new_optimizer, stand_in

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ignite_signals.engine.observable import AnyEvent

__all__ = ["BaseParamScheduler", "ParamScheduler"]

_EPOCH_STARTED = Events.EPOCH_STARTED  # an enum is slow to look up at each call


class BaseParamScheduler(ABC):
    """Give a parameter its next value at each call: the base of schedulers, of optimizers' and of the state's values.

    A subclass says in `get_param` what the value is at `event_index`.

    Args:
        param_name: the parameter's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.

    Attributes:
        param_name: the parameter's name.
        count: how often the scheduler was called, which is what a schedule goes by.
        event_index: the same, under PyTorch-Ignite's name; that of a `CyclicalScheduler` is the count in its cycle.
        save_history: whether values are kept.
        history: the lists that they are appended to.
        state_name: tells the state of one scheduler from another's, in what is saved with an engine.
    """

    def __init__(self, param_name: str, save_history: bool = False) -> None:
        if not isinstance(param_name, str) or not param_name:
            raise TypeError(f"param_name must be the name of a parameter, got {brief(param_name)}")
        self.param_name = param_name
        self.history = History()
        self.save_history = save_history
        self.count = 0
        self._seen_epoch = SeenEpoch()
        self._is_part = False
        # The engines to whose states is given at once what is loaded.
        self._engines: weakref.WeakSet[Engine] = weakref.WeakSet()

    @property
    def event_index(self) -> int:
        return self.count

    @event_index.setter
    def event_index(self, index: int) -> None:
        self.count = index

    @property
    def state_name(self) -> str:
        return self.param_name

    @abstractmethod
    def get_param(self) -> Any:
        """Return the value at `event_index`, or a list of the values of each parameter group."""

    def _get_param(self) -> Any:
        """Return the value that the next call sets: `get_param`, unless a class sees to some of the counts itself."""
        return self.get_param()

    def value_at(self, count: int) -> Any:
        """Return the value at a count, and stand there."""
        self.count = count
        return self._get_param()

    def __call__(self, engine: Engine | None, name: str | None = None) -> None:
        """Set the next value.

        Args:
            engine: whose state keeps the history.
            name: under which name, instead of `param_name`.
        """
        if engine is None:
            self._move(None)
            return
        is_epoch = engine.last_event_name is _EPOCH_STARTED and not self._is_part
        if is_epoch and self.count and self._seen_epoch.is_announced_again(engine):
            self.history.put_back(engine)
            return  # its value has been set already
        value = self._move(engine)
        if is_epoch:
            self._seen_epoch.note(engine)
        if self.save_history:
            self._remember(engine, name, value)

    def _move(self, engine: Engine | None) -> Any:
        """Set the next value, count it and return it."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__, which sets the next value")

    def _remember(self, engine: Engine, name: str | None, value: Any) -> None:
        """Let the history keep what was set."""
        self.history.append(engine, name or self.param_name, self._kept(value))

    def _kept(self, value: Any) -> Any:
        """Return what the history keeps of a value."""
        return value

    def become_part(self) -> None:
        """Leave the history, and the epochs that are announced again, to the scheduler that this one is a part of."""
        self.save_history, self._is_part = False, True

    def _attach(self, engine: Engine, event: AnyEvent) -> None:
        """Act at an event of an engine, and give what is loaded to its state."""
        check_engine(engine)
        self._know(engine)
        self._put_back_history()
        engine.add_event_handler(event, self)

    def _know(self, engine: Engine) -> None:
        """Remember an engine, without keeping it alive."""
        self._engines.add(engine)

    def _put_back_history(self) -> None:
        for engine in self._engines:
            self.history.put_back(engine)

    def parts(self) -> Iterator[BaseParamScheduler]:
        """Go over the scheduler and those that it is made of."""
        yield self

    def state_dict(self) -> dict[str, Any]:
        """Return where the schedule is, the epoch under way if it goes by epochs, and the history where one is kept."""
        state: dict[str, Any] = {"event_index": self.event_index}
        if epoch := self._seen_epoch.under_way():
            state["epoch"] = epoch
        return state | {"param_history": self.history.state_dict()} if self.save_history else state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where a schedule was; what the schedule is stays as it was given.

        Args:
            state_dict: what `state_dict` returned, here or in PyTorch-Ignite.

        Raises:
            TypeError: it is no mapping.
            ValueError: it does not say where the schedule was; nothing was changed.
        """
        self._check_state(state_dict, "event_index")
        self.event_index = integer("state_dict['event_index']", state_dict["event_index"], least=0)
        self._load_others(state_dict)

    def _check_state(self, state_dict: Any, *keys: str) -> None:
        """Refuse what is no state of such a scheduler."""
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                f"state_dict must be a mapping, as {type(self).__name__}.state_dict() returns, got {brief(state_dict)}"
            )
        for key in keys:
            if key not in state_dict:
                raise ValueError(f"state_dict must have {key!r}, got {list(state_dict)}")
        integer("state_dict['epoch']", state_dict.get("epoch", 0), least=0)
        if not isinstance(history := state_dict.get("param_history", {}), Mapping):
            raise TypeError(f"state_dict['param_history'] must map names to lists, got {brief(history)}")

    def _load_others(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what a state has beside the place in the schedule."""
        self._seen_epoch = SeenEpoch(state_dict.get("epoch", 0))
        if "param_history" in state_dict:
            self.history.load_state_dict(state_dict["param_history"])
            self._put_back_history()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_engines"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._engines = weakref.WeakSet()

    def _arguments(self) -> dict[str, Any]:
        """Return what `repr` shows between the name and the count."""
        return {}

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in (self._arguments() | {"count": self.count}).items()]
        return f"{type(self).__name__}({', '.join([repr(self.param_name), *shown])})"

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[Any]]:
        """Return pairs of a count and the value at it, `num_events` of them, without a training.

        Args:
            num_events: how many.
            scheduler_kwargs: what the scheduler is made with.
        """
        integer("num_events", num_events)
        scheduler = cls(**scheduler_kwargs)
        return [[count, scheduler.value_at(count)] for count in range(num_events)]

    @classmethod
    def plot_values(cls, num_events: int, **scheduler_kwargs: Any) -> Any:
        """Plot what `simulate_values` returns onto matplotlib's current axes.

        Args:
            num_events: how many values.
            scheduler_kwargs: what `simulate_values` is given.

        Returns:
            matplotlib's lines.

        Raises:
            ModuleNotFoundError: matplotlib is not installed.
        """
        pyplot = extra("matplotlib.pyplot", "plots", f"{cls.__name__}.plot_values")
        rows = cls.simulate_values(num_events, **scheduler_kwargs)
        values = [row[1:] for row in rows]
        lines = pyplot.plot([row[0] for row in rows], values, label=cls._labels(len(values[0]), scheduler_kwargs))
        pyplot.xlabel("events")
        pyplot.ylabel("value")
        pyplot.legend()
        return lines

    @classmethod
    def _labels(cls, number: int, scheduler_kwargs: Mapping[str, Any]) -> list[str]:
        """Name the lines of a plot."""
        name = scheduler_kwargs.get("param_name", "learning rate")
        return [name] if number == 1 else [f"{name}, group {index}" for index in range(number)]


class ParamScheduler(BaseParamScheduler):
    """Give a parameter of an optimizer its next value at each call: the base of its schedulers.

    Args:
        optimizer: or any object with `param_groups`.
        param_name: the parameter's key in the groups, such as "lr".
        save_history: also append each value to `engine.state.param_history[param_name]`.
        param_group_index: the one group to set; all by default.

    Raises:
        TypeError: the optimizer has no `param_groups`.
        ValueError: the optimizer lacks the group, or the group the parameter.
    """

    def __init__(
        self, optimizer: Optimizer, param_name: str, save_history: bool = False, param_group_index: int | None = None
    ) -> None:
        super().__init__(param_name, save_history)
        self.optimizer = optimizer
        self.param_group_index = param_group_index
        check_groups(optimizer, param_name, param_group_index)

    @property
    def state_name(self) -> str:
        return self.param_name if self.param_group_index is None else f"{self.param_name}/{self.param_group_index}"

    @property
    def optimizer_param_groups(self) -> list[dict[str, Any]]:
        """The groups whose parameter is set."""
        groups: list[dict[str, Any]] = self.optimizer.param_groups
        return groups if self.param_group_index is None else [groups[self.param_group_index]]

    def attach(self, engine: Engine, event: AnyEvent = Events.ITERATION_STARTED) -> None:
        """Set the next value at an event, as `engine.add_event_handler(event, scheduler)` does.

        A history that is loaded is put into the engine's state at once then, not by the next call only.
        """
        self._attach(engine, event)

    def _move(self, engine: Engine | None) -> Any:
        value, groups, name = self._get_param(), self.optimizer_param_groups, self.param_name
        if isinstance(value, list):
            self._set_each(groups, value)
        else:
            for group in groups:
                if type(group[name]) is float:  # as a rule, so it costs no more than that
                    group[name] = value
                else:
                    set_parameter(group, name, value)
        self.count += 1
        return value

    def _set_each(self, groups: list[dict[str, Any]], values: list[Any]) -> None:
        if len(values) != len(groups):
            raise ValueError(
                f"{type(self).__name__}.get_param must return one value for each of {len(groups)} parameter groups, "
                f"got {brief(values)}"
            )
        for group, value in zip(groups, values, strict=True):
            set_parameter(group, self.param_name, value)

    def _kept(self, value: Any) -> list[Any]:
        return list(value) if isinstance(value, list) else [value] * len(self.optimizer_param_groups)

    def _arguments(self) -> dict[str, Any]:
        return {} if self.param_group_index is None else {"param_group_index": self.param_group_index}

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[Any]]:
        """Return pairs of a count and the value at it, `num_events` of them, without a training.

        Args:
            num_events: how many.
            scheduler_kwargs: what the scheduler is made with. An optimizer need not be among it; one that is given is
                left alone.

        >>> from ignite_signals.handlers import LinearCyclicalScheduler
        >>> LinearCyclicalScheduler.simulate_values(4, param_name="lr", start_value=1.0, end_value=0.0, cycle_size=4)
        [[0, 1.0], [1, 0.5], [2, 0.0], [3, 0.5]]
        """
        integer("num_events", num_events)
        arguments = {
            name: value for name, value in scheduler_kwargs.items() if name not in ("optimizer", "save_history")
        }
        if "optimizer" in scheduler_kwargs:
            optimizer = stand_in(scheduler_kwargs["optimizer"])
        else:
            optimizer = new_optimizer(arguments.get("param_name", "lr"), arguments.get("param_group_index"))
        scheduler = cls(optimizer=optimizer, **arguments)
        return [[count, called(scheduler)[0]] for count in range(num_events)]


def called(scheduler: ParamScheduler) -> list[Any]:
    """Call a scheduler without an engine, and return what its groups have then."""
    scheduler(None)
    return values_of(scheduler.optimizer_param_groups, scheduler.param_name)


def values_of(groups: list[dict[str, Any]], name: str) -> list[Any]:
    """Return the values of a parameter in groups; of a tensor, the number that it is now."""
    values = [group[name] for group in groups]
    return [value.item() if isinstance(value, Tensor) and value.numel() == 1 else value for value in values]


def set_parameter(group: dict[str, Any], name: str, value: Any) -> None:
    """Set a parameter of a group; a tensor, as compiled optimizers have, stays the same tensor."""
    present = group[name]
    if isinstance(present, Tensor):
        present.fill_(value)
    elif isinstance(present, tuple | list) and not isinstance(value, tuple | list):
        raise TypeError(
            f"param_name must name a number, got {name!r}, which is {brief(present)}; {brief(value)} cannot replace it"
        )
    else:
        group[name] = value


def check_groups(optimizer: Any, name: str, index: int | None) -> None:
    """Refuse a group that an optimizer lacks, and a parameter that the group lacks."""
    groups = getattr(optimizer, "param_groups", None)
    if not isinstance(groups, list | tuple):
        raise TypeError(f"optimizer must have param_groups, as torch.optim.Optimizer does, got {brief(optimizer)}")
    number = len(groups)
    if index is not None and not -number <= integer("param_group_index", index, least=None) < number:
        groups_of = f"the optimizer's {number} parameter groups, 0 to {number - 1}"
        raise ValueError(f"param_group_index must be the index of one of {groups_of}, got {index!r}")
    for group in groups if index is None else [groups[index]]:
        if name not in group:
            known = [key for key in group if key != "params"]
            raise ValueError(
                f"param_name must be a parameter of the optimizer's groups, got {name!r}; there are "
                f"{', '.join(map(repr, known))}{_REMEDY if str(name).startswith(tuple(known)) else ''}"
            )


# For a name such as "lr (base)".
_REMEDY = "; one group is chosen by param_group_index, and its history named by ParamGroupScheduler(names=...)"
