"""Who keeps a handler alive is decided by the call that connects it, and what is removed leaves nothing behind."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import tracemalloc
import warnings
import weakref
from contextlib import contextmanager

import pytest

from ignite_signals.engine import Engine, EventEnum, Events, Every, Predicate
from ignite_signals.testing import EventRecorder


class Custom(EventEnum):
    MADE = "made"


class Listener:
    """An owner of handlers: callable, and with methods to connect."""

    def __init__(self, log=None):
        self.log = [] if log is None else log

    def __call__(self, engine):
        self.log.append("called")

    def method(self, engine):
        self.log.append("called")


def make_engine(step=lambda engine, batch: None):
    engine = Engine(step)
    engine.register_events(*Custom)
    return engine


@pytest.fixture
def engine():
    return make_engine()


@pytest.fixture
def signal(engine):
    return engine.signal(Custom.MADE)


@pytest.fixture
def log():
    return []


@contextmanager
def no_collector():
    """Leave the freeing of objects to reference counting alone."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def warnings_of(act):
    """Return what `act` warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act()
    return [str(warning.message) for warning in caught]


# Weak receivers: each kind is made as (what keeps it alive, how the receiver is got from that)


def make_function(log):
    def function(engine):
        log.append("called")

    return function


def make_lambda(log):
    return lambda engine: log.append("called")


def make_partial(log):
    return functools.partial(lambda word, engine: log.append(word), "called")


def itself(owner):
    return owner


FUNCTIONS = {"function": make_function, "lambda": make_lambda, "partial": make_partial}
OWNERS = {
    **{name: (make, itself) for name, make in FUNCTIONS.items()},
    "callable object": (Listener, itself),
    "bound method": (Listener, lambda owner: owner.method),
    "builtin method": (lambda log: log.append, itself),
}
# The same, save that no list takes the engine up, which would keep it.
MODEST = OWNERS | {"builtin method": (lambda log: [].count, itself)}
EVENTS = {
    "plain": Custom.MADE,
    "filtered": Custom.MADE(every=1),
    "predicate": Custom.MADE(lambda engine, count: True),
}


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize(("make", "receiver_of"), OWNERS.values(), ids=OWNERS)
def test_a_weak_receiver_goes_with_its_owner(engine, signal, log, event, make, receiver_of):
    """A receiver of any kind, filtered or not, is called while its owner lives, and then is gone."""
    owner = make(log)
    engine.signal(event).connect(receiver_of(owner))
    with no_collector():
        signal.send(engine)
        assert 1 == len(log) == len(signal.receivers)
        del owner
        assert not signal.receivers
        assert [] == signal.send(engine)
    assert 1 == len(log)


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize(("make", "receiver_of"), OWNERS.values(), ids=OWNERS)
def test_a_weak_receiver_that_goes_during_a_send_is_not_called(engine, signal, log, event, make, receiver_of):
    """A receiver whose owner another one lets go is not called in that send any more."""
    owners = [make(log)]
    signal.connect(lambda engine: None, weak=False, priority=2)
    signal.connect(receiver_of(owners[0]), priority=-2)
    engine.signal(event).connect(receiver_of(owners[0]), priority=-1)
    signal.send(engine)
    assert len(log) in (1, 2)
    log.clear()
    signal.connect(lambda engine: owners.clear(), weak=False)
    signal.send(engine)
    assert [] == log
    assert [] == owners


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize(("make", "receiver_of"), OWNERS.values(), ids=OWNERS)
@pytest.mark.parametrize("keep", ["weak=False", "add_event_handler", "on", "connect_via"])
def test_the_engine_keeps_what_it_is_told_to(engine, signal, log, event, make, receiver_of, keep):
    """Strong receivers and handlers live as long as the engine, and go with it."""
    owner = make(log)
    alive = weakref.ref(owner)
    {
        "weak=False": lambda receiver: engine.signal(event).connect(receiver, weak=False),
        "add_event_handler": lambda receiver: engine.add_event_handler(event, receiver),
        "on": lambda receiver: engine.on(event)(receiver),
        "connect_via": lambda receiver: engine.signal(event).connect_via(engine)(receiver),
    }[keep](receiver_of(owner))
    del owner
    signal.send(engine), signal.send(engine)
    assert 2 == len(log)
    assert alive() is not None


@pytest.mark.parametrize(("make", "receiver_of"), MODEST.values(), ids=MODEST)
def test_what_an_engine_kept_goes_with_the_engine(log, make, receiver_of):
    """Handlers that only the engine kept are freed with it, by reference counting alone."""
    engine, owner = make_engine(), make(log)
    alive = weakref.ref(owner)
    for event in EVENTS.values():
        engine.add_event_handler(event, receiver_of(owner))
        engine.signal(event).connect(receiver_of(owner), weak=False)
    engine.fire_event(Custom.MADE)
    del owner
    with no_collector():
        assert alive() is not None
        del engine
        assert alive() is None
    assert len(log) in (0, 6)


def test_an_owner_that_goes_in_mid_run_is_heard_no_more():
    """A run goes on without a dashboard that is deleted in the middle of it."""
    log = []
    owners = [Listener(log)]

    def step(engine, batch):
        if batch == 3:
            owners.clear()

    engine = make_engine(step)
    engine.signal(Events.ITERATION_STARTED).connect(owners[0].method)
    engine.signal(Events.ITERATION_COMPLETED(every=2)).connect(owners[0].method)
    assert 5 == engine.run([1, 2, 3, 4, 5]).iteration
    assert ["called"] * 4 == log  # started at 1, 2 and 3, completed at 2
    assert not engine.signal(Events.ITERATION_COMPLETED).receivers


def test_an_owner_in_a_cycle_goes_with_the_collector(engine, signal, log):
    """An owner that refers to itself is heard until it is collected."""
    owner = Listener(log)
    owner.me = owner
    signal.connect(owner.method)
    del owner
    signal.send(engine)
    gc.collect()
    signal.send(engine)
    assert ["called"] == log


# The warning for a function that nobody keeps


@pytest.mark.parametrize("event", EVENTS.values(), ids=EVENTS)
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (make_function, "function (test_ownership.py:"),
        (make_lambda, "<lambda> (test_ownership.py:"),
        (make_partial, "partial(<lambda>) (test_ownership.py:"),
        (lambda log: log.append, "list.append"),
    ],
)
def test_a_function_that_dies_before_it_was_called_is_warned_of(engine, log, event, make, name):
    """The warning names the function and its signal, and says `weak=False`."""
    view = engine.signal(event)
    with pytest.warns(RuntimeWarning, match="gone before it was ever called") as caught:
        view.connect(make(log))
    [message] = [str(warning.message) for warning in caught]
    assert name in message
    assert " made " in message
    assert "weak=False" in message


class Holder:
    """Let go of an owner where a test wants it, and tell what that warns of."""

    def __init__(self, owner):
        self.owner = owner

    def let_go(self):
        return warnings_of(lambda: delattr(self, "owner"))


@pytest.mark.parametrize(("make", "receiver_of"), OWNERS.values(), ids=OWNERS)
def test_a_receiver_that_was_called_is_not_warned_of(engine, signal, make, receiver_of):
    """An owner that goes after its receiver was called has done nothing wrong."""
    holder = Holder(make([]))
    signal.connect(receiver_of(holder.owner))
    signal.send(engine)
    assert [] == holder.let_go()
    assert not signal.receivers


@pytest.mark.parametrize(("make", "receiver_of"), OWNERS.values(), ids=OWNERS)
def test_an_engine_that_goes_first_warns_of_nothing(make, receiver_of):
    """Where the engine goes before the receiver, called or not, nothing is said."""
    engine, holder = make_engine(), Holder(make([]))
    for event in EVENTS.values():
        engine.signal(event).connect(receiver_of(holder.owner))
    alive = weakref.ref(engine)
    del engine
    assert alive() is None
    assert [] == holder.let_go()


@pytest.mark.parametrize(("make", "receiver_of"), OWNERS.values(), ids=OWNERS)
def test_a_receiver_that_was_disconnected_is_not_warned_of(signal, make, receiver_of):
    """What was disconnected may go without a word."""
    holder = Holder(make([]))
    signal.connect(receiver_of(holder.owner))
    signal.disconnect(holder.owner if receiver_of is itself else receiver_of(holder.owner))
    assert [] == holder.let_go()


@pytest.mark.parametrize("kind", ["callable object", "bound method"])
def test_an_object_that_goes_is_not_warned_of(signal, kind):
    """An object that goes, and its methods with it, is what weak connections are for."""
    make, receiver_of = OWNERS[kind]
    holder = Holder(make([]))
    signal.connect(receiver_of(holder.owner))
    assert [] == holder.let_go()
    assert not signal.receivers


def test_each_connection_that_was_never_called_is_warned_of(engine, signal):
    """A function behind two filters, one of which let it be called, is warned of once."""
    holder = Holder(make_function([]))
    signal.connect(holder.owner)
    engine.signal(Custom.MADE(once=7)).connect(holder.owner)
    signal.send(engine)
    assert 1 == len(holder.let_go())


def test_the_end_of_the_program_warns_of_nothing():
    """Functions of a module that are connected and never called are not warned of when Python exits."""
    program = """
from ignite_signals import Engine, Events
engine = Engine(lambda engine, batch: None)
def listen(engine): ...
engine.signal(Events.STARTED).connect(listen)
engine.signal(Events.COMPLETED(every=2)).connect(listen)
engine.interrupt()
engine.run([1])
print("ran")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ("ran\n", "") == (done.stdout, done.stderr)


# Letting go


def with_block(engine, event, handler):
    with engine.add_event_handler(event, handler):
        engine.run([1, 2])


def connected_to(engine, event, handler):
    with engine.signal(event).connected_to(handler):
        engine.run([1, 2])


def remove_handle(engine, event, handler):
    handle = engine.add_event_handler(event, handler)
    engine.run([1, 2])
    handle.remove()


def remove_handler(engine, event, handler):
    engine.on(event)(handler)
    engine.run([1, 2])
    engine.remove_event_handler(handler, event)


def disconnect(engine, event, handler):
    engine.signal(event).connect(handler, weak=False)
    engine.run([1, 2])
    engine.signal(event).disconnect(handler)


@pytest.mark.parametrize("use", [with_block, connected_to, remove_handle, remove_handler, disconnect])
@pytest.mark.parametrize(
    "event",
    [
        Events.COMPLETED,
        Events.COMPLETED(every=1),
        Events.ITERATION_COMPLETED(every=2),
        Events.ITERATION_COMPLETED(once=99),
        Events.ITERATION_STARTED,
    ],
)
def test_what_was_removed_is_kept_by_nobody(engine, log, use, event):
    """A handler that was removed is freed at once, not only when its event occurs again."""
    handler = Listener(log)
    alive = weakref.ref(handler)
    use(engine, event, handler)
    with no_collector():
        del handler
        assert alive() is None
    heard = len(log)
    engine.run([1, 2])
    assert heard == len(log)
    assert not engine.signals[event.value].receivers


def test_a_handle_keeps_neither_engine_nor_handler(log):
    """A handle that outlives its engine does nothing, and keeps nothing."""
    engine, handler = make_engine(), Listener(log)
    handle = engine.add_event_handler(Custom.MADE | Events.STARTED(every=2), handler)
    alive = weakref.ref(engine), weakref.ref(handler)
    with no_collector():
        del engine, handler
        assert (None, None) == (alive[0](), alive[1]())
    handle.remove()
    with handle:
        pass
    assert "RemovableEventHandle(removed)" == repr(handle)


def test_a_signal_that_outlives_its_engine_cannot_be_sent(log):
    """A signal does not keep its engine, and says so when it is sent."""
    engine = make_engine()
    signal = engine.signal(Custom.MADE)
    signal.connect(Listener(log), weak=False)
    alive = weakref.ref(engine)
    with no_collector():
        del engine
        assert alive() is None
    with pytest.raises(ValueError, match="sender of made must be the engine"):
        signal.send(None)
    assert [] == log


# An engine is freed by reference counting alone


def nothing(engine, kept):
    pass


def handlers(engine, kept):
    listener = Listener()
    kept.append(engine.add_event_handler(Events.STARTED | Events.COMPLETED(every=2), listener))
    engine.add_event_handler(Events.ITERATION_COMPLETED, listener.method)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine, word, *, key: None, "word", key=3)
    engine.on(Events.EXCEPTION_RAISED)(lambda engine, exception: None)


def filtered_handlers(engine, kept):
    for condition in (Every(2) | ~Every(3), Predicate(lambda engine, count: count > 1)):
        kept.append(engine.add_event_handler(Events.ITERATION_COMPLETED(condition), Listener()))
    engine.add_event_handler(Custom.MADE(every=5), lambda: None)
    engine.fire_event(Custom.MADE)


def weak_receivers(engine, kept):
    kept.extend(make([]) for make, _ in MODEST.values())
    for owner in kept:
        engine.signal(Events.STARTED).connect(owner)
        engine.signal(Events.ITERATION_STARTED(every=2)).connect(owner)


def strong_receivers(engine, kept):
    for make, receiver_of in MODEST.values():
        engine.signal(Events.STARTED).connect(receiver_of(make([])), weak=False)
        engine.signal(Events.GET_BATCH_STARTED(every=2)).connect(receiver_of(make([])), weak=False, priority=3)


def views(engine, kept):
    view = engine.signal(Events.ITERATION_COMPLETED(every=2))
    kept += [view, engine.signals, engine.signals["started"]]
    view.connect_via(engine)(lambda engine: None)
    with view.connected_to(Listener()), engine.signal(Events.COMPLETED).muted():
        engine.run([1])


def observers(engine, kept):
    kept.append(lambda observed, **_: None)
    engine.signal(Custom.MADE).receiver_connected.connect(kept[-1])
    engine.signal(Custom.MADE).receiver_disconnected.connect(kept[-1], weak=False)
    engine.add_event_handler(Custom.MADE, print).remove()


def recorders(engine, kept):
    kept.append(EventRecorder(engine))
    with EventRecorder(engine, events=[Events.COMPLETED]):
        engine.run([1])


def descriptions(engine, kept):
    handlers(engine, kept)
    kept += [engine.describe(), str(engine), repr(engine), engine.state_dict()]


def several_runs(engine, kept):
    handlers(engine, kept)
    engine.run(range(3), max_epochs=2)
    engine.run(iter(range(4)), epoch_length=2)


def terminated(engine, kept):
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate())
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.terminate_epoch())


def failed(engine, kept):
    def fail(engine):
        raise OSError

    with engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), fail):
        try:
            engine.run([1])
        except OSError as error:
            kept.append(str(error))


def failed_and_handled(engine, kept):
    def fail(engine):
        raise OSError

    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), fail)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda: None)


def interrupted_and_reset(engine, kept):
    with engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.interrupt()):
        engine.run(range(3))
    engine.reset()


def interrupted_and_resumed(engine, kept):
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.interrupt())
    engine.run(range(3))


USES = [
    *(nothing, handlers, filtered_handlers, weak_receivers, strong_receivers, views, observers, recorders),
    *(descriptions, several_runs, terminated, failed, failed_and_handled, interrupted_and_reset),
    interrupted_and_resumed,
]


@pytest.mark.parametrize("before_use", [False, True], ids=["run after", "run before and after"])
@pytest.mark.parametrize("use", USES)
def test_an_engine_is_freed_by_reference_counting(use, before_use):
    """No cycle holds an engine that was used in any of these ways and run."""
    kept = []
    with no_collector():
        engine = make_engine()
        if before_use:
            engine.run([1])
        use(engine, kept)
        engine.run(range(3))
        alive = weakref.ref(engine), weakref.ref(engine.state)
        del engine
        assert (None, None) == (alive[0](), alive[1]())


def test_a_nested_engine_is_freed_by_reference_counting():
    """A trainer whose handler runs an evaluator under a `with` block goes with it."""
    with no_collector():
        trainer, evaluator = make_engine(), make_engine()
        alive = [weakref.ref(trainer), weakref.ref(evaluator)]

        def evaluate(engine, evaluator):
            with evaluator.add_event_handler(Events.COMPLETED, Listener().method):
                evaluator.run([1, 2])

        trainer.add_event_handler(Events.EPOCH_COMPLETED, evaluate, evaluator)
        trainer.run([1, 2, 3], max_epochs=2)
        del trainer, evaluator
        assert [None, None] == [reference() for reference in alive]


@pytest.mark.parametrize("event", [event for event in Events if event.name.split("_")[-1] in ("STARTED", "COMPLETED")])
def test_an_interrupted_engine_is_collected_in_silence(event):
    """The collector frees an engine whose run was interrupted, and nothing is emitted by that."""
    names, closed = [], []

    def data():
        try:
            yield from range(4)
        finally:
            closed.append(True)

    engine = make_engine()
    recorder = EventRecorder(engine)
    engine.add_event_handler(event, lambda engine: engine.interrupt())
    engine.run(data(), epoch_length=4)
    names = recorder.names
    alive = weakref.ref(engine)
    del engine
    gc.collect()
    assert alive() is None
    assert names == recorder.names
    assert len(closed) <= 1


# Nothing is left behind


def grown(act, times):
    """Return by how many bytes memory grows when `act` is repeated."""
    tracemalloc.start()
    try:
        for _ in range(300):
            act()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            act()
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


def add_and_remove(engine):
    engine.add_event_handler(Events.COMPLETED(every=3), receive).remove()


def add_and_remove_by_name(engine):
    engine.add_event_handler(Events.COMPLETED | Custom.MADE, receive, 3)
    engine.remove_event_handler(receive, Events.COMPLETED | Custom.MADE)


def add_for_a_block(engine):
    with engine.add_event_handler(Custom.MADE(every=2), Listener()):
        engine.fire_event(Custom.MADE)


def connect_and_disconnect(engine):
    engine.signal(Custom.MADE(once=3)).connect(receive)
    engine.signal(Custom.MADE).disconnect(receive)


def connect_and_die(engine):
    engine.signal(Custom.MADE).connect(Listener())
    engine.signal(Custom.MADE(every=2)).connect(Listener().method)


def connect_for_a_block(engine):
    with engine.signal(Custom.MADE).connected_to(receive):
        engine.fire_event(Custom.MADE)


def receive(engine, *args):
    pass


CYCLES = [
    *(add_and_remove, add_and_remove_by_name, add_for_a_block),
    *(connect_and_disconnect, connect_and_die, connect_for_a_block),
]


ATTACHED = 8  # by all of the cycles together


@pytest.mark.parametrize("cycle", CYCLES)
def test_attaching_and_removing_leaves_nothing_behind(cycle):
    """A hundred thousand receivers in all, attached and removed, leave memory as it was."""
    engine = make_engine()
    assert grown(lambda: cycle(engine), 100_000 // ATTACHED) < 4096
    assert [] == [name for name, signal in engine.signals.items() if signal.receivers]


def test_engines_leave_nothing_behind():
    """Making, running and dropping engines leaves memory as it was."""

    def cycle():
        engine = make_engine()
        handlers(engine, [])
        engine.run([1, 2])

    assert grown(cycle, 300) < 4096
