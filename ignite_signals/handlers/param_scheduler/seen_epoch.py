"""A run that goes on announces its epoch again; a scheduler must not move for that."""

from __future__ import annotations

import weakref
from typing import Any

from ignite_signals.engine import Engine

__all__ = ["SeenEpoch"]


class SeenEpoch:
    """Remember at the announcement of which epoch a scheduler has moved.

    The number alone does not tell, since a training that starts anew has an epoch 1 again. It has a dict of metrics of
    its own, though, and one that goes on keeps its dict. What was loaded or copied is of a training that goes on, as
    nothing is saved or copied of an epoch that is complete.

    >>> engine, seen = Engine(lambda engine, batch: None), SeenEpoch()
    >>> engine.state.epoch = 1
    >>> seen.note(engine)
    >>> seen.is_announced_again(engine)
    True
    >>> engine.state.epoch = 2
    >>> seen.is_announced_again(engine)
    False
    """

    def __init__(self, number: int = 0) -> None:
        # 0 where there was none, or where a state does not tell.
        self._number = number
        # Of which engine, and which training, unless it was loaded or copied.
        self._engine: weakref.ref[Engine] | None = None
        self._metrics: dict[str, Any] | None = None

    def note(self, engine: Engine) -> None:
        """Take up the epoch that an engine announces; 0 where it does so by hand, outside of a run."""
        state = engine.state
        self._number, self._metrics, self._engine = state.epoch, state.metrics, weakref.ref(engine)

    def is_announced_again(self, engine: Engine) -> bool:
        """Tell whether the epoch that an engine announces is the one that is remembered."""
        has_begun = engine.epoch_position > 0
        if not self._number:
            return has_begun
        is_of_training = self._metrics is None or self._metrics is engine.state.metrics
        return engine.state.epoch == self._number and (has_begun or is_of_training)

    def under_way(self) -> int:
        """Return the epoch's number, or 0 where it is complete and cannot be announced again."""
        engine = None if self._engine is None else self._engine()
        if engine is None:
            return self._number
        is_open = engine.place()[0] < self._number and engine.state.metrics is self._metrics
        return self._number if is_open else 0

    def __getstate__(self) -> dict[str, Any]:
        return {"number": self.under_way()}

    def __setstate__(self, copied: dict[str, Any]) -> None:
        self.__init__(copied["number"])  # type: ignore[misc]  # so that a copy is as one that was loaded
