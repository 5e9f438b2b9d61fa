"""The global step: what to call the present moment of a training, in a log or a file name."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

from ignite_signals.engine import Engine, Events, FilteredEvent, State

if TYPE_CHECKING:
    from ignite_signals.engine.events import Event

__all__ = ["global_step_from_engine", "makes_one_pass", "training_step"]


def global_step_from_engine(
    engine: Engine, custom_event_name: Event | FilteredEvent | None = None, fallback_attr: str = "epoch"
) -> Callable[[Any, Any], int]:
    """Return a function that tells how far an engine is, to be given to what listens to another engine.

    An evaluator counts its own epochs, which is 1 each time. A logger or checkpoint that listens to it takes its step
    from the trainer with this. The engine is not kept alive by the function.

    Args:
        engine: whose state tells the step.
        custom_event_name: the event by which to count; by default the one that the function is called with.
        fallback_attr: the attribute of the state to take for an event that counts neither epochs nor iterations nor
            by an attribute of its own (`event_to_attr`).

    Returns:
        A function of `(engine, event_name)` that returns the step. STARTED and COMPLETED count epochs.

    Raises:
        TypeError: `engine` is no engine, or `fallback_attr` no string.

    >>> trainer = Engine(lambda engine, batch: None)
    >>> evaluator = Engine(lambda engine, batch: None)
    >>> by_epoch = global_step_from_engine(trainer)
    >>> by_iteration = global_step_from_engine(trainer, Events.ITERATION_COMPLETED)
    >>> state = trainer.run(range(5), max_epochs=3)
    >>> by_epoch(evaluator, Events.COMPLETED), by_iteration(evaluator, Events.COMPLETED)
    (3, 15)
    """
    if not isinstance(engine, Engine):
        raise TypeError(f"engine must be an Engine, got {engine!r}")
    if not isinstance(fallback_attr, str):
        raise TypeError(f"fallback_attr must be the name of an attribute of the state, got {fallback_attr!r}")
    return _GlobalStep(engine, custom_event_name, fallback_attr)


def training_step(engine: Engine, known: Container[Engine] = ()) -> int:
    """Return the one step by which all that belongs to a training is logged: the iterations of its trainer.

    It never goes back in a training, whatever is logged at which event. What an evaluator logs lies at the trainer's
    iteration, while it runs inside of the training and when it runs by itself afterwards.

    Which engine is the trainer: the outermost of those that the logger knows, which are `engine` and the ones around
    it; where that one makes a single pass over its data, as an evaluator does, the next one around, known or not. So a
    trainer of several epochs that runs inside of another engine, a search for example, has its own steps, unless
    the logger is attached to that engine too; one of a single epoch is told by nothing from an evaluator. An engine
    that never ran inside of another has its own steps: run an
    evaluator in a handler of STARTED or COMPLETED, rather than before or after the training.

    Args:
        engine: whose event it is.
        known: the engines that the logger is attached to.

    >>> trainer = Engine(lambda engine, batch: None)
    >>> evaluator = Engine(lambda engine, batch: None)
    >>> @trainer.on(Events.EPOCH_COMPLETED)
    ... def evaluate(trainer):
    ...     evaluator.run(range(10))
    ...     print(training_step(evaluator))
    >>> state = trainer.run(range(3), max_epochs=2)
    3
    6
    """
    chain = _outwards(engine)
    place = max((index for index, each in enumerate(chain) if each in known), default=0)
    while place + 1 < len(chain) and makes_one_pass(chain[place].state):
        place += 1
    return chain[place].state.iteration


def _outwards(engine: Engine) -> list[Engine]:
    """Return an engine and those around it, from the inside out."""
    chain = [engine]
    while (outer := chain[-1].outer) is not None and outer not in chain:
        chain.append(outer)
    return chain


def makes_one_pass(state: State) -> bool:
    """Tell whether a run goes over its data once, as evaluations do."""
    if state.max_iters is None:
        return state.max_epochs == 1
    return state.epoch_length is None or state.max_iters <= state.epoch_length


class _GlobalStep:
    """Tell how far an engine is; an object, so that it can be pickled with what it was given to."""

    def __init__(self, engine: Engine | None, event: Event | FilteredEvent | None, fallback: str) -> None:
        # Weak, because a handler that was given this may belong to the very engine.
        self._engine = _gone if engine is None else weakref.ref(engine)
        self._event = event
        self._fallback = fallback

    @property
    def engine(self) -> Engine | None:
        """The engine whose step it tells; None when it is gone."""
        return self._engine()

    def __call__(self, engine: Any, event_name: Any) -> int:
        """Return the step; `engine` is the one that the caller listens to, and of no account."""
        source = self._engine()
        if source is None:
            raise RuntimeError("the engine given to global_step_from_engine is gone: keep it while its step is asked")
        event = event_name if self._event is None else self._event
        attribute = self._attribute(source, event.event if isinstance(event, FilteredEvent) else event)
        step: int = getattr(source.state, attribute)
        return step

    def _attribute(self, source: Engine, event: Any) -> str:
        if event in (Events.STARTED, Events.COMPLETED):
            return "epoch"
        counter = source.signal(event).counter if source.has_registered_events(event) else None
        return self._fallback if counter is None else counter

    def __reduce__(self) -> tuple[Any, ...]:
        return _GlobalStep, (None, self._event, self._fallback), self._engine()

    def __setstate__(self, engine: Engine) -> None:
        self._engine = weakref.ref(engine)


def _gone() -> None:
    """Stand for a reference to an engine that is gone."""
