"""TerminateOnNan ends a run whose output is not finite."""

from __future__ import annotations

import logging
from collections import namedtuple
from fractions import Fraction
from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import TerminateOnNan

NAN, INF = float("nan"), float("inf")
Losses = namedtuple("Losses", ["a", "b"])

FINITE = [
    *(
        1,
        1.5,
        True,
        1 + 1j,
        10**400,
        Fraction(1, 3),
        "nan",
        b"nan",
        [],
        {},
        torch.tensor(1.0),
        torch.tensor([1, 2]),
    ),
    *([1.0, torch.zeros(2)], {"loss": 1.0, "name": "a"}, Losses(1, [2.0, {"c": 3}]), torch.tensor([True])),
    torch.zeros(0),
]
NOT_FINITE = [
    *(NAN, INF, -INF, complex(NAN, 0), torch.tensor(NAN), torch.tensor([1.0, -INF])),
    *([1, torch.tensor(NAN)], (1, {"a": NAN}), {"a": [{"b": torch.tensor(INF)}]}, Losses(1, NAN)),
    *(torch.tensor(NAN, dtype=torch.float16), torch.tensor([complex(1, INF)]), {"name": "a", "loss": NAN}),
]


def iterations(output: Any, handler: TerminateOnNan | None = None) -> int:
    """Return after how many of three iterations a run with this output ends."""
    engine = Engine(lambda engine, batch: output)
    engine.add_event_handler(Events.ITERATION_COMPLETED, handler or TerminateOnNan())
    return engine.run([1, 2, 3]).iteration


@pytest.mark.parametrize("output", FINITE, ids=repr)
def test_a_finite_output_goes_on(output: Any) -> None:
    """Finite numbers, however deep, and strings let the run go on."""
    assert 3 == iterations(output)


@pytest.mark.parametrize("output", NOT_FINITE, ids=repr)
def test_any_other_ends_the_run(output: Any) -> None:
    """One NaN or infinity, however deep, ends the run in that iteration."""
    assert 1 == iterations(output)


def test_the_output_is_transformed() -> None:
    """output_transform chooses what is looked at."""
    assert 3 == iterations((NAN, 1.0), TerminateOnNan(output_transform=lambda output: output[1]))


def test_says_when_and_what(caplog: pytest.LogCaptureFixture) -> None:
    """A warning names the iteration and shows the output."""
    with caplog.at_level(logging.WARNING):
        iterations({"loss": NAN})

    assert ["NaN or infinity in the output at iteration 1, the run ends: {'loss': nan}"] == caplog.messages


def test_the_run_says_that_it_was_terminated() -> None:
    """The state tells why the run ended, and events follow in order."""
    engine, seen = Engine(lambda engine, batch: batch), []
    engine.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    engine.add_event_handler(Events.TERMINATE, lambda engine: seen.append(engine.state.iteration))

    state = engine.run([1.0, NAN, 2.0])

    assert ("terminated", [2]) == (state.stop_reason, seen)


@pytest.mark.parametrize("output", [None, [None], {1.0}, object()])
def test_refuses_what_it_cannot_look_at(output: Any) -> None:
    """An output that holds no number is an error, not a silent pass."""
    with pytest.raises(TypeError, match="output must hold numbers, tensors, or sequences and mappings of them, got "):
        iterations(output)


def test_the_transform_must_be_callable() -> None:
    """What cannot be called is refused at once."""
    with pytest.raises(TypeError, match="output_transform must be callable, got 3"):
        TerminateOnNan(output_transform=3)  # type: ignore[arg-type]


@pytest.mark.parametrize("output", [o for o in FINITE + NOT_FINITE if not isinstance(o, int | Fraction)], ids=repr)
def test_ends_when_ignite_does(output: Any) -> None:
    """The same outputs end PyTorch-Ignite's run."""
    ignite, ignite_engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
    engine = ignite_engine.Engine(lambda engine, batch: output)
    engine.add_event_handler(ignite_engine.Events.ITERATION_COMPLETED, ignite.TerminateOnNan())

    assert engine.run([1, 2, 3]).iteration == iterations(output)
