"""Handlers refuse what they cannot be attached to, and names under which they would break the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from torch import nn

from ignite_signals.engine import Engine, EventEnum, State
from ignite_signals.handlers import (
    EarlyStopping,
    EMAHandler,
    EpochOutputStore,
    Preemption,
    TerminateOnNan,
    TimeLimit,
    Timer,
)
from ignite_signals.handlers.checks import brief


class Custom(EventEnum):
    """Events that count their own occurrences, or move a count of the user's."""

    COUNTED = "counted"
    MOVED = "moved"


def nothing(engine: Engine, batch: Any) -> None:
    """Do nothing, as a step."""


TRAINER = Engine(nothing)
HANDLERS: list[Callable[[], Any]] = [
    *(Timer, TimeLimit, TerminateOnNan, EpochOutputStore, Preemption),
    lambda: EMAHandler(nn.PReLU()),
    lambda: EarlyStopping(1, lambda engine: 0.0, TRAINER),
]
NAMED: list[Callable[[Engine, Any], Any]] = [
    lambda engine, name: EMAHandler(nn.PReLU()).attach(engine, name),
    lambda engine, name: EpochOutputStore().attach(engine, name),
]


@pytest.mark.parametrize("make", HANDLERS)
@pytest.mark.parametrize("engine", [3, None, Engine])
def test_they_are_attached_to_an_engine(make: Callable[[], Any], engine: Any) -> None:
    """What is no engine is named, with its value."""
    with pytest.raises(TypeError) as caught:
        make().attach(engine)

    assert f"engine must be an Engine, got {engine!r}" == str(caught.value)


def test_what_resets_is_an_engine_too() -> None:
    """The error names reset_engine, and nothing is attached."""
    evaluator = Engine(nothing)
    stopping = EarlyStopping(1, lambda engine: 0.0, TRAINER)
    with pytest.raises(TypeError, match="reset_engine must be an Engine, got 3"):
        stopping.attach(evaluator, reset_engine=3)  # type: ignore[arg-type]

    assert not evaluator.has_event_handler(stopping)


@pytest.mark.parametrize("attach", NAMED)
@pytest.mark.parametrize("name", ["", "a b", "1st", "class"])
def test_a_name_is_an_identifier(attach: Callable[[Engine, Any], Any], name: str) -> None:
    """What could not be read as an attribute is refused."""
    with pytest.raises(ValueError, match=r"name must be the name of an attribute of engine\.state, got ") as caught:
        attach(Engine(nothing), name)

    assert str(caught.value).endswith(repr(name))


@pytest.mark.parametrize("attach", NAMED)
@pytest.mark.parametrize(
    "name", [*({field.name for field in attrs.fields(State)} - {"output"}), "started", "counted", "count", "__dict__"]
)
def test_a_name_is_none_of_the_states_own(attach: Callable[[Engine, Any], Any], name: str) -> None:
    """Fields and counts, by which a run goes, are not replaced, and nothing is attached."""
    engine = Engine(nothing)
    engine.register_events(*Custom, event_to_attr={Custom.MOVED: "count"})
    before = engine.describe()
    with pytest.raises(ValueError, match=r"name must not be what engine\.state has of its own, got ") as caught:
        attach(engine, name)

    assert f"{name!r}; choose another one" in str(caught.value)
    assert before == engine.describe()


def test_a_count_of_another_engine_is_a_name() -> None:
    """Only the engine's own events matter."""
    Engine(nothing).register_events("reported")
    engine = Engine(lambda engine, batch: batch)
    EpochOutputStore().attach(engine, "reported")

    assert [1, 2] == engine.run([1, 2]).reported


def test_the_output_may_only_be_replaced_by_outputs() -> None:
    """PyTorch-Ignite's example stores the outputs as `output`; a momentum there would be overwritten."""
    engine = Engine(lambda engine, batch: batch)
    EpochOutputStore().attach(engine, "output")
    with pytest.raises(ValueError, match=r"name must not be .* got 'output'"):
        EMAHandler(nn.PReLU()).attach(engine, "output")

    assert [1, 2] == engine.run([1, 2]).output


def test_a_value_in_an_error_is_short_whatever_it_is():
    """A model's text is cut to a line, and a `repr` that raises makes no other error."""
    Broken = type("deque", (), {"__repr__": lambda self: 1 / 0})  # noqa: N806  # the name of a class
    assert "'lr'" == brief("lr")
    assert max(len(brief(nn.Sequential(*[nn.Linear(9, 9) for _ in range(99)]))), len(brief([0.5] * 9999))) <= 100
    assert brief(Broken()).startswith("<")
