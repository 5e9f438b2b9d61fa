"""Measure what observing costs: an observer that does nothing, and the time profilers, while they are attached.

The step returns its batch and the handlers do nothing, so that what is measured is the engine and who observes it.

    python tests/benchmarks/observing.py
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from ignite_signals.engine import Engine, Events, ReceiverCall
from ignite_signals.handlers.time_profilers import BasicTimeProfiler, HandlersTimeProfiler

# Run as a program, it finds here what the tests share.
sys.path.insert(0, str(Path(__file__).parents[1]))
from support.measuring import in_turn, machine, one_thread, positive, show_machine, table

HANDLERS = (0, 1, 10)


class Nothing:
    """Observe, and do nothing."""

    def call_started(self, call: ReceiverCall) -> None:
        """Hear."""

    def call_ended(self, call: ReceiverCall, error: BaseException | None) -> None:
        """Hear."""


OBSERVERS: dict[str, Callable[[Engine], AbstractContextManager[Any]]] = {
    "nobody": lambda engine: nullcontext(),
    "an observer that does nothing": lambda engine: engine.observe_calls(Nothing()),
    "BasicTimeProfiler": lambda engine: BasicTimeProfiler().attach(engine),
    "HandlersTimeProfiler": lambda engine: HandlersTimeProfiler().attach(engine),
}


def step(engine: Any, batch: Any) -> Any:
    """Do nothing."""
    return batch


def add_handlers(engine: Any, events: Any, handlers: int) -> None:
    """Add as many handlers that do nothing, to be called at every iteration."""
    for number in range(handlers):
        handler: Any = eval(f"lambda engine: {number}")  # each with a code of its own
        handler.__qualname__ = f"handler_{number}"
        engine.add_event_handler(events.ITERATION_COMPLETED, handler)


def seconds(engine: Any, iterations: int) -> float:
    """Return what an iteration takes."""
    began = time.perf_counter()
    engine.run(range(iterations))
    return (time.perf_counter() - began) / iterations


def ours(observed: str, handlers: int, iterations: int) -> float:
    """Return the seconds of an iteration of ours."""
    engine = Engine(step)
    add_handlers(engine, Events, handlers)
    with OBSERVERS[observed](engine):
        return seconds(engine, iterations)


def ignites(profiler: str | None, handlers: int, iterations: int) -> float:
    """Return the seconds of an iteration of Ignite's."""
    ignite = importlib.import_module("ignite.engine")
    engine = ignite.Engine(step)
    add_handlers(engine, ignite.Events, handlers)
    if profiler is not None:
        getattr(importlib.import_module("ignite.handlers"), profiler)().attach(engine)
    return seconds(engine, iterations)


def contenders(handlers: int, iterations: int) -> dict[str, Callable[[], float]]:
    """Return what to measure, by name; Ignite where it is installed."""
    measured: dict[str, Callable[[], float]] = {name: partial(ours, name, handlers, iterations) for name in OBSERVERS}
    if importlib.util.find_spec("ignite") is not None:
        for name, profiler in {
            "nobody": None,
            "Basic": "BasicTimeProfiler",
            "Handlers": "HandlersTimeProfiler",
        }.items():
            measured[f"Ignite, {name}"] = partial(ignites, profiler, handlers, iterations // 10)
    return measured


def main() -> None:
    """Measure and print a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--iterations", type=positive, default=20_000, help="of each run (default: %(default)s)")
    options.add_argument("--rounds", type=positive, default=7, help="of which the best is shown (default: %(default)s)")
    given = options.parse_args()
    with one_thread():
        taken = {each: in_turn(contenders(each, given.iterations), given.rounds) for each in HANDLERS}
    show_machine(machine(["ignite_signals", "torch", "blinker", "attrs", "pytorch-ignite"]))
    table(
        "Microseconds of an iteration",
        ["observed by", *(f"{each} handlers" for each in HANDLERS)],
        ([name, *(f"{min(taken[each][name]) * 1e6:.2f}" for each in HANDLERS)] for name in taken[0]),
    )


if __name__ == "__main__":
    main()
