"""What was loaded is put back where something else cannot be loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
from torch.utils.data import DataLoader

from ignite_signals.engine import Engine, State
from ignite_signals.engine.stateful import attached
from ignite_signals.handlers.snapshot import snapshot

__all__ = ["Remembered"]

# What an engine has in slots, beside its dictionary, and loading replaces.
_SLOTS = ("_batches", "_requests")


class Remembered:
    """Remember how an object is, and what is attached to it where it is an engine, to put it back.

    The states are copies: some objects return their live tensors.

    >>> trainer = Engine(lambda engine, batch: None)
    >>> before = Remembered(trainer)
    >>> trainer.load_state_dict({"iteration": 3, "epoch_length": 2, "max_epochs": 2})
    >>> before.put_back()
    []
    >>> trainer.state.iteration, trainer.state.epoch_length
    (0, None)
    """

    def __init__(self, stateful: Any) -> None:
        self._parts = [_remembered(each) for each in _with_attached(stateful)]

    def put_back(self) -> list[str]:
        """Put all back that can be, and return what cannot be, in words.

        An engine comes after what is attached to it, which may tell the engine of its state.
        """
        failures = [part.put_back() for part in reversed(self._parts)]
        return [failure for failure in failures if failure is not None]


@attrs.frozen
class _Part:
    """What puts an object back, or why there is nothing that does."""

    name: str
    restore: Callable[[], Any] | None
    reason: str = ""

    def put_back(self) -> str | None:
        if self.restore is None:
            return f"{self.name} may have changed: {self.reason}"
        try:
            self.restore()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            return f"{self.name} may have changed: putting back its state failed: {error!r}"
        return None


def _with_attached(stateful: Any) -> Iterator[Any]:
    """Yield an object, and what is attached to it and to engines among that; each once."""
    waiting, seen = [stateful], set()
    while waiting:
        each = waiting.pop(0)
        if id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting.extend(attached(each).values() if isinstance(each, Engine) else ())


def _remembered(stateful: Any) -> _Part:
    name = type(stateful).__name__
    if isinstance(stateful, Engine):
        return _Part(name, _engine(stateful))
    if isinstance(stateful, DataLoader):  # torchdata's starts its workers, and draws random numbers, to tell its state
        return _Part(name, None, "a loader is not asked for its state")
    try:
        state = snapshot(stateful.state_dict())
    except Exception as error:  # noqa: BLE001  # whatever it is, it is told
        return _Part(name, None, f"it could not tell its state before: {error!r}")
    return _Part(name, lambda: stateful.load_state_dict(state))


def _engine(engine: Engine) -> Callable[[], None]:
    """Return what puts an engine back exactly; its state dict does not tell of a run that is paused or over."""
    own = vars(engine) | {name: getattr(engine, name) for name in _SLOTS}
    others = _fields(engine._place), _fields(engine.state), _counts(engine.state)

    def put_back() -> None:
        for name, value in own.items():
            setattr(engine, name, value)
        for each in others:
            each()

    return put_back


def _fields(instance: Any) -> Callable[[], None]:
    """Return what puts the attributes of an instance back: loading replaces their values."""
    values = {field.name: getattr(instance, field.name) for field in attrs.fields(type(instance))}
    added = dict(getattr(instance, "__dict__", {}))

    def put_back() -> None:
        for name, value in values.items():
            setattr(instance, name, value)
        if hasattr(instance, "__dict__"):
            vars(instance).clear()
            vars(instance).update(added)

    return put_back


def _counts(state: State) -> Callable[[], None]:
    """Return what puts the counts back, which loading changes where they are."""
    counters, values = state.counters, dict(state.counters)

    def put_back() -> None:
        counters.clear()
        counters.update(values)

    return put_back
