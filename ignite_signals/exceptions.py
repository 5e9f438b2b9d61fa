"""The exceptions that the package raises beside Python's own."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["NotComputableError", "UnknownEventError"]


class NotComputableError(RuntimeError):
    """Say that a metric was asked for its value before it has seen anything."""


class UnknownEventError(ValueError, KeyError):
    """Say that an engine has no such event, and which events it has.

    It is a `KeyError`, because `engine.signals` is a mapping, and a `ValueError`, because an
    event is an argument of `add_event_handler` and `fire_event`.
    """

    def __init__(self, event: object, known: Iterable[str]) -> None:
        super().__init__(
            f"unknown event {event!r}: this engine knows {', '.join(known)}; "
            "add your own with engine.register_events(...)"
        )

    # KeyError would print the repr of the message.
    __str__ = ValueError.__str__
