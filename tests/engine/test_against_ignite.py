"""The events of a run are those of PyTorch-Ignite, in the same order, save where it is known to be wrong."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from typing import Any

import pytest

from ignite_signals import engine as ours

peer = pytest.importorskip("ignite.engine")

NAMES = [event.name for event in peer.Events]
MOMENTS = [name for name in NAMES if name not in ("TERMINATE", "EXCEPTION_RAISED")]
LIMITS: list[dict[str, int]] = [
    {"max_epochs": 3},
    {"max_epochs": 2, "epoch_length": 2},
    {"max_epochs": 2, "epoch_length": 5},
    {"max_iters": 7},
    {"max_iters": 6},
]


class Unsized:
    """Data that can be iterated again and again, but does not tell its length."""

    def __iter__(self):
        return iter(range(3))

    def __repr__(self):
        return "unsized"


def play(library: Any, data: Any, where: tuple[str, int] | None, act: tuple[Any, ...], limits: Any) -> list[Any]:
    """Run with `act` done at the `where[1]`-th occurrence of `where[0]`; run again what was interrupted."""
    log: list[Any] = []
    seen: Counter[str] = Counter()

    def occur(name: str) -> None:
        seen[name] += 1
        if where == (name, seen[name]):
            log.append(act[0])
            getattr(engine, act[0])(*act[1:])

    def step(_: Any, batch: Any) -> Any:
        occur("step")
        return batch

    engine = library.Engine(step)
    for name in NAMES:

        def record(*args: Any, name: str = name, iter_counter: int | None = None) -> None:
            taken = iter_counter if len(args) < 2 else args[1]
            log.append((name, engine.state.epoch, engine.state.iteration, taken))
            occur(name)

        if name != "EXCEPTION_RAISED":
            engine.add_event_handler(getattr(library.Events, name), record)
    engine.run(data, **limits)
    if seen["INTERRUPT"]:
        engine.run(data, **limits)
    return [*log, (engine.state.epoch, engine.state.iteration)]


def known_to_be_wrong(name: str, act: str) -> bool:
    """Ignite refuses terminate_epoch at EPOCH_STARTED and repeats an event after an interrupt at the data's end."""
    return (name in ("STARTED", "EPOCH_STARTED") and act == "terminate_epoch") or (
        name == "DATALOADER_STOP_ITERATION" and act == "interrupt"
    )


def without_terminate_at_the_limit(log: list[Any], limits: dict[str, int]) -> list[Any]:
    """Drop the TERMINATE that Ignite sends where max_iters, and no request, ends the run."""
    return [
        entry
        for position, entry in enumerate(log)
        if entry[0] != "TERMINATE" or entry[2] != limits.get("max_iters") or "terminate" in log[:position]
    ]


ACTS = [
    (),
    ("terminate",),
    ("terminate", True),
    ("terminate_epoch",),
    ("terminate_epoch", True),
    ("interrupt",),
]
CASES = [
    (data, limits, act)
    for data in ([0, 1, 2], Unsized(), None)
    for limits in LIMITS
    for act in ACTS
    # There Ignite turns max_iters into max_epochs when the data first ends, which cuts the run or refuses the next.
    if not (isinstance(data, Unsized) and "max_iters" in limits and act[:1] in [("terminate_epoch",), ("interrupt",)])
]


@pytest.mark.parametrize(("data", "limits", "act"), CASES, ids=str)
def test_stopping_at_any_moment_gives_the_events_that_ignite_gives(data, limits, act):
    """Whatever the data and the limits, a stop asked for at any event leads to the same sequence."""
    logging.getLogger("ignite").setLevel(logging.CRITICAL)
    limits = {"epoch_length": 3} | limits if data is None else limits
    moments = [(name, nth) for name in [*MOMENTS, "step"] for nth in (1, 2, 3)] if act else [None]
    for where in moments:
        if where is not None and known_to_be_wrong(where[0], act[0]):
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = without_terminate_at_the_limit(play(peer, data, where, act, limits), limits)
            actual = play(ours, data, where, act, limits)
        assert expected == actual, (where, act)
