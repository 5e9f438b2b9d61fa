"""Handlers of any signature are called with what they take; those that can take nothing are refused at once."""

from __future__ import annotations

import functools
from typing import Any
from unittest import mock

import pytest

from ignite_signals.engine import Engine, EventEnum, Events


class Custom(EventEnum):
    MADE = "made"


class BoomError(Exception):
    pass


def make_engine(step=lambda engine, batch: None):
    engine = Engine(step)
    engine.register_events(*Custom)
    return engine


def failing_engine(error):
    def step(engine, batch):
        raise error

    return make_engine(step)


@pytest.fixture
def got():
    return []


class Methods:
    """Callables that belong to a class or an object, and log what they are called with."""

    log: Any = None

    def method(self, engine):
        self.log.append(engine)

    def bare(self):
        self.log.append("nothing")

    @classmethod
    def of_class(cls, engine):
        cls.log.append(engine)

    @staticmethod
    def static(engine):
        Methods.log.append(engine)

    def __call__(self, engine):
        self.log.append(engine)


# The engine or not


def handlers_for_the_engine(got):
    """Return handlers that append the engine to `got`, by how they take it."""

    def anything(*args, **kwargs):
        got.extend(args)
        assert {} == kwargs

    def keyword_default(engine, *, option=None):
        got.append(engine)

    def positional_only(engine, /):
        got.append(engine)

    def default(engine=None):
        got.append(engine)

    Methods.log = got
    return {
        "lambda": lambda engine: got.append(engine),
        "anything": anything,
        "keyword default": keyword_default,
        "positional only": positional_only,
        "default": default,
        "builtin method": got.append,
        "bound method": Methods().method,
        "class method": Methods.of_class,
        "class method of an object": Methods().of_class,
        "static method": Methods.static,
        "callable object": Methods(),
        "partial": functools.partial(lambda option, engine: got.append(engine), "option"),
        "partial by keyword": functools.partial(lambda engine, option: got.append(engine), option=3),
        "partial of a method": functools.partial(Methods().method),
        "mock": mock.Mock(side_effect=got.append),
        "wrapped": functools.wraps(anything)(lambda *args: anything(*args)),
    }


@pytest.mark.parametrize("kind", handlers_for_the_engine([]))
def test_a_handler_that_takes_the_engine_gets_it(got, kind):
    """A callable of any kind that takes one argument is called with the engine."""
    engine, handler = make_engine(), handlers_for_the_engine(got)[kind]
    engine.add_event_handler(Events.STARTED, handler)
    engine.add_event_handler(Events.COMPLETED(every=1), handler)
    engine.run([1])
    assert [engine, engine] == got


@pytest.mark.parametrize("kind", handlers_for_the_engine([]))
def test_a_receiver_of_any_kind_is_connected(got, kind):
    """What can be a handler can be a receiver of a signal, too."""
    engine, receiver = make_engine(), handlers_for_the_engine(got)[kind]
    engine.signal(Custom.MADE).connect(receiver, weak=False)
    engine.signal(Events.STARTED).connect(receiver, weak=False)
    engine.fire_event(Custom.MADE)
    engine.run([1])
    assert [engine, engine] == got


@pytest.mark.parametrize(
    "make",
    [
        lambda got: lambda: got.append("nothing"),
        lambda got: Methods().bare,
        lambda got: functools.partial(got.append, "nothing"),
        lambda got: functools.partial(lambda *, word: got.append(word), word="nothing"),
    ],
)
def test_a_handler_may_leave_the_engine_out(got, make):
    """A callable that takes no argument is called with none."""
    Methods.log = got
    engine = make_engine()
    engine.add_event_handler(Events.STARTED, make(got))
    engine.run([1])
    assert ["nothing"] == got


def test_builtins_are_handlers(capsys):
    """`print` gets the engine and its arguments, and a builtin that has no signature what is sent."""
    engine = make_engine()
    engine.add_event_handler(Custom.MADE, print, "made", sep=" / ", end="!")
    engine.add_event_handler(Custom.MADE, max, key=str)
    results = engine.signal(Custom.MADE).send(engine, value=3)
    assert f"{engine} / 3 / made!" == capsys.readouterr().out
    assert [(print, None), (max, max(engine, 3, key=str))] == results


# Arguments


@pytest.mark.parametrize(
    ("handler", "args", "kwargs", "expected"),
    [
        (lambda engine, a, b: (a, b), (1, 2), {}, (1, 2)),
        (lambda a, b: (a, b), (1, 2), {}, (1, 2)),
        (lambda engine, a, *, b: (a, b), (1,), {"b": 2}, (1, 2)),
        (lambda a, *, b: (a, b), (1,), {"b": 2}, (1, 2)),
        (lambda engine, **kwargs: kwargs, (), {"b": 2}, {"b": 2}),
        (lambda *args, **kwargs: (args[1:], kwargs), (1,), {"b": 2}, ((1,), {"b": 2})),
        (lambda engine, a=0, b=0: (a, b), (1,), {"b": 2}, (1, 2)),
        (lambda *, b: b, (), {"b": 2}, 2),
        (lambda engine, signature, function: (signature, function), (), {"signature": 1, "function": 2}, (1, 2)),
        (lambda engine, args, kwargs: (args, kwargs), (), {"args": 1, "kwargs": 2}, (1, 2)),
        (lambda engine, names, payload: (names, payload), (), {"names": 1, "payload": 2}, (1, 2)),
        (functools.partial(lambda a, engine, b: (a, b), 1), (2,), {}, (1, 2)),
    ],
)
def test_a_handler_gets_the_arguments_it_was_added_with(handler, args, kwargs, expected):
    """Arguments and keywords of any name are passed on after the engine, or without it."""
    engine = make_engine()
    for event in (Custom.MADE, Custom.MADE(every=1)):
        engine.add_event_handler(event, handler, *args, **kwargs)
    assert [expected] * 2 == [value for _, value in engine.signal(Custom.MADE).send(engine)]


def test_keywords_are_not_overwritten_from_one_firing_to_the_next(got):
    """What a handler does to its keyword arguments in one call is not seen in the next."""

    def handler(engine, *args, **kwargs):
        got.append(dict(kwargs))
        kwargs["count"] = kwargs["count"] + 1
        kwargs["new"] = True

    given = {"count": 0}
    engine = make_engine()
    engine.add_event_handler(Events.ITERATION_COMPLETED, handler, **given)
    engine.run(range(3))
    assert [{"count": 0}] * 3 == got
    assert {"count": 0} == given


def test_one_handler_keeps_its_arguments_apart(got):
    """The same handler added with different arguments gets each of them."""
    engine = make_engine()

    def handler(engine, name, *, mark="-"):
        got.append((name, mark))

    engine.add_event_handler(Custom.MADE, handler, "a", mark="+")
    engine.add_event_handler(Custom.MADE | Events.STARTED, handler, "b")
    engine.fire_event(Custom.MADE)
    engine.run([1])
    assert [("a", "+"), ("b", "-"), ("b", "-")] == got


# What an event sends


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda got: lambda engine, exception: got.append((engine, exception)), "engine and error"),
        (lambda got: lambda engine, anything_else: got.append((engine, anything_else)), "engine and error"),
        (lambda got: lambda engine, *, exception: got.append((engine, exception)), "engine and error"),
        (lambda got: lambda *args: got.append(args), "engine and error"),
        (lambda got: lambda engine, **payload: got.append((engine, payload["exception"])), "engine and error"),
        (lambda got: lambda exception: got.append(exception), "error"),
        (lambda got: lambda engine: got.append(engine), "error"),
        (lambda got: got.append, "error"),
        (lambda got: lambda: got.append("nothing"), "nothing"),
    ],
)
def test_a_handler_gets_as_much_of_the_payload_as_it_takes(got, make, expected):
    """The payload comes after the engine, alone where there is one parameter, not at all where there is none."""
    error = BoomError()
    engine = failing_engine(error)
    engine.add_event_handler(Events.EXCEPTION_RAISED, make(got))
    engine.run([1])
    assert [{"engine and error": (engine, error), "error": error, "nothing": "nothing"}[expected]] == got


def test_the_payload_comes_before_the_arguments(got):
    """A handler is called with the engine, the payload, and its own arguments, in this order."""
    engine = make_engine(lambda engine, batch: engine.terminate_epoch())
    engine.add_event_handler(
        Events.TERMINATE_SINGLE_EPOCH, lambda *args, **kwargs: got.append((args, kwargs)), "x", key="y"
    )
    engine.add_event_handler(Events.TERMINATE_SINGLE_EPOCH, lambda counter, word: got.append((counter, word)), "x")
    engine.add_event_handler(Events.TERMINATE_SINGLE_EPOCH, lambda word: got.append(word), "x")
    engine.run([1, 2])
    assert [((engine, 1, "x"), {"key": "y"}), (1, "x"), "x"] == got


def test_a_keyword_of_the_users_own_hides_the_payloads(got):
    """A handler that was added with a keyword of the payload's name gets its own value."""

    def handler(engine, *, exception):
        got.append(exception)

    engine = failing_engine(BoomError())
    engine.add_event_handler(Events.EXCEPTION_RAISED, handler, exception="mine")
    engine.run([1])
    assert ["mine"] == got


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda engine, loss, rate: (loss, rate), (3, 4)),
        (lambda engine, loss: loss, 3),
        (lambda engine: "engine", "engine"),
        (lambda: "nothing", "nothing"),
        (lambda engine, *, rate, loss: (loss, rate), (3, 4)),
        (lambda *args: args[1:], (3, 4)),
        (lambda engine, loss, rate, more=5: (loss, rate, more), (3, 4, 5)),
    ],
)
def test_a_handler_of_a_custom_event_gets_the_users_payload(handler, expected):
    """Handlers of custom events get the values that were fired, or as many as they take."""
    engine = make_engine()
    engine.add_event_handler(Custom.MADE, handler)
    assert [(handler, expected)] == engine.signal(Custom.MADE).send(engine, loss=3, rate=4)


def test_a_custom_event_may_send_something_else_each_time(got):
    """A handler takes each firing as it is."""
    engine = make_engine()
    engine.add_event_handler(Custom.MADE, lambda *args: got.append(args[1:]))
    engine.fire_event(Custom.MADE)
    engine.fire_event(Custom.MADE, loss=3)
    engine.fire_event(Custom.MADE, loss=3, rate=4)
    engine.fire_event(Custom.MADE)
    assert [(), (3,), (3, 4), ()] == got


def test_receivers_get_the_payload_by_name(got):
    """Receivers that are connected to the signal get the engine, and the payload by keyword."""

    def receiver(engine, exception):
        got.append((engine, exception))

    def of_all(engine, **payload):
        got.append((engine, payload))

    error = BoomError()
    engine = failing_engine(error)
    engine.signal(Events.EXCEPTION_RAISED).connect(receiver)
    engine.signal(Events.EXCEPTION_RAISED).connect(of_all)
    with pytest.raises(BoomError):
        engine.run([1])
    assert [(engine, error), (engine, {"exception": error})] == got


# Bad input, refused when it is connected


class AsyncCall:
    async def __call__(self, engine):
        return None

    async def method(self, engine):
        return None


async def coming(engine):
    return None


async def generating(engine):
    yield None


def add(engine, event, handler):
    engine.add_event_handler(event, handler)


def decorate(engine, event, handler):
    engine.on(event)(handler)


def connect(engine, event, handler):
    engine.signal(event).connect(handler, weak=False)


def connect_for_a_while(engine, event, handler):
    with engine.signal(event).connected_to(handler):
        pass


WAYS = [add, decorate, connect, connect_for_a_while]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("handler", [None, 3, "print", [print], object()])
def test_what_cannot_be_called_is_refused(way, handler):
    """The error says what must be callable, and shows what was given."""
    with pytest.raises(TypeError, match=r"(handler|receiver) must be callable, got") as caught:
        way(make_engine(), Custom.MADE(every=2), handler)
    assert repr(handler) in str(caught.value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (coming, "coming"),
        (generating, "generating"),
        (AsyncCall(), "AsyncCall"),
        (AsyncCall().method, "AsyncCall.method"),
        (functools.partial(coming), "coming"),
        (functools.partial(functools.partial(AsyncCall())), "AsyncCall"),
        (mock.AsyncMock(), "AsyncMock"),
    ],
)
def test_what_can_only_be_awaited_is_refused(way, handler, name):
    """An `async` callable in any disguise is refused by name, with the remedy."""
    with pytest.raises(TypeError, match=r"must be a plain function, got the async .*: a run is synchronous") as caught:
        way(make_engine(), Events.STARTED, handler)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("event", "handler", "args", "kwargs"),
    [
        (Events.STARTED, lambda a, b: None, (), {}),
        (Events.STARTED, lambda engine, a, b: None, (1,), {}),
        (Events.STARTED, lambda engine: None, (1, 2), {}),
        (Events.STARTED, lambda engine: None, (), {"option": 1}),
        (Events.STARTED, lambda engine, *, needed: None, (), {}),
        (Events.EXCEPTION_RAISED, lambda engine, exception, more: None, (), {}),
        (Events.EXCEPTION_RAISED(every=2), lambda engine, exception, *, more: None, (), {}),
        (Events.STARTED | Events.EXCEPTION_RAISED, lambda a, b, c: None, (), {}),
        (Custom.MADE, lambda engine: None, (), {"option": 1}),
        (Custom.MADE(every=2), lambda: None, (1,), {}),
    ],
)
def test_a_handler_that_cannot_take_what_is_sent_is_refused(event, handler, args, kwargs):
    """The error names the handler and shows what it would be called with, before anything ran."""
    engine = make_engine()
    with pytest.raises(ValueError, match=r"handler .*<lambda>.* cannot take what .* sends") as caught:
        engine.add_event_handler(event, handler, *args, **kwargs)
    given = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])
    assert bool(given) == (f"and then the arguments it was added with, {given}:" in str(caught.value))
    assert "test_receivers.py" in str(caught.value)
    assert not engine.has_event_handler(handler)


@pytest.mark.parametrize(
    ("event", "receiver", "sent"),
    [
        (Events.STARTED, lambda: None, "(engine)"),
        (Events.STARTED, lambda engine, more: None, "(engine)"),
        (Events.STARTED(every=2), lambda *, engine: None, "(engine)"),
        (Events.EXCEPTION_RAISED, lambda engine: None, "(engine, exception=...)"),
        (Events.EXCEPTION_RAISED, lambda engine, error: None, "(engine, exception=...)"),
        (Events.TERMINATE_SINGLE_EPOCH, lambda engine: None, "(engine, iter_counter=...)"),
        (Custom.MADE, lambda: None, "(engine"),
    ],
)
def test_a_receiver_that_cannot_take_what_is_sent_is_refused(event, receiver, sent):
    """The error names the receiver and its event, and shows what it would be called with."""
    engine = make_engine()
    for way in (connect, connect_for_a_while):
        with pytest.raises(ValueError, match=r"receiver .*<lambda>.* cannot take what .* sends") as caught:
            way(engine, event, receiver)
        assert sent in str(caught.value)
        assert event.value in str(caught.value)
    assert not engine.has_event_handler(receiver)


def test_a_list_of_events_is_joined_in_full_or_not_at_all():
    """A handler that one of several events cannot call is added to none of them."""
    engine = make_engine()

    def handler(engine, exception, *, more=None):
        return None

    for events in (Events.EXCEPTION_RAISED | Events.STARTED, Events.EXCEPTION_RAISED | Events.STARTED(every=2)):
        with pytest.raises(ValueError, match=r"cannot take what .* sends"):
            engine.add_event_handler(events, handler)
    assert not engine.has_event_handler(handler)
    assert engine.add_event_handler(Events.EXCEPTION_RAISED, handler)


def test_a_payload_that_a_handler_cannot_take_is_told_when_it_is_sent():
    """Where a custom event sends something that no form of the handler takes, the error names the handler."""
    engine = make_engine()
    engine.add_event_handler(Custom.MADE, lambda engine, *, loss: None)
    with pytest.raises(ValueError, match=r"<lambda>.* cannot take what .* sends.*\(engine, rate\)"):
        engine.fire_event(Custom.MADE, rate=3)


# What users see


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: coming_late, "coming_late (test_receivers.py:"),
        (lambda: Failing(), "Failing (test_receivers.py:"),
        (lambda: Failing().method, "Failing.method (test_receivers.py:"),
        (lambda: functools.partial(coming_late), "partial(coming_late) (test_receivers.py:"),
    ],
)
@pytest.mark.parametrize("way", [add, connect])
def test_errors_are_noted_with_the_users_callable(make, name, way):
    """The note on an error shows the handler as its user would name it, not what was put around it."""
    engine = make_engine()
    way(engine, Events.STARTED(every=1), make())
    with pytest.raises(BoomError) as caught:
        engine.run([1])
    [note] = [note for note in caught.value.__notes__ if name in note]
    assert "started" in note
    assert all(word in engine.describe() for word in name.rstrip(":").split(" ("))


def coming_late(engine, *args):
    raise BoomError


class Failing:
    def method(self, engine):
        raise BoomError

    __call__ = method


def test_what_is_around_a_handler_is_not_seen(got):
    """`send` and `receivers_for` show the callable that the user gave."""
    engine, signal = make_engine(), None
    signal = engine.signal(Custom.MADE)
    handler = got.append
    engine.add_event_handler(Custom.MADE(every=1), lambda *args: None, "argument")
    engine.add_event_handler(Custom.MADE, handler)
    engine.add_event_handler(Custom.MADE, print, "argument", file=mock.Mock())
    callables = [receiver for receiver, _ in signal.send(engine)]
    assert callables == list(signal.receivers_for(engine))
    assert ["<lambda>", "append", "print"] == [getattr(receiver, "__name__", "?") for receiver in callables]
    assert handler is callables[1]


class Callback:
    """A class whose objects are handlers."""

    def __call__(self, engine):
        """Listen."""


@pytest.mark.parametrize(
    "connect",
    [
        lambda e: e.add_event_handler(Events.STARTED, Callback),
        lambda e: e.signal(Events.STARTED).connect(Callback),
        lambda e: Engine(Callback),
    ],
)
def test_a_class_in_the_place_of_its_object_is_refused(connect):
    """Calling the class would make an object at every event, and call none."""
    with pytest.raises(TypeError, match=r"got the class Callback: give an object of it, such as Callback\(\)"):
        connect(make_engine())
