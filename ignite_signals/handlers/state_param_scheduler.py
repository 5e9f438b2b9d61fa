"""State schedulers give a value on the engine's state its next value at each event."""

from __future__ import annotations

import bisect
import warnings
import weakref
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Engine, Events
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import check_engine, check_name
from ignite_signals.handlers.param_scheduler.arguments import finite, sequence
from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler
from ignite_signals.handlers.param_scheduler.piecewise_linear import checked_milestones
from ignite_signals.handlers.param_scheduler.schedules import Chain, Decay, Milestones

if TYPE_CHECKING:
    from ignite_signals.engine.observable import AnyEvent

__all__ = [
    "ExpStateScheduler",
    "LambdaStateScheduler",
    "MultiStepStateScheduler",
    "PiecewiseLinearStateScheduler",
    "StateParamScheduler",
    "StepStateScheduler",
]


class StateParamScheduler(BaseParamScheduler):
    """Give an attribute of `engine.state` its next value at each event: the base of such schedulers.

    A subclass says in `get_param` what the value is after `event_index` events. A new attribute has the value for 0
    from the time of attaching on, so that a step may read it before the first event; `load_state_dict` gives it the
    value that it had.

    Args:
        param_name: the attribute's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        create_new: refuse to be attached where the state has such an attribute; otherwise it is overwritten, from the
            first event on.

    Attributes:
        create_new: as given.

    >>> class Square(StateParamScheduler):
    ...     def get_param(self):
    ...         return self.event_index**2
    >>> engine = Engine(lambda engine, batch: print(engine.state.size))
    >>> Square("size", create_new=True).attach(engine)
    >>> engine.run([0] * 3).size
    0
    1
    4
    9
    """

    def __init__(self, param_name: str, save_history: bool = False, create_new: bool = False) -> None:
        super().__init__(param_name, save_history)
        self.create_new = create_new
        self._last_engine: Callable[[], Engine | None] = _nothing

    def attach(self, engine: Engine, event: AnyEvent = Events.ITERATION_COMPLETED) -> None:
        """Set the next value at an event of an engine.

        Warns if the state has no such attribute and `create_new` does not ask for one: the name may be misspelt.

        Args:
            engine: whose state has the attribute.
            event: when to set it.

        Raises:
            TypeError: `engine` is no engine.
            ValueError: the name is no identifier, or a field or a count of the state; or the state has the attribute,
                with `create_new`.
        """
        check_engine(engine)
        check_name(self.param_name, engine, argument="param_name")
        exists = hasattr(engine.state, self.param_name)
        if exists and self.create_new:
            raise ValueError(
                f"param_name must be new to engine.state with create_new=True, got {self.param_name!r}, which it has; "
                "choose another name, or give create_new=False to overwrite it"
            )
        if not exists and not self.create_new:
            warnings.warn(
                f"engine.state has no {self.param_name!r} yet, so {type(self).__name__} creates it; give "
                "create_new=True if that is what you want",
                stacklevel=2,
            )
        if not exists or self.event_index:
            setattr(engine.state, self.param_name, self.get_param())
        self._attach(engine, event)

    @abstractmethod
    def get_param(self) -> Any:
        """Return the value after `event_index` events."""

    def _move(self, engine: Engine | None) -> Any:
        """Count the event, and set the value after it."""
        if engine is not None and self._last_engine() is not engine:
            self._meet(engine)
        self.count += 1
        value = self.get_param()
        if engine is not None:
            setattr(engine.state, self.param_name, value)
        return value

    def _meet(self, engine: Engine) -> None:
        """Know an engine that it was added to without `attach`, or that is a copy."""
        check_name(self.param_name, engine, argument="param_name")
        self._know(engine)
        self._last_engine = weakref.ref(engine)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from where a schedule was, and give the state the value of that time.

        Raises:
            TypeError: it is no mapping.
            ValueError: it does not say where the schedule was; nothing was changed.
        """
        super().load_state_dict(state_dict)
        for engine in self._engines:
            setattr(engine.state, self.param_name, self.get_param())

    def __getstate__(self) -> dict[str, Any]:
        return super().__getstate__() | {"_last_engine": _nothing}

    @classmethod
    def simulate_values(cls, num_events: int, **scheduler_kwargs: Any) -> list[list[Any]]:
        """Return pairs of a number from 0 on and the value that so many events, and one more, lead to.

        Args:
            num_events: how many.
            scheduler_kwargs: what the scheduler is made with.

        >>> StepStateScheduler.simulate_values(4, param_name="size", initial_value=8, gamma=0.5, step_size=2)
        [[0, 8.0], [1, 4.0], [2, 4.0], [3, 2.0]]
        """
        integer("num_events", num_events)
        scheduler = cls(**scheduler_kwargs)
        values = []
        for number in range(num_events):
            scheduler(None)
            values.append([number, scheduler.get_param()])
        return values


class _Scheduled(StateParamScheduler):
    """A state scheduler that goes by a function of the count alone."""

    schedule: Callable[[int], Any]
    # What `repr` shows.
    _shown: tuple[str, ...]

    def get_param(self) -> Any:
        return self.schedule(self.count)

    def _arguments(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._shown}


class LambdaStateScheduler(_Scheduled):
    """Give an attribute of the state the values of a function.

    Args:
        lambda_obj: returns the value for a number of events. It should go by that number alone, as it is all that is
            saved.
        param_name: the attribute's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        create_new: refuse to be attached where the state has such an attribute.

    Raises:
        TypeError: `lambda_obj` is not callable.

    >>> engine = Engine(lambda engine, batch: None)
    >>> scheduler = LambdaStateScheduler(lambda events: 0.5**events, "share", save_history=True, create_new=True)
    >>> scheduler.attach(engine, Events.EPOCH_COMPLETED)
    >>> engine.run([0], max_epochs=3).param_history["share"]
    [0.5, 0.25, 0.125]
    """

    _shown = ("lambda_obj",)

    def __init__(
        self,
        lambda_obj: Callable[[int], list[float] | float],
        param_name: str,
        save_history: bool = False,
        create_new: bool = False,
    ) -> None:
        check_callable("lambda_obj", lambda_obj)
        super().__init__(param_name, save_history, create_new)
        self.lambda_obj = self.schedule = lambda_obj


class PiecewiseLinearStateScheduler(_Scheduled):
    """Lead an attribute of the state straight from the value at one milestone to that at the next one.

    Before the first milestone it has the first value, after the last one the last. Two milestones at one count make a
    jump there.

    Args:
        milestones_values: pairs of a number of events and the value after them, in the order of the numbers.
        param_name: the attribute's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        create_new: refuse to be attached where the state has such an attribute.

    Raises:
        TypeError: the milestones are no list or tuple.
        ValueError: there is no milestone, one comes after a later one, or a value is no finite number.

    >>> arguments = {"param_name": "share", "milestones_values": [(2, 1.0), (4, 0.5)]}
    >>> [value for _, value in PiecewiseLinearStateScheduler.simulate_values(5, **arguments)]
    [1.0, 1.0, 0.75, 0.5, 0.5]
    """

    _shown = ("milestones_values",)

    def __init__(
        self,
        milestones_values: Sequence[tuple[int, float]],
        param_name: str,
        save_history: bool = False,
        create_new: bool = False,
    ) -> None:
        super().__init__(param_name, save_history, create_new)
        self.milestones_values = checked_milestones(milestones_values)
        self.schedule = Chain(Milestones(self.milestones_values))


class ExpStateScheduler(_Scheduled):
    """Multiply an attribute of the state by a factor at each event, as torch's `ExponentialLR` does with a rate.

    After n events it is `initial_value * gamma**n`.

    Args:
        initial_value: the value before the first event.
        gamma: the factor.
        param_name: the attribute's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        create_new: refuse to be attached where the state has such an attribute.

    Raises:
        ValueError: a number is none, or not finite.

    >>> arguments = {"param_name": "share", "initial_value": 1, "gamma": 0.5}
    >>> [value for _, value in ExpStateScheduler.simulate_values(3, **arguments)]
    [0.5, 0.25, 0.125]
    """

    _shown = ("initial_value", "gamma")

    def __init__(
        self,
        initial_value: float,
        gamma: float,
        param_name: str,
        save_history: bool = False,
        create_new: bool = False,
    ) -> None:
        super().__init__(param_name, save_history, create_new)
        self.initial_value, self.gamma = finite("initial_value", initial_value), finite("gamma", gamma)
        self.schedule = Decay(self.initial_value, self.gamma)


class StepStateScheduler(_Scheduled):
    """Multiply an attribute of the state by a factor at every so many events, as torch's `StepLR` does with a rate.

    After n events it is `initial_value * gamma**(n // step_size)`.

    Args:
        initial_value: the value before the first step.
        gamma: the factor.
        step_size: how many events a step has.
        param_name: the attribute's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        create_new: refuse to be attached where the state has such an attribute.

    Raises:
        ValueError: a number is none or not finite, or the size no positive integer.

    >>> arguments = {"param_name": "share", "initial_value": 1, "gamma": 0.5, "step_size": 2}
    >>> [value for _, value in StepStateScheduler.simulate_values(5, **arguments)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """

    _shown = ("initial_value", "gamma", "step_size")

    def __init__(
        self,
        initial_value: float,
        gamma: float,
        step_size: int,
        param_name: str,
        save_history: bool = False,
        create_new: bool = False,
    ) -> None:
        super().__init__(param_name, save_history, create_new)
        self.initial_value, self.gamma = finite("initial_value", initial_value), finite("gamma", gamma)
        self.step_size = integer("step_size", step_size)
        self.schedule = Decay(self.initial_value, self.gamma, partial(_whole_steps, self.step_size))


class MultiStepStateScheduler(_Scheduled):
    """Multiply an attribute of the state by a factor at each milestone, as torch's `MultiStepLR` does with a rate.

    After n events it is `initial_value * gamma**m`, where m milestones are at most n.

    Args:
        initial_value: the value before the first milestone.
        gamma: the factor.
        milestones: numbers of events, in their order. One that is there twice counts twice.
        param_name: the attribute's name.
        save_history: also append each value to `engine.state.param_history[param_name]`.
        create_new: refuse to be attached where the state has such an attribute.

    Raises:
        TypeError: the milestones are no list or tuple.
        ValueError: a number is none or not finite; or there is no milestone, one is no integer of at least 0, or comes
            after a larger one.

    >>> arguments = {"param_name": "share", "initial_value": 1, "gamma": 0.5, "milestones": [2, 5]}
    >>> [value for _, value in MultiStepStateScheduler.simulate_values(6, **arguments)]
    [1.0, 0.5, 0.5, 0.5, 0.25, 0.25]
    """

    _shown = ("initial_value", "gamma", "milestones")

    def __init__(
        self,
        initial_value: float,
        gamma: float,
        milestones: Sequence[int],
        param_name: str,
        save_history: bool = False,
        create_new: bool = False,
    ) -> None:
        super().__init__(param_name, save_history, create_new)
        self.initial_value, self.gamma = finite("initial_value", initial_value), finite("gamma", gamma)
        self.milestones = _checked_steps(milestones)
        self.schedule = Decay(self.initial_value, self.gamma, partial(bisect.bisect_right, self.milestones))


def _nothing() -> None:
    """Stand for a reference to an engine, where there is none."""


def _whole_steps(size: int, count: int) -> int:
    return count // size


def _checked_steps(milestones: Any) -> list[int]:
    counts = [
        integer(f"milestones[{index}]", count, least=0)
        for index, count in enumerate(sequence("milestones", milestones, "numbers of events"))
    ]
    if not counts:
        raise ValueError(f"milestones must be at least one number of events, got {milestones!r}")
    if counts != sorted(counts):
        raise ValueError(f"milestones must be in their order, got {milestones!r}: sort them")
    return counts
