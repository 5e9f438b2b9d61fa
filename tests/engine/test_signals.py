"""Signals keep blinker's contract, know the order of their receivers, and count every occurrence."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import attrs
import blinker
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ignite_signals.engine import (
    Engine,
    EventEnum,
    Events,
    EventSignal,
    Every,
    FilteredSignal,
    Once,
    RemovableEventHandle,
)

# A busy machine is no failure.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


class Custom(EventEnum):
    MADE = "made"
    OTHER = "other"


class Call:
    """A receiver that logs its name and returns it."""

    def __init__(self, log, name, act=lambda engine: None):
        self.log, self.name, self.act = log, name, act

    def __call__(self, engine):
        self.log.append(self.name)
        self.act(engine)
        return self.name

    def method(self, engine):
        return self(engine)

    def __repr__(self):
        return self.name


@pytest.fixture
def engine():
    engine = Engine(lambda engine, batch: None)
    engine.register_events(*Custom)
    return engine


@pytest.fixture
def signal(engine):
    return engine.signal(Custom.MADE)


@pytest.fixture
def log():
    return []


# The namespace


def test_a_signal_is_one_object_under_all_its_names(engine):
    """The namespace, its method and the engine's give the same blinker signal for an event."""
    signal = engine.signal(Events.EPOCH_COMPLETED)
    assert signal is engine.signals["epoch_completed"]
    assert signal is engine.signals.signal("epoch_completed")
    assert signal is engine.signal("epoch_completed")
    assert isinstance(signal, blinker.NamedSignal)
    assert isinstance(signal, EventSignal)
    assert isinstance(engine.signals, blinker.Namespace)
    assert "epoch_completed" == signal.name
    assert "epoch_completed" in repr(signal)


def test_two_engines_have_signals_of_their_own(engine, log):
    """What listens to one engine does not hear another."""
    engine.signal(Events.COMPLETED).connect(Call(log, "a"), weak=False)
    Engine(lambda engine, batch: None).run([1])
    assert [] == log


@pytest.mark.parametrize("look_up", [lambda signals, name: signals[name], lambda signals, name: signals.signal(name)])
@pytest.mark.parametrize("name", ["epoch_complete", "EPOCH_COMPLETED", 3, None])
def test_an_unknown_name_raises_and_lists_the_known_names(engine, look_up, name):
    """A name that the engine lacks is refused, where blinker would make a signal up."""
    with pytest.raises(KeyError) as caught:
        look_up(engine.signals, name)
    assert isinstance(caught.value, ValueError)
    assert f"unknown event {name!r}" in str(caught.value)
    assert all(known in str(caught.value) for known in ("epoch_completed", "made", "register_events"))
    assert name not in engine.signals


def test_a_filtered_event_gives_a_view_of_the_signal(engine, log):
    """The view has the signal's verbs, for the occurrences that pass."""
    view = engine.signal(Custom.MADE(every=2))
    assert isinstance(view, FilteredSignal)
    assert (engine.signal(Custom.MADE), Every(2)) == (view.signal, view.filter)
    assert view == engine.signal(Custom.MADE(every=2))
    first, second, third = (Call(log, name) for name in "abc")
    assert first is view.connect(first)
    assert second is view.connect_via(engine)(second)
    with view.connected_to(third):
        for _ in range(4):
            engine.fire_event(Custom.MADE)
    view.disconnect(first)
    for _ in range(2):
        engine.fire_event(Custom.MADE)
    assert ["a", "b", "c", "a", "b", "c", "b"] == log


# Sending


def test_send_returns_receivers_and_values(engine, signal, log):
    """`send` returns pairs of the user's own callable and what it returned, in the order of calling."""
    weak, strong, owner = Call(log, "weak"), Call(log, "strong"), Call(log, "owner")

    def handler(engine, *arguments):
        return arguments

    signal.connect(weak)
    signal.connect(strong, weak=False, priority=3)
    signal.connect(owner.method)
    engine.add_event_handler(Custom.MADE, handler, 1, 2)
    engine.add_event_handler(Custom.MADE(once=1), handler, 3)
    expected = [
        (strong, "strong"),
        (weak, "weak"),
        (owner.method, "owner"),
        (handler, (1, 2)),
        (handler, (3,)),
    ]
    assert expected == signal.send(engine)
    assert expected[:-1] == signal.send(engine)


def test_send_returns_receivers_that_died_meanwhile(engine, signal, log):
    """A receiver whose owner goes later in the same send is still in what `send` returns."""
    owners = [Call(log, "first"), Call(log, "method")]
    names = ["first", "method"]
    signal.connect(owners[0])
    signal.connect(owners[1].method)
    signal.connect(Call(log, "last", lambda engine: owners.clear()), weak=False)
    receivers, values = zip(*signal.send(engine), strict=True)
    assert (*names, "last") == values
    assert names == [repr(receivers[0]), repr(receivers[1].__self__)]
    del receivers
    assert ["last"] == [value for _, value in signal.send(engine)]


@pytest.mark.parametrize("sender", [None, 3, "engine", Engine(lambda engine, batch: None)])
def test_the_sender_must_be_the_engine(engine, signal, log, sender):
    """A signal refuses to be sent by, or connected to, another sender than its engine, and shows it."""
    signal.connect(Call(log, "a"), weak=False)
    for use in (
        signal.send,
        lambda sender: signal.connect(print, sender),
        lambda sender: signal.disconnect(print, sender),
        lambda sender: signal.connect_via(sender)(print),
        lambda sender: engine.signal(Custom.MADE(every=2)).connect(print, sender),
        lambda sender: signal.connected_to(print, sender).__enter__(),
    ):
        with pytest.raises(ValueError, match="sender of made must be the engine") as caught:
            use(sender)
        assert repr(sender) in str(caught.value)
    assert [] == log
    assert 0 == engine.state.made


def test_a_receiver_may_be_connected_to_its_engine_as_the_sender(engine, signal, log):
    """`sender=engine` and no sender mean the same."""
    receiver = Call(log, "a")
    signal.connect(receiver, engine)
    signal.connect(receiver, sender=blinker.ANY)
    signal.send(engine)
    assert ["a"] == log
    signal.disconnect(receiver, engine)
    assert [] == signal.send(engine)


def test_send_takes_only_what_the_event_sends(engine):
    """The payload of a built-in event is fixed; the error says what it sends."""
    for name, payload, sent in [
        ("started", {"value": 3}, "nothing"),
        ("exception_raised", {}, "exception"),
        ("terminate_single_epoch", {"exception": 3}, "iter_counter"),
    ]:
        with pytest.raises(ValueError, match=f"{name} sends {sent} beside the engine"):
            engine.signals[name].send(engine, **payload)


def test_a_custom_event_sends_what_the_user_gives(engine, signal):
    """`fire_event` and `send` pass the user's payload to receivers by name."""
    got = []

    def by_name(engine, loss, rate=None):
        got.append((loss, rate))

    def any_name(engine, **payload):
        got.append(payload)

    signal.connect(by_name)
    engine.signal(Custom.MADE(every=2)).connect(any_name)
    engine.fire_event(Custom.MADE, loss=3)
    signal.send(engine, loss=4, rate=0.5)
    assert [(3, None), (4, 0.5), {"loss": 4, "rate": 0.5}] == got


def test_a_signal_that_is_sent_by_hand_counts(engine, signal):
    """Sent by hand or fired, each occurrence counts, and is the last event."""
    heard = []
    engine.add_event_handler(Custom.MADE(every=2), lambda: heard.append(engine.state.made))
    signal.send(engine)
    engine.fire_event(Custom.MADE)
    assert Custom.MADE == engine.last_event_name
    engine.signals["made"].send(engine)
    engine.signals["made"].send(engine)
    assert [2, 4] == heard
    engine.signals["completed"].send(engine)
    engine.run([1])
    assert 2 == engine.state.completed


def test_a_signal_that_is_counted_by_the_state_is_sent_at_the_states_count(engine):
    """Sending ITERATION_COMPLETED by hand does not move the iteration."""
    heard = []
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: heard.append(engine.state.iteration))
    engine.run(range(3))
    engine.signals["iteration_completed"].send(engine)
    assert [3, 3] == heard


def test_what_is_not_heard_returns_nothing(engine, signal, log):
    """`send` returns pairs of those alone that heard the occurrence."""
    engine.signal(Custom.MADE(once=2)).connect(Call(log, "a"), weak=False)
    assert [[], ["a"], []] == [[value for _, value in signal.send(engine)] for _ in range(3)]


def test_a_failing_receiver_ends_a_send(engine, signal, log):
    """An exception leaves `send` as itself, with a note that names receiver, event and count."""

    def fail(engine):
        raise OSError("disk full")

    signal.connect(Call(log, "before"), weak=False)
    engine.add_event_handler(Custom.MADE(once=2), fail)
    signal.connect(Call(log, "after"), weak=False)
    signal.send(engine)
    with pytest.raises(OSError, match="disk full") as caught:
        signal.send(engine)
    assert ["before", "after", "before"] == log
    [note] = caught.value.__notes__
    assert all(word in note for word in ("fail", "made", "2"))
    signal.send(engine)
    assert ["before", "after"] == log[-2:]


def test_there_is_no_asynchronous_sending(signal, engine):
    """`send_async` says that the receivers are synchronous."""
    with pytest.raises(RuntimeError, match="synchronous"):
        signal.send_async(engine).send(None)


# Muting


def test_a_muted_signal_calls_nobody_and_counts(engine, signal, log):
    """Muted blocks nest, and their occurrences are counted."""
    signal.connect(Call(log, "a"), weak=False)
    engine.signal(Custom.MADE(once=4)).connect(Call(log, "fourth"), weak=False)
    with signal.muted():
        assert [] == signal.send(engine)
        with signal.muted():
            assert signal.is_muted
            engine.fire_event(Custom.MADE)
        assert signal.is_muted
        assert [] == signal.send(engine)
    assert not signal.is_muted
    assert 3 == engine.state.made
    signal.send(engine)
    assert ["a", "fourth"] == log


def test_muting_ends_with_an_exception(signal):
    """A muted block that fails leaves the signal as it was."""
    with pytest.raises(ZeroDivisionError), signal.muted():
        1 / 0
    assert not signal.is_muted


def test_muting_is_heeded_by_the_run(log):
    """A signal that is muted in mid-run is not heard until it is unmuted; others are."""

    def step(engine, batch):
        if batch == 2:
            stack.enter_context(engine.signal(Events.ITERATION_COMPLETED).muted())
        elif batch == 4:
            stack.close()

    stack = ExitStack()
    engine = Engine(step)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: log.append(engine.state.iteration))
    engine.add_event_handler(Events.ITERATION_STARTED, lambda: log.append("started"))
    engine.run([1, 2, 3, 4])
    assert ["started", 1, "started", "started", "started", 4] == log


# Connecting for a while


def test_connected_to_connects_while_the_block_runs(engine, signal, log):
    """The receiver is heard in the block, also an unnamed one, and not after, also where the block fails."""
    with signal.connected_to(lambda engine: log.append("lambda")):
        signal.send(engine)
    with pytest.raises(ZeroDivisionError), signal.connected_to(Call(log, "a", lambda engine: 1 / 0)):
        signal.send(engine)
    assert [] == signal.send(engine)
    assert ["lambda", "a"] == log


def test_connected_to_nests(engine, signal, log):
    """The inner block of a receiver leaves the connection of the outer one."""
    receiver = Call(log, "a")
    with signal.connected_to(receiver):
        with signal.connected_to(receiver, priority=5):
            signal.send(engine)
        signal.send(engine)
    signal.send(engine)
    assert ["a", "a"] == log


def test_connected_to_leaves_an_earlier_connection_as_it_was(engine, signal, log):
    """A weak connection with a priority is weak again after the block, with its priority, and in its place."""
    receiver = Call(log, "a")
    signal.connect(receiver, priority=1)
    signal.connect(Call(log, "b"), weak=False)
    with signal.connected_to(receiver, priority=-1):
        signal.send(engine)
        signal.connect(Call(log, "c"), weak=False, priority=1)
    signal.send(engine)
    assert ["b", "a", "a", "c", "b"] == log
    del receiver
    signal.send(engine)
    assert ["c", "b"] == log[5:]


def test_connected_to_does_not_bring_back_what_was_disconnected_in_the_block(engine, signal, log):
    """An earlier connection that is ended in the block stays ended."""
    receiver = Call(log, "a")
    signal.connect(receiver)
    with signal.connected_to(receiver):
        signal.disconnect(receiver)
    assert [] == signal.send(engine)


def test_connected_to_tells_filters_apart(engine, signal, log):
    """A block behind one filter leaves the receiver's connections behind others."""
    receiver = Call(log, "a")
    engine.signal(Custom.MADE(every=2)).connect(receiver)
    with engine.signal(Custom.MADE(every=3)).connected_to(receiver):
        counts = [bool(signal.send(engine)) for _ in range(6)]
    assert [False, True, True, True, False, True] == counts
    assert 5 == len(log)  # 2, 3, 4, and both at 6
    assert [False, True] == [bool(signal.send(engine)) for _ in range(2)]


def test_connect_via_decorates(engine, signal, log):
    """The decorated function is returned, and the engine keeps it alive unless told otherwise."""

    @signal.connect_via(engine, priority=-1)
    def kept(engine):
        log.append("kept")

    @signal.connect_via()
    def anyone(engine):
        log.append("anyone")

    assert {kept, anyone} == set(signal.receivers_for(engine))
    del kept, anyone
    signal.send(engine)
    assert ["anyone", "kept"] == log

    weak = signal.connect_via(engine, weak=True)(Call(log, "weak"))
    signal.send(engine)
    del weak
    signal.send(engine)
    assert 1 == log.count("weak")


# Being told of connections


def test_observers_are_told_of_connections(engine, signal, log):
    """`receiver_connected` and `receiver_disconnected` say what was connected, how, and with what sender."""
    receiver = Call([], "a")

    def connected(observed, receiver, sender, weak):
        log.append(("connected", observed, receiver, sender, weak))

    def disconnected(observed, receiver, sender):
        log.append(("disconnected", observed, receiver, sender))

    signal.receiver_connected.connect(connected)
    signal.receiver_disconnected.connect(disconnected)
    signal.connect(receiver)
    signal.disconnect(receiver)
    signal.connect(receiver, engine, weak=False)
    signal.disconnect(receiver, engine)
    engine.signal(Custom.MADE(every=2)).connect(receiver)
    signal.disconnect(receiver)
    assert [
        ("connected", signal, receiver, blinker.ANY, True),
        ("disconnected", signal, receiver, blinker.ANY),
        ("connected", signal, receiver, engine, False),
        ("disconnected", signal, receiver, engine),
        ("connected", signal, receiver, blinker.ANY, True),
        ("disconnected", signal, receiver, blinker.ANY),
    ] == log


@pytest.mark.parametrize(
    "connect_and_part",
    [
        lambda engine, handler: engine.add_event_handler(Custom.MADE, handler).remove(),
        lambda engine, handler: engine.add_event_handler(Custom.MADE(every=2), handler).__enter__().__exit__(),
        lambda engine, handler: engine.remove_event_handler(engine.on(Custom.MADE)(handler), Custom.MADE),
        lambda engine, handler: engine.signal(Custom.MADE).disconnect(engine.signal(Custom.MADE).connect(handler)),
        lambda engine, handler: ExitStack().__enter__().enter_context(engine.signal(Custom.MADE).connected_to(handler)),
    ],
    ids=["handle", "with handle", "remove_event_handler", "disconnect", "connected_to"],
)
def test_what_is_told_as_connected_is_told_as_disconnected(engine, signal, log, connect_and_part):
    """Whichever way a user ends a connection, observers hear of it once, with the user's callable."""

    def observe(what):
        def told(observed, receiver, **_):
            log.append((what, receiver))

        return told

    handler = Call([], "a")
    signal.receiver_connected.connect(observe("connected"), weak=False)
    signal.receiver_disconnected.connect(observe("disconnected"), weak=False)
    connect_and_part(engine, handler)
    assert [("connected", handler), ("disconnected", handler)] == log


def test_an_observer_may_connect_in_turn(engine, signal, log):
    """A receiver that is connected by an observer of connections is told of, too."""
    other = Call(log, "other")

    def observer(observed, receiver, **_):
        log.append(receiver)
        if receiver is not other:
            observed.connect(other)

    signal.receiver_connected.connect(observer)
    first = signal.connect(Call(log, "first"))
    assert [first, other] == log
    signal.send(engine)
    assert ["first", "other"] == log[2:]


def test_an_observer_may_refuse_a_connection(engine, signal, log):
    """Where an observer of connections raises, the receiver is not connected."""

    def refuse(observed, **_):
        raise PermissionError("not here")

    receiver = Call(log, "a")
    signal.receiver_connected.connect(refuse)
    for connect in (signal.connect, lambda receiver: engine.add_event_handler(Custom.MADE, receiver)):
        with pytest.raises(PermissionError, match="not here"):
            connect(receiver)
    assert [] == signal.send(engine)


def test_disconnecting_what_is_not_connected_does_nothing(engine, signal, log):
    """As in blinker, `disconnect` is no error where there is nothing to disconnect."""
    signal.connect(Call(log, "a"), weak=False)
    signal.disconnect(print)
    signal.disconnect(Call(log, "b"))
    assert ["a"] == [value for _, value in signal.send(engine)]


def test_receivers_can_be_asked_for(engine, signal, log):
    """`receivers_for` gives the user's callables in order; `has_receivers_for` whether there are any."""
    assert not signal.has_receivers_for(engine)
    assert not signal.receivers
    first, second = Call(log, "a"), Call(log, "b")
    signal.connect(first)
    engine.add_event_handler(Custom.MADE(every=2), second)
    signal.connect(first.method, priority=2)
    assert [first.method, first, second] == list(signal.receivers_for(engine))
    assert [first.method, first, second] == list(signal.receivers_for(blinker.ANY))
    assert [] == list(signal.receivers_for("stranger"))
    assert signal.has_receivers_for(engine)
    assert not signal.has_receivers_for("stranger")
    assert signal.receivers


# Connections


def test_a_connection_is_known_by_receiver_and_filter(engine, signal, log):
    """Connecting the same pair again changes the connection; another filter makes another one."""
    receiver = Call(log, "a")
    for _ in range(3):
        signal.connect(receiver)
        engine.signal(Custom.MADE(every=2)).connect(receiver)
        engine.signal(Custom.MADE(Every(2))).connect(receiver)
    signal.send(engine)
    assert ["a"] == log
    signal.send(engine)
    assert ["a"] * 3 == log
    engine.signal(Custom.MADE(every=2)).disconnect(receiver)
    signal.send(engine), signal.send(engine)
    assert ["a"] * 5 == log


def test_connecting_again_changes_priority_and_ownership_but_not_the_place(engine, signal, log):
    """The second `connect` of a pair sets weak and priority anew."""
    first, second = Call(log, "a"), Call(log, "b")
    signal.connect(first), signal.connect(second)
    signal.connect(second, priority=1)
    signal.send(engine)
    signal.connect(second), signal.connect(first, weak=False)
    signal.send(engine)
    del first
    signal.send(engine)
    assert ["b", "a", "a", "b", "a", "b"] == log


def test_a_bound_method_is_one_receiver_at_each_look(engine, signal, log):
    """`owner.method` is the same receiver each time, and another one for another owner."""
    one, other = Call(log, "one"), Call(log, "other")
    for owner in (one, other, one):
        signal.connect(owner.method)
    signal.send(engine)
    signal.disconnect(one.method)
    signal.send(engine)
    assert ["one", "other", "other"] == log


def test_a_builtin_method_is_one_receiver_at_each_look(engine, signal):
    """`some_list.append` is found again, though each look makes a new object."""
    one, other = [], []
    for owner in (one, other, one):
        signal.connect(owner.append, weak=False)
    signal.send(engine)
    signal.disconnect(one.append)
    signal.send(engine)
    assert ([engine], [engine, engine]) == (one, other)


def test_receivers_that_are_equal_are_not_the_same(engine, signal):
    """Receivers are told apart by identity, not by equality."""

    @attrs.define(eq=True, unsafe_hash=True)
    class Adder:
        amount: int

        def __call__(self, engine):
            return self.amount

    one, other = Adder(1), Adder(1)
    signal.connect(one, weak=False), signal.connect(other, weak=False)
    signal.disconnect(one)
    assert one == other
    [(receiver, _)] = signal.send(engine)
    assert receiver is other


def test_a_failed_connect_leaves_an_earlier_connection_as_it_was(engine, signal, log):
    """What cannot be connected weakly says so, and its strong connection goes on."""

    class Slotted:
        __slots__ = ()

        def __call__(self, engine):
            log.append("object")

        def method(self, engine):
            log.append("method")

    receiver = Slotted()
    signal.connect(receiver, weak=False, priority=2)
    signal.connect(receiver.method, weak=False, priority=1)
    for again in (receiver, receiver.method):
        with pytest.raises(TypeError, match=r"cannot be referred to weakly.*weak=False"):
            signal.connect(again, priority=-1)
    signal.connect(Call(log, "last"), weak=False)
    signal.send(engine)
    assert ["object", "method", "last"] == log


def test_each_added_handler_is_a_connection_of_its_own(engine, signal):
    """The same handler added twice, with other arguments or the same, is called twice."""
    got = []
    for argument in ("x", "y", "x"):
        engine.add_event_handler(Custom.MADE, lambda *arguments: got.append(arguments[1:]), argument)
    handler = got.append
    engine.add_event_handler(Custom.MADE, handler)
    signal.connect(handler)
    signal.send(engine)
    assert [("x",), ("y",), ("x",), engine, engine] == got


# Order


def test_receivers_run_in_order_of_priority_then_of_connection(engine, signal, log):
    """Larger priorities come first, equal ones in the order of connection, filtered or not, weak or strong."""
    order = [("c", 0), ("a", 7), ("e", -1), ("d", 0), ("b", 7), ("f", -200)]
    receivers = [Call(log, name) for name, _ in order]
    for number, (receiver, (_, priority)) in enumerate(zip(receivers, order, strict=True)):
        view = signal if number % 2 else engine.signal(Custom.MADE(every=1))
        view.connect(receiver, weak=number % 3 == 0, priority=priority)
    signal.send(engine), signal.send(engine)
    assert list("abcdef" * 2) == log


class Prioritised(Call):
    priority = 50


def test_a_handler_may_bring_its_priority(engine, log):
    """`add_event_handler` reads `priority` of the handler, or of the owner of a bound method."""

    def late(engine):
        log.append("late")

    late.priority = -5
    plain, object_, owner = Call(log, "plain"), Prioritised(log, "object"), Prioritised(log, "owner")
    for handler in (late, plain, object_, owner.method):
        engine.add_event_handler(Custom.MADE, handler)
    engine.fire_event(Custom.MADE)
    assert ["object", "owner", "plain", "late"] == log


@pytest.mark.parametrize("priority", [True, "high", 1.5, None])
def test_what_is_no_integer_is_no_priority(engine, signal, log, priority):
    """`connect` refuses it by name and value; an attribute of that sort is the user's own affair."""
    with pytest.raises((TypeError, ValueError), match=f"priority must be an integer.*, got {priority!r}"):
        signal.connect(print, priority=priority)
    handler = Call(log, "second")
    handler.priority = priority
    engine.add_event_handler(Custom.MADE, Call(log, "first"))
    engine.add_event_handler(Custom.MADE, handler)
    signal.send(engine)
    assert ["first", "second"] == log


# Connecting and disconnecting during a send


def test_a_receiver_connected_during_a_send_waits_for_the_next(engine, signal, log):
    """A receiver that another one connects is called from the next send on, whatever its priority."""
    late = [Call(log, "late"), Call(log, "filtered")]

    def connect(engine):
        signal.connect(late[0], priority=-1)
        engine.signal(Custom.MADE(every=1)).connect(late[1], priority=5)
        engine.add_event_handler(Custom.MADE(once=[1, 2]), late[0])

    first = Call(log, "first", connect)
    signal.connect(first)
    signal.send(engine)
    assert ["first"] == log
    first.act = lambda engine: None
    signal.send(engine)
    assert ["filtered", "first", "late", "late"] == log[1:]


@pytest.mark.parametrize(
    "part",
    [
        lambda engine, receiver, handle: engine.signal(Custom.MADE).disconnect(receiver),
        lambda engine, receiver, handle: (handle.remove(), engine.signal(Custom.MADE(every=1)).disconnect(receiver)),
        lambda engine, receiver, handle: engine.remove_event_handler(receiver, Custom.MADE),
        lambda engine, receiver, handle: (
            engine.remove_event_handler(receiver, Custom.MADE(every=1)),
            handle.remove(),
        ),
    ],
)
def test_a_receiver_disconnected_during_a_send_is_not_called_any_more(engine, signal, log, part):
    """A receiver that another one disconnects is not called in that send."""
    victim = Call(log, "victim")
    first = signal.connect(Call(log, "first", lambda engine: part(engine, victim, handle)))
    engine.signal(Custom.MADE(every=1)).connect(victim)
    handle = engine.add_event_handler(Custom.MADE, victim)
    signal.connect(Call(log, "last"), weak=False)
    signal.send(engine)
    first.act = lambda engine: None
    signal.send(engine)
    assert ["first", "last"] * 2 == log


def test_a_receiver_that_is_disconnected_and_connected_again_waits(engine, signal, log):
    """Ending a connection and making it anew during a send makes a new one, which waits."""
    again = Call(log, "again")

    def renew(engine):
        signal.disconnect(again)
        signal.connect(again)

    first = signal.connect(Call(log, "first", renew))
    signal.connect(again)
    signal.send(engine)
    assert ["first"] == log
    first.act = lambda engine: None
    signal.send(engine)
    assert ["first", "again"] == log[1:]


def test_a_receiver_may_disconnect_itself(engine, signal, log):
    """A receiver that leaves while it is called is not called again; the others are."""
    once = Call(log, "once", lambda engine: signal.disconnect(once))
    signal.connect(once), signal.connect(Call(log, "other"), weak=False)
    signal.send(engine), signal.send(engine)
    assert ["once", "other", "other"] == log


def test_connections_changed_in_mid_run_are_noticed(log):
    """In a run, what the step connects or removes is heard from the next occurrence on, or no more."""

    def step(engine, batch):
        if batch == 2:
            handles.append(engine.add_event_handler(Events.ITERATION_COMPLETED(every=3), lambda: log.append(batch)))
        if batch == 8:
            handles[0].remove()
            engine.add_event_handler(Events.ITERATION_STARTED, lambda: log.append("late"))

    handles = []
    engine = Engine(step)
    engine.run(range(1, 11))
    assert [2, 2, "late", "late"] == log


# At random, against a model

NAMES = "abcd"
conditions = st.sampled_from([None, ("every", 2), ("once", 3)])
operations = st.one_of(
    st.tuples(st.just("connect"), st.sampled_from(NAMES), conditions, st.integers(-1, 1), st.booleans()),
    st.tuples(st.just("connect"), st.sampled_from(NAMES), conditions, st.integers(-1, 1), st.booleans()),
    st.tuples(st.just("add"), st.sampled_from(NAMES), conditions),
    st.tuples(st.just("disconnect"), st.sampled_from(NAMES), conditions),
    st.tuples(st.just("remove"), st.integers(0, 5)),
    st.tuples(st.just("send")),
    st.tuples(st.just("send")),
    st.tuples(st.just("mute")),
    st.tuples(st.just("unmute")),
)
scripts = st.lists(operations, max_size=14)
# What receivers do while they are called: a list for each of their calls.
habits = st.dictionaries(st.sampled_from(NAMES), st.lists(st.lists(operations, max_size=3), max_size=5))
DEEPEST = 3


class Machine:
    """Perform operations, and log who is called at which depth of nested sends."""

    def __init__(self, habits):
        self.habits = {name: iter(habits.get(name, ())) for name in NAMES}
        self.log = []
        self.depth = 0

    def called(self, name):
        self.log.append((self.depth, name))
        for operation in next(self.habits[name], ()):
            self.perform(*operation)

    def perform(self, verb, *arguments):
        if verb != "send":
            getattr(self, verb)(*arguments)
        elif self.depth < DEEPEST:
            self.depth += 1
            self.log.append((self.depth, self.send()))
            self.depth -= 1


class ModelMachine(Machine):
    """The contract, written down plainly."""

    def __init__(self, habits):
        super().__init__(habits)
        self.connections, self.handlers = {}, []
        self.serial = self.count = self.mutes = 0

    def new(self, key, priority, name, condition):
        self.serial += 1
        self.connections[key] = [-priority, self.serial, name, condition]

    def connect(self, name, condition, priority, weak):
        if (name, condition) in self.connections:
            self.connections[name, condition][0] = -priority
        else:
            self.new((name, condition), priority, name, condition)

    def add(self, name, condition):
        self.handlers.append(("handler", self.serial))
        self.new(self.handlers[-1], 0, name, condition)

    def disconnect(self, name, condition):
        for key, (*_, other, behind) in list(self.connections.items()):
            if name == other and condition in (None, behind):
                del self.connections[key]

    def remove(self, number):
        if number < len(self.handlers):
            self.connections.pop(self.handlers[number], None)

    def mute(self):
        self.mutes += 1

    def unmute(self):
        self.mutes = max(self.mutes - 1, 0)

    def send(self):
        self.count += 1
        count, values = self.count, []
        for connection in sorted(self.connections.values()) if not self.mutes else ():
            *_, name, condition = connection
            heard = condition is None or (count % 2 == 0 if condition[0] == "every" else count == condition[1])
            if heard and any(connection is alive for alive in self.connections.values()):
                self.called(name)
                values.append(name)
        return values


class RealMachine(Machine):
    """The same on the signal of an engine."""

    def __init__(self, habits):
        super().__init__(habits)
        self.engine = Engine(lambda engine, batch: None)
        self.engine.register_events(*Custom)
        self.signal = self.engine.signal(Custom.MADE)
        self.receivers = {name: Call([], name, lambda engine, name=name: self.called(name)) for name in NAMES}
        self.handles, self.mutes = [], []

    def event(self, condition):
        return Custom.MADE if condition is None else Custom.MADE(**dict([condition]))

    def connect(self, name, condition, priority, weak):
        view = self.engine.signal(self.event(condition))
        view.connect(self.receivers[name], weak=weak, priority=priority)

    def add(self, name, condition):
        self.handles.append(self.engine.add_event_handler(self.event(condition), self.receivers[name]))

    def disconnect(self, name, condition):
        self.engine.signal(self.event(condition)).disconnect(self.receivers[name])

    def remove(self, number):
        if number < len(self.handles):
            self.handles[number].remove()

    def mute(self):
        self.mutes.append(self.signal.muted())
        self.mutes[-1].__enter__()

    def unmute(self):
        if self.mutes:
            self.mutes.pop().__exit__(None, None, None)

    def send(self):
        return [value for _, value in self.signal.send(self.engine)]


@settings(PATIENT, max_examples=400)
@given(habits, scripts)
def test_changes_during_sends_keep_the_contract(habits, script):
    """Receivers come, go, send and mute at random while they are called: the model calls the same, in order."""
    model, real = ModelMachine(habits), RealMachine(habits)
    for operation in [*script, ("unmute",), ("unmute",), ("send",), ("send",)]:
        model.perform(*operation)
        real.perform(*operation)
    assert model.log == real.log
    assert model.count == real.engine.state.made


between_sends = st.lists(
    st.one_of(
        st.tuples(st.just("connect"), st.sampled_from(NAMES), st.booleans()),
        st.tuples(st.just("disconnect"), st.sampled_from(NAMES)),
        st.tuples(st.just("drop"), st.sampled_from(NAMES)),
        st.tuples(st.just("send")),
    ),
    max_size=20,
)
helpers = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(NAMES))


def heard_from(signal: Any, sender: Any, script: Any, helpers: Any) -> list[Any]:
    """Perform a script, and return the names that were heard at each send, without their order."""

    class Receiver:
        def __init__(self, name):
            self.name = name

        def __call__(self, sender):
            helped = owners.get(helpers.get(self.name))
            if helped is not None:
                signal.connect(helped)
            return self.name

    owners: dict[str, Any] = {name: Receiver(name) for name in NAMES}
    heard = []
    for verb, *arguments in [*script, ("send",)]:
        owner = owners.get(arguments[0]) if arguments else None
        if verb == "send":
            heard.append(sorted(value for _, value in signal.send(sender)))
        elif verb == "drop":
            owners.pop(arguments[0], None)
        elif owner is not None and verb == "connect":
            signal.connect(owner, weak=arguments[1])
        elif owner is not None:
            signal.disconnect(owner)
        del owner
    return heard


@settings(PATIENT, max_examples=200)
@given(between_sends, helpers)
def test_a_signal_calls_whom_stock_blinker_calls(script, helpers):
    """Where order does not matter, an engine's signal and a stock NamedSignal call the same receivers."""
    engine = Engine(lambda engine, batch: None)
    stock = heard_from(blinker.NamedSignal("stock"), engine, script, helpers)
    assert stock == heard_from(engine.signal(Events.STARTED), engine, script, helpers)


# Removing


def test_a_handle_removes_what_was_added_and_may_be_used_again(engine, log):
    """`remove` is idempotent, and ends every connection of a list of events."""
    handler = Call(log, "a")
    handle = engine.add_event_handler(Custom.MADE | Custom.OTHER(every=2), handler)
    kept = engine.add_event_handler(Custom.MADE, handler)
    assert isinstance(handle, RemovableEventHandle)
    engine.fire_event(Custom.MADE), engine.fire_event(Custom.OTHER)
    assert ["a", "a"] == log
    handle.remove()
    handle.remove()
    engine.fire_event(Custom.MADE), engine.fire_event(Custom.OTHER)
    assert ["a"] * 3 == log
    with handle as again:
        assert again is handle
    with kept:
        engine.fire_event(Custom.MADE)
    engine.fire_event(Custom.MADE)
    assert ["a"] * 4 == log


def test_a_handle_says_what_it_removes(engine, log):
    """A handle prints handler and event while they are connected."""

    def handler(engine):
        log.append(engine)

    handle = engine.add_event_handler(Custom.MADE, handler)
    assert "handler" in repr(handle)
    assert "made" in repr(handle)
    handle.remove()
    assert "RemovableEventHandle(removed)" == repr(handle)


def test_a_handle_ends_its_own_connection_alone(engine, log):
    """A handle used after its handler was removed and added again leaves the new connection."""
    handler = Call(log, "a")
    handle = engine.add_event_handler(Custom.MADE, handler)
    engine.remove_event_handler(handler, Custom.MADE)
    engine.add_event_handler(Custom.MADE, handler)
    handle.remove()
    engine.fire_event(Custom.MADE)
    assert ["a"] == log


def test_a_plain_event_removes_a_handler_behind_any_filter(engine, log):
    """`remove_event_handler(handler, X)` removes it from X in every form, and from nowhere else."""
    handler, other = Call(log, "a"), Call(log, "b")
    for event in (Custom.MADE, Custom.MADE(every=1), Custom.MADE(once=2), Custom.OTHER):
        engine.add_event_handler(event, handler)
    engine.add_event_handler(Custom.MADE, other)
    engine.remove_event_handler(handler, Custom.MADE)
    engine.fire_event(Custom.MADE), engine.fire_event(Custom.MADE), engine.fire_event(Custom.OTHER)
    assert ["b", "b", "a"] == log


def test_a_filtered_event_removes_a_handler_behind_that_filter(engine, log):
    """Removing behind `every=3` leaves the handler behind `every=5` and the plain one."""
    handler = Call(log, "a")
    engine.add_event_handler(Custom.MADE(every=3), handler)
    engine.add_event_handler(Custom.MADE(every=5), handler)
    engine.remove_event_handler(handler, Custom.MADE(every=3))
    counts = [bool(engine.signal(Custom.MADE).send(engine)) for _ in range(10)]
    assert [5, 10] == [count for count, heard in enumerate(counts, 1) if heard]
    with pytest.raises(ValueError, match="is not attached to"):
        engine.remove_event_handler(handler, Custom.MADE(every=3))


def test_removing_what_is_not_attached_is_an_error(engine, log):
    """The error names the handler and the event."""

    def handler(engine):
        log.append(engine)

    with pytest.raises(ValueError, match=r"handler .*handler.* is not attached to Custom\.MADE"):
        engine.remove_event_handler(handler, Custom.MADE)
    engine.add_event_handler(Custom.MADE(every=2), handler)
    with pytest.raises(ValueError, match=r"is not attached to Custom\.MADE\(Every\(3\)\)"):
        engine.remove_event_handler(handler, Custom.MADE(every=3))
    assert engine.has_event_handler(handler, Custom.MADE)


def test_bound_and_builtin_methods_are_found_again(engine, log):
    """A method that is looked up anew is the handler that was added."""
    owner = Call(log, "a")
    for handler in (lambda: owner.method, lambda: log.append, lambda: Call.method):
        engine.add_event_handler(Custom.MADE, handler())
        assert engine.has_event_handler(handler(), Custom.MADE)
        engine.remove_event_handler(handler(), Custom.MADE)
        assert not engine.has_event_handler(handler())
    assert not engine.has_event_handler(Call(log, "b").method)


def test_has_event_handler_knows_events_and_filters(engine, log):
    """With a plain event it looks behind any filter, with a filtered one behind that, with none everywhere."""
    handler = Call(log, "a")
    assert not engine.has_event_handler(handler)
    engine.add_event_handler(Custom.MADE(every=2), handler)
    found = {
        "anywhere": engine.has_event_handler(handler),
        "plain": engine.has_event_handler(handler, Custom.MADE),
        "same": engine.has_event_handler(handler, Custom.MADE(every=2)),
        "listed": engine.has_event_handler(handler, Custom.OTHER | Custom.MADE(every=2)),
    }
    assert dict.fromkeys(found, True) == found
    missed = {
        "other filter": engine.has_event_handler(handler, Custom.MADE(every=3)),
        "other event": engine.has_event_handler(handler, Custom.OTHER),
        "other handler": engine.has_event_handler(print, Custom.MADE),
        "listed": engine.has_event_handler(handler, Custom.OTHER | Custom.MADE(once=1)),
    }
    assert dict.fromkeys(missed, False) == missed


def test_on_decorates(engine, log):
    """`@engine.on` adds a handler with its arguments, and leaves the function as it is."""

    @engine.on(Custom.MADE(once=Once(2).counts) | Custom.OTHER, "x", key="y")
    def handler(engine, *arguments, **options):
        log.append((arguments, options))

    assert callable(handler)
    engine.fire_event(Custom.MADE), engine.fire_event(Custom.MADE), engine.fire_event(Custom.OTHER)
    assert [(("x",), {"key": "y"})] * 2 == log
    assert engine.has_event_handler(handler, Custom.OTHER)
