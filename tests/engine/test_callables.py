"""Callables are described as their users wrote them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine, Events
from ignite_signals.engine.callables import described
from ignite_signals.handlers import ModelCheckpoint


def typed(engine: Engine, names: dict[str, list[int]], other: Callable[[int, str], Any] | None = None) -> list[int]:
    """Have annotations with brackets and commas."""
    return []


def evaluated(pair: tuple[int, str], /, *rest: int, key: str = "a, b: c -> d", **others: Any) -> None:
    """Have every kind of parameter."""


evaluated.__annotations__ = {"pair": tuple[int, str], "rest": int, "key": str, "return": dict[str, int]}


class Holder:
    """Have a method, and be callable."""

    def method(self, batch: torch.Tensor | None = None) -> None:
        """Take one argument."""

    def __call__(self, engine: Engine, *, share: float = 0.5) -> None:
        """Take an engine."""


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (typed, "typed(engine, names, other=None)"),
        (evaluated, "evaluated(pair, /, *rest, key='a, b: c -> d', **others)"),
        (Holder().method, "Holder.method(batch=None)"),
        (Holder(), "Holder(engine, *, share=0.5)"),
        (functools.partial(typed, names={}), "partial(typed)(engine, *, names={}, other=None)"),
        (lambda: None, "<lambda>()"),
    ],
)
def test_a_callable_is_described_without_types(function: Callable[..., Any], expected: str) -> None:
    """Name and parameters, with their defaults, are followed by the place."""
    name, _, place = described(function).rpartition(" (")

    assert (expected, "test_callables.py") == (name, place.partition(":")[0])


def test_a_builtin_that_does_not_tell_is_described() -> None:
    """Where the parameters are not known, there are dots."""
    assert "dict(...)" == described(dict)


def test_a_checkpoint_that_lacks_its_objects_says_so(tmp_path: Any) -> None:
    """The error of a handler that needs more than the engine shows the parameters, and the remedy."""
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(
        ValueError, match=r"handler ModelCheckpoint\(engine, to_save, \*\*_\) .*add_event_handler"
    ) as caught:
        engine.add_event_handler(Events.EPOCH_COMPLETED, ModelCheckpoint(tmp_path))

    assert "cannot take what epoch_completed sends" in str(caught.value)
