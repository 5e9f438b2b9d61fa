"""What can be attached to an engine under a name, and how other objects become such.

The engine knows no metrics. Whoever does says with `adapt_with` how to make something attachable of
objects that are not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

if TYPE_CHECKING:
    from ignite_signals.engine.engine import Engine

__all__ = ["Attachable", "adapt_with", "attachable"]


class Attachable(Protocol):
    """What `metrics` takes: a metric, or anything that attaches itself under a name."""

    def attach(self, engine: Engine, name: str) -> None:
        """Measure the engine's runs and write the value to `engine.state.metrics[name]`."""


_ADAPTERS: list[Callable[[Any], Attachable]] = []


def adapt_with(adapter: Callable[[Any], Attachable]) -> None:
    """Let `adapter` make something attachable of objects that have no method `attach`.

    Args:
        adapter: called with such an object; raises a TypeError if it does not know its kind.
    """
    _ADAPTERS.append(adapter)


def attachable(metric: Any, name: str) -> Attachable:
    """Return a metric as it is if it can be attached, else what an adapter makes of it.

    Raises:
        TypeError: it is a class, or nobody knows its kind; the message has the name.
    """
    if not isinstance(metric, type):
        if callable(getattr(metric, "attach", None)):
            return cast("Attachable", metric)
        for adapter in _ADAPTERS:
            try:
                return adapter(metric)
            except TypeError:  # it does not know this kind
                continue
    remedy = "; make an object of it" if isinstance(metric, type) else ""
    raise TypeError(f"metrics[{name!r}] must be a metric, an object with a method attach, got {metric!r}{remedy}")
