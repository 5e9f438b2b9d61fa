"""Events are values, declared once; a custom event needs no set-up to be counted and filtered."""

from __future__ import annotations

import copy
import pickle
import re
from enum import auto

import pytest

from ignite_signals.engine import (
    CallableEventWithFilter,
    Engine,
    EventEnum,
    Events,
    EventsList,
    Every,
    FilteredEvent,
    Once,
    Or,
    State,
)
from ignite_signals.exceptions import UnknownEventError

THIRTEEN = [
    *("STARTED", "COMPLETED", "EPOCH_STARTED", "EPOCH_COMPLETED", "ITERATION_STARTED", "ITERATION_COMPLETED"),
    *("GET_BATCH_STARTED", "GET_BATCH_COMPLETED", "DATALOADER_STOP_ITERATION", "EXCEPTION_RAISED", "TERMINATE"),
    *("TERMINATE_SINGLE_EPOCH", "INTERRUPT"),
]


class Custom(EventEnum):
    CUSTOM_STARTED = "custom_started"
    CUSTOM_COMPLETED = "custom_completed"


class Lookalike(EventEnum):
    """The names of built-in members, for signals of its own."""

    COMPLETED = "my_completed"
    STARTED = "my_started"


class Thief(EventEnum):
    """The names of built-in signals."""

    ENDED = "completed"


class Other(EventEnum):
    MINE = "custom_started"


class Automatic(EventEnum):
    BACKWARD_STARTED = auto()
    BACKWARD_COMPLETED = auto()


def idle_engine(*events):
    engine = Engine(lambda engine, batch: None)
    engine.register_events(*events)
    return engine


def firing_engine(*events, **options):
    """Return an engine whose every iteration fires these events."""

    def step(engine, batch):
        for event in events:
            engine.fire_event(event)

    engine = Engine(step)
    engine.register_events(*events, **options)
    return engine


def iterations_heard(engine, event, data):
    heard = []
    engine.add_event_handler(event, lambda: heard.append(engine.state.iteration))
    engine.run(data)
    return heard


# What there is


def test_there_are_the_thirteen_events():
    """`Events` has PyTorch-Ignite's thirteen members, and every engine a signal for each."""
    assert sorted(THIRTEEN) == sorted(event.name for event in Events)
    assert sorted(name.lower() for name in THIRTEEN) == sorted(idle_engine().signals)


@pytest.mark.parametrize("event", Events)
def test_an_event_is_declared_once(event):
    """An event's value names its signal, and its line of documentation is the signal's docstring."""
    signal = idle_engine().signals[event.value]
    assert event.name.lower() == signal.name
    assert event.__doc__ == signal.__doc__
    assert 1 == len(event.__doc__.splitlines())


def test_a_users_event_may_be_documented():
    """A user's event may say what counter it counts by, what it sends, and what it is."""

    class Documented(EventEnum):
        BACKWARD = "backward", "iteration", ("loss",), "The loss is about to be propagated."
        PLAIN = "plain"

    signal = idle_engine(*Documented).signal(Documented.BACKWARD)
    assert "The loss is about to be propagated." == signal.__doc__
    assert "plain" in Documented.PLAIN.__doc__


def test_a_users_event_may_count_by_a_counter_of_the_state():
    """An event declared with the iteration as its counter is filtered by the iteration."""

    class Counted(EventEnum):
        EVEN = "even", "iteration"

    engine = Engine(lambda engine, batch: engine.fire_event(Counted.EVEN) if batch % 2 == 0 else None)
    engine.register_events(*Counted)
    assert [4, 8] == iterations_heard(engine, Counted.EVEN(every=4), range(1, 9))


def test_values_may_be_made_automatically():
    """`auto()` names the signal after the member."""
    assert ["backward_started", "backward_completed"] == [event.value for event in Automatic]


@pytest.mark.parametrize("value", [3, None, "", ("", "epoch")])
def test_an_events_value_is_the_name_of_its_signal(value):
    """A member whose value is no non-empty str is refused, and the value is shown."""
    with pytest.raises(TypeError, match="must be the name of its signal, a non-empty str, got") as caught:
        EventEnum("Wrong", {"MEMBER": value})
    assert repr(value[0] if isinstance(value, tuple) else value) in str(caught.value)


def test_two_members_of_one_value_are_refused():
    """Two events of one enum cannot share a signal; the error names both, where Enum would make an alias."""
    with pytest.raises(ValueError, match="'same'") as caught:
        EventEnum("Twins", {"ONE": "same", "OTHER": "same"})
    assert "Twins.ONE" in str(caught.value)
    assert "Twins.OTHER" in str(caught.value)


def test_a_filtered_event_has_the_names_of_its_event():
    """Name and value of `X(every=5)` are those of X, and those of a string are the string."""
    for event in (Events.STARTED, Custom.CUSTOM_STARTED):
        assert (event.name, event.value) == (event(every=5).name, event(every=5).value)
    by_name = FilteredEvent("by_name", Every(5))
    assert ("by_name", "by_name") == (by_name.name, by_name.value)
    assert [5] == iterations_heard(firing_engine("by_name"), by_name, range(7))


@pytest.mark.parametrize("condition", [5, None, "every", lambda engine, count: True])
def test_a_filtered_event_holds_a_filter(condition):
    """What is no Filter is refused."""
    with pytest.raises(TypeError, match="filter"):
        FilteredEvent(Events.STARTED, condition)


# Equality


def test_two_events_are_equal_only_if_they_are_the_same_member():
    """A member equals itself alone, not its namesake, its value or its name."""
    assert Events.COMPLETED == Events("completed")
    for stranger in (Lookalike.COMPLETED, Thief.ENDED, "completed", "COMPLETED", Events.STARTED):
        assert Events.COMPLETED != stranger
    assert 3 == len({Events.COMPLETED, Lookalike.COMPLETED, Thief.ENDED})


def test_a_users_namesake_never_fires_on_the_built_in_event():
    """A user's `COMPLETED` is another event than the built-in one, whichever is fired."""
    heard = []
    engine = idle_engine(*Lookalike)
    engine.add_event_handler(Lookalike.COMPLETED, heard.append, "mine")
    engine.add_event_handler(Events.COMPLETED, lambda: heard.append("built-in"))
    engine.run([1, 2])
    assert ["built-in"] == heard


def test_an_event_that_only_shares_the_signals_name_is_unknown():
    """An unregistered event does not reach the built-in signal of the same name."""
    engine = idle_engine()
    for use in (engine.signal, engine.fire_event, lambda event: engine.add_event_handler(event, print)):
        with pytest.raises(ValueError, match=r"unknown event Thief\.ENDED: add it .*completed"):
            use(Thief.ENDED)
    assert not engine.has_registered_events(Thief.ENDED)
    assert not engine.has_event_handler(print, Thief.ENDED)


def test_a_filtered_event_is_equal_to_the_same_event_with_an_equal_filter():
    """`X(every=5)` is a value of an event and a filter, found in sets and dicts."""
    one, other = Events.EPOCH_COMPLETED(every=5), Events.EPOCH_COMPLETED(Every(5))
    assert one == other
    assert hash(one) == hash(other)
    assert (Events.EPOCH_COMPLETED, Every(5)) == (one.event, one.filter)
    assert FilteredEvent(Events.EPOCH_COMPLETED, Every(5)) == one
    for stranger in (
        Events.EPOCH_COMPLETED(every=3),
        Events.EPOCH_STARTED(every=5),
        Events.EPOCH_COMPLETED,
        Every(5),
        EventsList(one),
    ):
        assert one != stranger
    assert CallableEventWithFilter is FilteredEvent


def test_lookalikes_with_equal_filters_are_unequal():
    """Equal filters do not make different events equal."""
    assert Events.COMPLETED(once=1) != Lookalike.COMPLETED(once=1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Events.STARTED, "Events.STARTED"),
        (Custom.CUSTOM_STARTED, "Custom.CUSTOM_STARTED"),
        (Events.STARTED(every=5), "Events.STARTED(Every(5))"),
        (Events.EPOCH_STARTED(every=5, after=8, before=25), "Events.EPOCH_STARTED(Every(5, start=9) & Before(25))"),
        (Events.STARTED | Custom.CUSTOM_STARTED, "Events.STARTED | Custom.CUSTOM_STARTED"),
        (Events.STARTED(once=1) | Events.COMPLETED, "Events.STARTED(Once(1)) | Events.COMPLETED"),
        (Events.STARTED(every=2) | Events.STARTED(every=3), "Events.STARTED(Every(2) | Every(3))"),
    ],
)
def test_events_are_printable_and_can_be_pickled(value, text):
    """Events print as they are written, and survive pickling and copying as equal values."""
    assert text == repr(value) == str(value)
    for twin in (pickle.loads(pickle.dumps(value)), copy.deepcopy(value), copy.copy(value)):
        assert value == twin
        assert hash(value) == hash(twin)
        assert text == repr(twin)


def test_an_unpickled_event_is_the_member_itself():
    """A member has one object in a process."""
    assert pickle.loads(pickle.dumps(Events.INTERRUPT)) is Events.INTERRUPT
    assert pickle.loads(pickle.dumps(Events.INTERRUPT(every=3))).event is Events.INTERRUPT


# Lists of events


def test_a_list_holds_each_event_once():
    """An event that is joined several times is behind any of its filters; without one it is heard always."""
    every_2, every_3 = Events.EPOCH_STARTED(every=2), Events.EPOCH_STARTED(every=3)
    assert [FilteredEvent(Events.EPOCH_STARTED, Every(2) | Every(3))] == list(every_2 | every_3)
    assert [every_2] == list(every_2 | every_2)
    assert [Events.EPOCH_STARTED] == list(every_2 | Events.EPOCH_STARTED) == list(Events.EPOCH_STARTED | every_2)
    assert [Events.EPOCH_STARTED] == list(Events.EPOCH_STARTED | every_2 | every_3)
    assert 2 == len(Events.EPOCH_STARTED | Events.COMPLETED)


def test_lists_are_values():
    """Lists are equal where they stand for the same, in whatever order they were joined, and nothing is mutated."""
    one, other = Events.STARTED | Events.COMPLETED(every=2), Events.COMPLETED(every=2) | Events.STARTED
    assert one == other
    assert hash(one) == hash(other)
    longer = one | Events.TERMINATE | (Events.STARTED | Events.INTERRUPT)
    assert [Events.STARTED, Events.COMPLETED(every=2)] == list(one)
    assert [Events.STARTED, Events.COMPLETED(every=2), Events.TERMINATE, Events.INTERRUPT] == list(longer)
    assert one != longer
    assert one != Events.STARTED


def test_filtering_an_event_leaves_it_as_it_was():
    """Calling an event gives a new value; the event keeps firing at every occurrence."""
    event = Events.ITERATION_COMPLETED
    _ = event(every=2), event(once=3) | event
    assert [1, 2, 3, 4] == iterations_heard(idle_engine(), event, range(4))


@pytest.mark.parametrize("stranger", [3, "completed", Every(2), None])
def test_only_events_are_joined(stranger):
    """`|` refuses what is no event."""
    for event in (Events.STARTED, Events.STARTED(every=2), Events.STARTED | Events.COMPLETED):
        with pytest.raises(TypeError, match="unsupported operand"):
            event | stranger


def test_a_list_is_no_single_event():
    """What takes one event refuses a list of them, and shows it."""
    engine, both = idle_engine(), Events.STARTED | Events.COMPLETED
    assert not engine.has_registered_events(both)
    for use in (engine.signal, engine.fire_event):
        with pytest.raises((TypeError, ValueError), match=r"Events\.STARTED \| Events\.COMPLETED"):
            use(both)


def test_one_event_behind_two_filters_is_heard_once():
    """`X(every=2) | X(every=3)` calls the handler once at 6."""
    event = Events.ITERATION_COMPLETED(every=2) | Events.ITERATION_COMPLETED(every=3)
    assert [2, 3, 4, 6, 8, 9] == iterations_heard(idle_engine(), event, range(9))
    assert Or((Every(2), Every(3))) == next(iter(event)).filter


def test_two_events_are_heard_once_for_each_occurrence():
    """`X | Y` calls the handler at each occurrence of either."""
    heard = []
    engine = idle_engine()
    engine.add_event_handler(
        Events.ITERATION_STARTED(once=2) | Events.EPOCH_COMPLETED | Events.ITERATION_COMPLETED(once=2),
        lambda: heard.append(engine.last_event_name),
    )
    engine.run(range(2))
    assert [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED] == heard


# Registering


def test_registered_events_are_known():
    """Members and strings can be registered, again without effect, for this engine alone."""
    engine = idle_engine(*Custom, "by_name")
    signal = engine.signal(Custom.CUSTOM_STARTED)
    engine.register_events(Custom.CUSTOM_STARTED, "by_name", Events.STARTED)
    assert signal is engine.signals["custom_started"]
    assert all(engine.has_registered_events(event) for event in (*Custom, "by_name", *Events))
    assert not any(idle_engine().has_registered_events(event) for event in (*Custom, "by_name"))


@pytest.mark.parametrize(
    ("events", "named"),
    [
        ((Thief.ENDED,), ["Thief.ENDED", "Events.COMPLETED", "'completed'"]),
        (("completed",), ["'completed'", "Events.COMPLETED"]),
        ((Custom.CUSTOM_STARTED, Other.MINE), ["Custom.CUSTOM_STARTED", "Other.MINE", "'custom_started'"]),
        ((Custom.CUSTOM_STARTED, "custom_started"), ["Custom.CUSTOM_STARTED", "'custom_started'"]),
        (("custom_started", Other.MINE), ["Other.MINE", "'custom_started'"]),
    ],
)
def test_two_events_of_one_name_are_refused(events, named):
    """Events that would share a signal are refused; the error names both and the remedy."""
    engine = idle_engine()
    with pytest.raises(ValueError, match=r"cannot be registered.*give it another name") as caught:
        engine.register_events(*events)
    assert [] == [name for name in named if name not in str(caught.value)]


@pytest.mark.parametrize(
    "event", [3, None, "", object(), Events.STARTED(every=2), Events.STARTED | Events.COMPLETED, Custom]
)
def test_what_is_no_event_cannot_be_registered(event):
    """Only members of an EventEnum and non-empty strings can be registered; the value is shown."""
    with pytest.raises(TypeError, match="event_names must be members of an EventEnum or strings, got") as caught:
        idle_engine().register_events(event)
    assert repr(event) in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("moved", "event_to_attr must map events to names of attributes, got 'moved'"),
        (["moved"], "event_to_attr must map events to names of attributes"),
        ({Custom.CUSTOM_STARTED: 3}, "event_to_attr must give names of attributes, got 3"),
        ({Custom.CUSTOM_STARTED: "not a name"}, "event_to_attr must give names of attributes, got 'not a name'"),
        ({Events.STARTED: "iteration"}, "event_to_attr takes events of your own, got the built-in Events.STARTED"),
    ],
)
def test_a_wrong_event_to_attr_is_refused(mapping, message):
    """`event_to_attr` maps events of one's own to names of attributes."""
    with pytest.raises((TypeError, ValueError), match="event_to_attr") as caught:
        idle_engine().register_events(*Custom, *Events, event_to_attr=mapping)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "event", ["no_such_event", "EPOCH_STARTED", Custom.CUSTOM_STARTED, Lookalike.COMPLETED(every=2)]
)
def test_an_unknown_event_is_refused_with_the_known_names(event):
    """The error shows the event, lists the known names and says how to add one."""
    engine = idle_engine("by_name")
    for use in (
        engine.signal,
        lambda event: engine.add_event_handler(event, print),
        lambda event: engine.remove_event_handler(print, event),
        lambda event: engine.on(event)(print),
    ):
        with pytest.raises(ValueError, match="register_events") as caught:
            use(event)
        assert repr(getattr(event, "event", event)) in str(caught.value)
        assert all(name in str(caught.value) for name in ("completed", "epoch_started", "by_name"))


@pytest.mark.parametrize("event", [3, None, print, Custom])
def test_what_is_no_event_cannot_be_listened_to(event):
    """A value of another type is refused as such."""
    with pytest.raises(TypeError, match="event must be a member of Events or of an EventEnum, or a registered str"):
        idle_engine().add_event_handler(event, print)


def test_a_registered_string_is_used_like_a_member():
    """A plain string is an event once it is registered: fired, heard, counted and removed."""
    heard = []
    engine = idle_engine("by_name")

    def handler():
        heard.append(engine.state.by_name)

    engine.add_event_handler("by_name", handler)
    assert engine.has_event_handler(handler, "by_name")
    engine.fire_event("by_name")
    engine.fire_event("by_name")
    engine.remove_event_handler(handler, "by_name")
    engine.fire_event("by_name")
    assert [1, 2] == heard
    assert 3 == engine.state.by_name


def test_the_name_of_a_members_signal_stands_for_the_member_everywhere():
    """Where handlers can be added, removed and fired by a name, they are found by it too."""
    engine = idle_engine()
    engine.add_event_handler("completed", print)
    assert engine.has_event_handler(print, Events.COMPLETED)
    assert engine.has_event_handler(print, "completed")
    assert engine.has_registered_events("completed")
    engine.remove_event_handler(print, "completed")
    assert not engine.has_event_handler(print)


# Counts


def test_a_custom_event_counts_its_own_firings():
    """With no set-up, a custom event is filtered by its own count, which is an attribute of the state."""
    engine = firing_engine(Custom.CUSTOM_STARTED, Custom.CUSTOM_STARTED)
    assert (0, 0) == (engine.state.custom_started, engine.state.counters["custom_started"])
    assert [3, 5, 8] == iterations_heard(engine, Custom.CUSTOM_STARTED(every=5), range(8))
    assert (16, 16) == (engine.state.custom_started, engine.state.counters["custom_started"])


def test_counts_are_read_as_attributes_where_the_name_allows():
    """A name that is no identifier, or that of a field of State, is found in `state.counters` alone."""
    engine = idle_engine("no-identifier", "metrics", "fine")
    for name in ("no-identifier", "metrics", "fine"):
        engine.fire_event(name)
    assert 1 == engine.state.fine
    assert {} == engine.state.metrics
    assert [1, 1, 1] == [engine.state.counters[name] for name in ("no-identifier", "metrics", "fine")]


@pytest.mark.parametrize("name", ["count", "advance", "counters", "times", "batch", "output", "update", "name"])
def test_an_event_of_any_name_counts(name):
    """Whatever it is called, an event counts its own firings and is filtered by them."""
    engine = idle_engine(name)
    heard = []
    engine.signals[name].connect(lambda engine: heard.append(engine.state.counters[name]), weak=False)
    with engine.signals[name].muted():
        engine.fire_event(name)
    engine.fire_event(name)
    engine.fire_event(name)
    assert [2, 3] == heard


@pytest.mark.parametrize("name", ["count", "advance", "names", "fields"])
def test_users_add_attributes_of_any_name(name):
    """An attribute that a user adds to the state does not disturb a run."""
    engine = Engine(lambda engine, batch: setattr(engine.state, name, batch))
    engine.run([1, 2, 3])
    assert 3 == getattr(engine.state, name)
    assert 1 == engine.state.completed


def test_an_attribute_of_the_state_may_be_the_count():
    """Where `event_to_attr` is given, the attribute starts at 0 and only the user moves it."""

    def step(engine, batch):
        engine.state.moved += 2
        engine.fire_event(Custom.CUSTOM_STARTED)

    engine = Engine(step)
    engine.register_events(*Custom, event_to_attr={Custom.CUSTOM_STARTED: "moved"})
    assert 0 == engine.state.moved
    assert [2, 4, 6] == iterations_heard(engine, Custom.CUSTOM_STARTED(every=4), range(6))
    assert 12 == engine.state.moved


def test_event_to_attr_may_name_the_attribute_like_the_event():
    """The three things that PyTorch-Ignite asks for still give what they give there."""

    def step(engine, batch):
        engine.state.custom_started += 1
        engine.fire_event(Custom.CUSTOM_STARTED)

    engine = Engine(step)
    engine.state.custom_started = 0
    engine.register_events(*Custom, event_to_attr={Custom.CUSTOM_STARTED: "custom_started"})
    assert [3, 6] == iterations_heard(engine, Custom.CUSTOM_STARTED(every=3), range(7))
    assert 7 == engine.state.custom_started


def test_event_to_attr_belongs_to_one_engine():
    """Two engines may count one event by different attributes, and by none."""
    first = firing_engine(Custom.CUSTOM_STARTED, event_to_attr={Custom.CUSTOM_STARTED: "iteration"})
    second = firing_engine(Custom.CUSTOM_STARTED, event_to_attr={Custom.CUSTOM_STARTED: "epoch"})
    third = firing_engine(Custom.CUSTOM_STARTED, Custom.CUSTOM_STARTED)
    event, engines = Custom.CUSTOM_STARTED(every=2), (first, second, third)
    assert [[2, 4], [], [1, 2, 3, 4]] == [iterations_heard(engine, event, range(4)) for engine in engines]


def set_attribute(state, value):
    state.custom_started = value


def set_counter(state, value):
    state.counters["custom_started"] = value


@pytest.mark.parametrize("put", [set_attribute, set_counter])
@pytest.mark.parametrize(("value", "expected"), [(0, [1, 2, 3, 4, 7]), (1, [1, 2, 3, 6]), (4, [1, 2, 3]), (9, [1, 2])])
def test_a_count_may_be_set_by_hand(put, value, expected):
    """A count goes on from what it was set to, back or forwards, and filters notice."""

    def step(engine, batch):
        if batch == 3:
            put(engine.state, value)
        engine.fire_event(Custom.CUSTOM_STARTED)

    engine = Engine(step)
    engine.register_events(*Custom)
    assert expected == iterations_heard(engine, Custom.CUSTOM_STARTED(once=[1, 2, 5]), range(1, 8))
    assert value + 5 == engine.state.custom_started == engine.state.counters["custom_started"]


def test_the_attribute_and_the_table_are_one_count():
    """What was set last counts, and both ways show it at once."""
    engine = idle_engine(*Custom)
    engine.state.custom_started = 7
    assert 7 == engine.state.counters["custom_started"]
    engine.state.counters["custom_started"] = 3
    assert 3 == engine.state.custom_started
    engine.fire_event(Custom.CUSTOM_STARTED)
    assert (4, 4) == (engine.state.custom_started, engine.state.counters["custom_started"])


def test_counts_belong_to_one_engine():
    """An event that two engines have is counted by each for itself."""
    one, other = idle_engine(*Custom), idle_engine(*Custom)
    one.fire_event(Custom.CUSTOM_STARTED)
    one.fire_event(Custom.CUSTOM_STARTED)
    other.fire_event(Custom.CUSTOM_STARTED)
    assert (2, 1) == (one.state.custom_started, other.state.custom_started)


def test_counts_go_on_from_run_to_run():
    """Only epoch and iteration start anew with a run."""
    engine = firing_engine(Custom.CUSTOM_STARTED)
    for _ in range(3):
        engine.run(range(4), max_epochs=2)
    assert (2, 8) == (engine.state.epoch, engine.state.iteration)
    assert (24, 3, 3) == (engine.state.custom_started, engine.state.started, engine.state.completed)


def test_the_end_of_a_run_counts_its_own_occurrences():
    """`evaluator.on(Events.COMPLETED(every=5))` is every fifth evaluation."""
    heard = []
    evaluator = Engine(lambda engine, batch: None)
    evaluator.add_event_handler(Events.COMPLETED(every=5), lambda: heard.append(evaluator.state.completed))
    evaluator.add_event_handler(Events.STARTED(once=1), lambda: heard.append("first"))
    for _ in range(12):
        evaluator.run([1, 2, 3])
    assert ["first", 5, 10] == heard


def fail(engine, batch):
    raise ValueError(batch)


@pytest.mark.parametrize(
    ("event", "step"),
    [
        (Events.TERMINATE, lambda engine, batch: engine.terminate()),
        (Events.TERMINATE_SINGLE_EPOCH, lambda engine, batch: engine.terminate_epoch()),
        (Events.INTERRUPT, lambda engine, batch: engine.interrupt()),
        (Events.EXCEPTION_RAISED, fail),
        (Events.STARTED, lambda engine, batch: None),
        (Events.COMPLETED, lambda engine, batch: None),
    ],
)
def test_rare_events_are_filtered_by_their_own_occurrences(event, step):
    """The second occurrence in the life of an engine passes `once=2`, whatever the event."""
    heard = []
    engine = Engine(step)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda: None)
    engine.add_event_handler(event(once=2), lambda: heard.append(engine.state.counters[event.value]))
    for number in range(1, 4):
        engine.reset()
        engine.run([1])
        assert number == engine.state.counters[event.value]
    assert [2] == heard


def test_the_data_that_ends_is_counted_over_runs():
    """DATALOADER_STOP_ITERATION counts every end of the data within an epoch."""
    engine = Engine(lambda engine, batch: None)
    heard = []
    engine.add_event_handler(Events.DATALOADER_STOP_ITERATION(every=2), lambda: heard.append(engine.state.iteration))
    engine.run(range(2), epoch_length=7)
    assert [4] == heard
    assert 3 == engine.state.dataloader_stop_iteration


def test_a_state_put_in_by_the_user_counts_from_its_own_numbers():
    """A new state starts its counts at 0, and a filter notices."""
    engine = firing_engine(Custom.CUSTOM_STARTED)
    assert [2, 4] == iterations_heard(engine, Custom.CUSTOM_STARTED(every=2), range(5))
    engine.state = State()
    engine.run(range(3))
    assert 3 == engine.state.custom_started


def test_counts_of_custom_events_are_saved_and_restored():
    """A state dict takes the counts of custom events along; one that is absent from it is 0."""
    engine = firing_engine(Custom.CUSTOM_STARTED)
    engine.run(range(4))
    saved = engine.state_dict()
    engine.run(range(4))
    engine.load_state_dict(saved)
    assert 4 == engine.state.custom_started
    engine.load_state_dict({"epoch_length": 4, "iteration": 4, "max_epochs": 3})
    assert 0 == engine.state.custom_started


def test_the_last_event_is_known():
    """`last_event_name` is the event that was sent last, while its receivers run."""
    seen = []
    engine = firing_engine(Custom.CUSTOM_STARTED)
    for event in (Events.STARTED, Custom.CUSTOM_STARTED, Events.EPOCH_COMPLETED):
        engine.add_event_handler(event, lambda: seen.append(engine.last_event_name))
    engine.run([1])
    assert [Events.STARTED, Custom.CUSTOM_STARTED, Events.EPOCH_COMPLETED] == seen
    assert Events.COMPLETED == engine.last_event_name


def test_a_filter_goes_with_an_event_that_sends_something():
    """A filtered TERMINATE_SINGLE_EPOCH still sends how many batches were taken."""
    taken = []
    engine = Engine(lambda engine, batch: engine.terminate_epoch() if batch == engine.state.epoch else None)
    engine.add_event_handler(Events.TERMINATE_SINGLE_EPOCH(Once(2, 3)), lambda engine, counter: taken.append(counter))
    engine.run(range(1, 6), max_epochs=4)
    assert [2, 3] == taken


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (("made", None, "abc"), "the payload of event 'made' must be a tuple of names, got 'abc'"),
        (("made", 5), "the counter of event 'made' must be the name of an attribute of the state, got 5"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(value, message):
    """The class statement fails, with the event's name."""
    with pytest.raises(TypeError, match=re.escape(message)):
        EventEnum("Wrong", {"MADE": value})


def test_event_to_attr_names_only_events_that_are_registered_with_it():
    """A misspelled key would leave the event to count by itself, in silence."""
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(ValueError, match=r"event_to_attr must map events among event_names, got \['tikc'\] besides"):
        engine.register_events("tick", event_to_attr={"tikc": "ticks"})
    assert not engine.has_registered_events("tick")


def test_a_filtered_event_cannot_be_fired():
    """A filter is for those who listen."""
    engine = Engine(lambda engine, batch: None)
    message = "fire_event takes an event without a filter, got Events.STARTED(Every(2))"
    with pytest.raises(TypeError, match=re.escape(message)):
        engine.fire_event(Events.STARTED(every=2))


def test_a_declared_payload_keeps_its_order():
    """Handlers get the values in the declared order, however they were sent."""
    declared = EventEnum("Declared", {"SENT": ("sent", None, ("a", "b"))})
    engine, got = Engine(lambda engine, batch: None), []
    engine.register_events(*declared)
    engine.add_event_handler(declared.SENT, lambda engine, first, second: got.append((first, second)))
    engine.fire_event(declared.SENT, b=2, a=1)
    assert [(1, 2)] == got


def test_an_event_with_a_name_of_python_s_own_leaves_the_state_usable():
    """Only a name that an attribute can have becomes one."""
    engine = Engine(lambda engine, batch: None)
    engine.register_events("two words", "__len__x y")
    engine.fire_event("two words")
    assert 1 == engine.state.counters["two words"]
    assert bool(engine.state)


def test_an_unknown_event_survives_pickling():
    """The error of a worker process reaches its parent."""
    error = UnknownEventError("nope", ["started"])
    assert str(error) == str(pickle.loads(pickle.dumps(error)))


def test_a_misspelled_member_is_told_its_neighbour():
    """`Events.X` that there is not names what was meant, or what there is."""
    with pytest.raises(AttributeError, match=r"Events has no event EPOCH_COMPLETE, did you mean EPOCH_COMPLETED\?"):
        Events.EPOCH_COMPLETE  # the look-up is what is tested
    with pytest.raises(AttributeError, match="Events has no event QUX: it has STARTED, "):
        Events.QUX  # likewise


def test_on_refuses_what_is_no_event_before_it_sees_the_function():
    """A decorator without its event, or with a misspelled one, fails where it stands."""
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(TypeError, match="an event must be a member of Events"):
        engine.on(lambda engine: None)
    with pytest.raises(UnknownEventError, match="did you mean 'completed'"):
        engine.on("complete")
