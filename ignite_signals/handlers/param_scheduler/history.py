"""What values a scheduler has set is kept in the engine's state, and comes back after a resume."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ignite_signals.engine import Engine

__all__ = ["History"]


class History:
    """Append values to `engine.state.param_history`, which maps a name to a list.

    The state of an engine does not save what users add to it, so the scheduler saves the lists that it appends to.
    Loaded ones are put into the engine's state by the next call of the scheduler.

    >>> engine, history = Engine(lambda engine, batch: None), History()
    >>> history.append(engine, "lr", [0.1])
    >>> engine.state.param_history
    {'lr': [[0.1]]}
    """

    def __init__(self) -> None:
        # The very lists in the state of an engine, and those that are still to be put there.
        self._kept: dict[str, list[Any]] = {}
        self._loaded: dict[str, list[Any]] = {}

    def append(self, engine: Engine, name: str, values: Any) -> None:
        """Append what was set at one event."""
        if self._loaded:
            self.put_back(engine)
        kept = self._kept[name] = _lists(engine).setdefault(name, [])
        kept.append(values)

    def put_back(self, engine: Engine) -> None:
        """Put what was loaded into the engine's state; another scheduler of that name may have put the same there."""
        for name, loaded in self._loaded.items():
            self._kept[name] = _lists(engine).setdefault(name, loaded)
        self._loaded = {}

    def state_dict(self) -> dict[str, list[Any]]:
        return {name: list(values) for name, values in (self._loaded | self._kept).items()}

    def load_state_dict(self, state_dict: Mapping[str, list[Any]]) -> None:
        """Take up the lists, also in the state of an engine that has begun some."""
        for name, kept in self._kept.items():
            kept[:] = state_dict.get(name, [])
        self._loaded = {name: list(values) for name, values in state_dict.items() if name not in self._kept}


def _lists(engine: Engine) -> dict[str, list[Any]]:
    state: Any = engine.state
    if getattr(state, "param_history", None) is None:
        state.param_history = {}
    lists: dict[str, list[Any]] = state.param_history
    return lists
