"""A timetable tells who is due: whatever comes and goes while it is made, nobody is forgotten."""

from __future__ import annotations

import gc
import threading
import weakref

import attrs
import pytest

from ignite_signals import Engine, Events
from ignite_signals.engine import After, Before, Filter, Once, Predicate


def idle(engine, batch):
    return batch


class Cycle:
    """An object that only the garbage collector frees."""

    def __init__(self):
        self.itself = self

    def hear(self, engine):
        """Listen."""


def test_a_collection_while_the_plan_is_made_takes_no_occurrence_from_others():
    """A weak receiver that the collector frees in the midst of planning costs no other receiver a call."""

    @attrs.frozen
    class Collecting(Filter):
        def passes(self, count, engine=None, elapsed=0.0):
            return False

        def next(self, count):
            gc.collect()
            return count + 1

    engine, heard = Engine(idle), []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: heard.append(engine.state.iteration))
    engine.add_event_handler(Events.ITERATION_COMPLETED(Collecting()), lambda engine: None)

    @engine.on(Events.ITERATION_STARTED)
    def connect_what_dies():
        engine.signal(Events.ITERATION_COMPLETED).connect(Cycle().hear)

    engine.run(range(20))
    assert list(range(1, 21)) == heard


def test_threads_that_attach_and_remove_take_no_occurrence_from_others():
    """Receivers that other threads add and remove in mid-run leave those that stay alone."""
    engine, heard, over = Engine(idle), [], threading.Event()
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: heard.append(engine.state.iteration))
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), lambda engine: None)

    def attach_and_remove():
        while not over.is_set():
            with engine.add_event_handler(Events.ITERATION_COMPLETED(every=3), lambda engine: None):
                pass

    thread = threading.Thread(target=attach_and_remove)
    thread.start()
    engine.run(range(5000))
    over.set()
    thread.join()
    assert list(range(1, 5001)) == heard


QUIET = [~After(3), Once(range(1, 4)), Before(4), Once(2) & Predicate(lambda *_: True)]


@pytest.mark.parametrize("quiet", QUIET, ids=repr)
def test_what_can_never_pass_again_is_not_looked_at_again(quiet):
    """Beyond its last count a filter costs nothing: its signal stays quiet."""
    engine, heard = Engine(idle), []
    engine.add_event_handler(Events.ITERATION_COMPLETED(quiet), lambda engine: heard.append(engine.state.iteration))
    engine.run(range(10))
    signal = engine.signal(Events.ITERATION_COMPLETED)
    assert [count for count in range(1, 11) if quiet.passes(count)] == heard
    assert signal.low < 11 < signal.due
    assert 10**6 < signal.due


def test_the_same_count_again_is_heard_by_the_same_receivers():
    """Where the user moves the count, an occurrence may have that of the one before."""
    engine, heard = Engine(idle), []
    engine.register_events("tick", event_to_attr={"tick": "ticks"})
    from_string = engine.signals["tick"]
    every = Events.STARTED(every=2).filter
    from_string.join(lambda engine: heard.append(engine.state.ticks), every, engine, False, 0)
    for count in (1, 2, 2, 3, 4, 4, 2):
        engine.state.ticks = count
        engine.fire_event("tick")
    assert [2, 2, 4, 4, 2] == heard


def test_a_plan_keeps_nothing_alive_that_was_removed():
    """Whoever was in the plan of the last occurrence is freed as soon as it is removed."""
    engine, watcher = Engine(idle), Cycle()
    watcher.itself = None
    handles = [engine.add_event_handler(event, watcher.hear) for event in (Events.STARTED, Events.STARTED(every=2))]
    engine.run([0])
    for handle in handles:
        handle.remove()
    gone = weakref.ref(watcher)
    del watcher
    assert gone() is None
