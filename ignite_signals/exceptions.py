"""The exceptions that the package raises beside Python's own."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["DamagedCheckpointError", "NotComputableError", "UnknownEventError"]


class NotComputableError(RuntimeError):
    """Say that a metric was asked for its value before it has seen anything."""


class UnknownEventError(ValueError, KeyError):
    """Say that an engine has no such event, and which events it has.

    It is a `KeyError`, because `engine.signals` is a mapping, and a `ValueError`, because an
    event is an argument of `add_event_handler` and `fire_event`.
    """

    def __init__(self, event: object, known: Iterable[str]) -> None:
        self.event, self.known = event, tuple(known)
        close = get_close_matches(str(event), self.known, n=1)
        super().__init__(
            f"unknown event {event!r}"
            + (f", did you mean {close[0]!r}? Otherwise" if close else ":")
            + f" add it with engine.register_events(...). This engine knows {', '.join(self.known)}"
        )

    def __reduce__(self) -> tuple[type[UnknownEventError], tuple[object, tuple[str, ...]]]:
        return type(self), (self.event, self.known)

    # KeyError would print the repr of the message.
    __str__ = ValueError.__str__


class DamagedCheckpointError(ValueError):
    """Say that a checkpoint is not what was written: it is cut short, or its content has changed."""
