"""A user's own events are registered, fired, counted and filtered like the built-in ones."""

from __future__ import annotations

from enum import auto

import pytest

from ignite_signals.engine import Engine, EventEnum, Events, State
from ignite_signals.exceptions import UnknownEventError
from ignite_signals.testing import EventRecorder


class Custom(EventEnum):
    """What the document that the project began with calls them."""

    CUSTOM_STARTED = "custom_started"
    CUSTOM_COMPLETED = "custom_completed"


class Imposter(EventEnum):
    """Events whose names are those of others."""

    COMPLETED = "completed"
    EPOCH = "epoch_started"


class Namesake(EventEnum):
    """Another enumeration with the same names of signals."""

    CUSTOM_STARTED = "custom_started"


class Automatic(EventEnum):
    """Events that leave their values to `auto()`."""

    LOSS_IS_HIGH = auto()
    LOSS_IS_LOW = auto()


def engine_with(*events, **kwargs):
    engine = Engine(lambda engine, batch: batch)
    engine.register_events(*events, **kwargs)
    return engine


def counts_heard(engine, event, firings):
    """Fire the plain event and return the counts at which a handler of `event` was called."""
    heard = []
    engine.add_event_handler(event, lambda engine: heard.append(engine.state.custom_started))
    for _ in range(firings):
        engine.fire_event(Custom.CUSTOM_STARTED)
    return heard


# Counting


def test_a_custom_event_is_filtered_without_any_set_up():
    """It counts its own firings, and the count is an attribute of the state."""
    assert [5, 10] == counts_heard(engine_with(*Custom), Custom.CUSTOM_STARTED(every=5), 12)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"once": 3}, [3]),
        ({"once": [1, 4]}, [1, 4]),
        ({"after": 4}, [5, 6]),
        ({"before": 3}, [1, 2]),
        ({"every": 2, "after": 1}, [2, 4, 6]),
        ({"event_filter": lambda engine, count: count in (2, 5)}, [2, 5]),
    ],
    ids=str,
)
def test_every_filter_works_on_a_custom_event(filters, expected):
    """Filters see the count of firings."""
    assert expected == counts_heard(engine_with(*Custom), Custom.CUSTOM_STARTED(**filters), 6)


def test_an_event_counts_from_zero():
    """Registered and not fired, its count is 0; each event has its own."""
    engine = engine_with(*Custom)
    engine.fire_event(Custom.CUSTOM_STARTED)
    assert (1, 0) == (engine.state.custom_started, engine.state.custom_completed)
    assert {"custom_started": 1, "custom_completed": 0}.items() <= engine.state.counters.items()


def test_counts_go_on_from_run_to_run():
    """Only epoch and iteration start anew."""
    engine, heard = Engine(lambda engine, batch: engine.fire_event(Custom.CUSTOM_STARTED)), []
    engine.register_events(*Custom)
    engine.add_event_handler(Custom.CUSTOM_STARTED(every=4), lambda engine: heard.append(engine.state.iteration))
    for _ in range(3):
        engine.run(range(3))
    assert [1, 2] == heard
    assert (9, 3) == (engine.state.custom_started, engine.state.iteration)


def test_two_engines_with_one_event_count_each_for_itself():
    """What one engine fires neither counts nor is heard in the other."""
    one, other = engine_with(*Custom), engine_with(*Custom)
    heard = []
    one.add_event_handler(Custom.CUSTOM_STARTED, lambda engine: heard.append("one"))
    other.add_event_handler(Custom.CUSTOM_STARTED(every=2), lambda engine: heard.append("other"))
    one.fire_event(Custom.CUSTOM_STARTED)
    other.fire_event(Custom.CUSTOM_STARTED)
    one.fire_event(Custom.CUSTOM_STARTED)
    other.fire_event(Custom.CUSTOM_STARTED)
    assert ["one", "one", "other"] == heard


def test_two_engines_may_count_one_event_by_different_attributes():
    """`event_to_attr` belongs to the engine that it was given to."""
    one = engine_with(*Custom, event_to_attr={Custom.CUSTOM_STARTED: "steps"})
    other = engine_with(*Custom, event_to_attr={Custom.CUSTOM_STARTED: "rounds"})
    third = engine_with(*Custom)
    for engine in (one, other, third):
        engine.heard = []
        engine.add_event_handler(Custom.CUSTOM_STARTED(once=7), lambda engine: engine.heard.append(True))
    one.state.steps = other.state.rounds = 7
    for engine in (one, other, third):
        engine.fire_event(Custom.CUSTOM_STARTED)
    assert [[True], [True], []] == [one.heard, other.heard, third.heard]
    assert not hasattr(other.state, "steps")
    assert (7, 7, 1) == (one.state.steps, other.state.rounds, third.state.custom_started)


def test_with_event_to_attr_the_named_attribute_is_the_count_and_the_user_moves_it():
    """As the document that the project began with describes it, three steps and all."""
    engine, heard = Engine(lambda engine, batch: None), []
    engine.register_events(
        *Custom,
        event_to_attr={Custom.CUSTOM_STARTED: "custom_started", Custom.CUSTOM_COMPLETED: "custom_completed"},
    )

    @engine.on(Custom.CUSTOM_STARTED(every=5))
    def hear(engine):
        heard.append((engine.state.iteration, engine.state.custom_started))

    @engine.on(Events.ITERATION_COMPLETED)
    def fire(engine):
        engine.state.custom_started += 2
        engine.fire_event(Custom.CUSTOM_STARTED)

    engine.run(range(10))
    assert [(5, 10), (10, 20)] == heard


@pytest.mark.parametrize(("counter", "expected"), [("epoch", [(2, 3), (2, 4)]), ("iteration", [(1, 2)])])
def test_a_custom_event_may_count_by_the_counters_of_a_run(counter, expected):
    """`epoch` and `iteration` may stand behind a custom event."""
    engine = engine_with(*Custom, event_to_attr={Custom.CUSTOM_STARTED: counter})
    heard = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: engine.fire_event(Custom.CUSTOM_STARTED))
    engine.add_event_handler(
        Custom.CUSTOM_STARTED(once=2), lambda engine: heard.append((engine.state.epoch, engine.state.iteration))
    )
    engine.run(range(2), max_epochs=2)
    assert expected == heard


def test_an_event_may_declare_its_counter_itself():
    """A member's value may be name and counter, for all engines that register it."""

    class Declared(EventEnum):
        VALIDATED = "validated", "epoch"

    engine = engine_with(*Declared)
    heard = []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.fire_event(Declared.VALIDATED))
    engine.add_event_handler(Declared.VALIDATED(every=2), lambda engine: heard.append(engine.state.epoch))
    engine.run([0], max_epochs=4)
    assert ([2, 4], "validated") == (heard, Declared.VALIDATED.value)


def test_an_attribute_that_is_there_keeps_its_value():
    """The user may set the attribute before the event is registered; otherwise it starts at 0."""
    engine = Engine(lambda engine, batch: None)
    engine.state = State(steps=3)
    engine.register_events(*Custom, event_to_attr={Custom.CUSTOM_STARTED: "steps", Custom.CUSTOM_COMPLETED: "rounds"})
    assert (3, 0) == (engine.state.steps, engine.state.rounds)


def test_a_new_state_is_given_the_counters_when_a_run_starts():
    """A state that replaces another needs no set-up either."""
    engine = engine_with(*Custom, event_to_attr={Custom.CUSTOM_COMPLETED: "rounds"})
    engine.state = State()
    state = engine.run([0])
    assert (0, 0) == (state.custom_started, state.rounds)


def test_a_count_that_is_set_by_hand_counts_on_from_there():
    """Assigning the attribute moves the count."""
    engine = engine_with(*Custom)
    heard = []
    engine.add_event_handler(Custom.CUSTOM_STARTED(once=11), lambda engine: heard.append(engine.state.custom_started))
    engine.state.custom_started = 10
    engine.fire_event(Custom.CUSTOM_STARTED)
    assert ([11], 11) == (heard, engine.state.custom_started)


# Firing


def test_fire_event_passes_the_payload_on():
    """Handlers get it after the engine, receivers by name; one that takes less gets less."""
    engine, got = engine_with("measured"), []
    engine.add_event_handler("measured", lambda engine, value, unit: got.append((value, unit)))
    engine.add_event_handler("measured", lambda engine: got.append("engine"))
    engine.add_event_handler("measured", lambda: got.append("nothing"))

    def receiver(engine, *, unit, value):
        got.append({"value": value, "unit": unit})

    engine.signals["measured"].connect(receiver)
    engine.fire_event("measured", value=3, unit="s")
    assert [(3, "s"), "engine", "nothing", {"value": 3, "unit": "s"}] == got


def test_a_payload_may_differ_from_firing_to_firing():
    """What one firing sends is not left over for the next."""
    engine, got = engine_with("measured"), []
    engine.signals["measured"].connect(lambda engine, **payload: got.append(payload), weak=False)
    engine.fire_event("measured", a=1)
    engine.fire_event("measured")
    engine.fire_event("measured", b=2)
    assert [{"a": 1}, {}, {"b": 2}] == got


def test_arguments_of_a_handler_come_after_the_payload():
    """What the handler was added with follows what the event sends."""
    engine, got = engine_with("measured"), []
    engine.add_event_handler("measured", lambda *args, **kwargs: got.append((args[1:], kwargs)), "mine", key=1)
    engine.fire_event("measured", value=3)
    assert [((3, "mine"), {"key": 1})] == got


def test_a_built_in_event_can_be_fired_by_hand_and_counts():
    """`fire_event` counts like an occurrence of the loop."""
    engine, heard = Engine(lambda engine, batch: None), []
    engine.add_event_handler(Events.COMPLETED(once=2), lambda: heard.append(True))
    engine.fire_event(Events.COMPLETED)
    engine.run([0])
    assert ([True], 2) == (heard, engine.state.completed)


def test_a_built_in_event_sends_what_it_sends_and_nothing_else():
    """A payload that its receivers cannot expect is refused before any is called."""
    engine = Engine(lambda engine, batch: None)
    with EventRecorder(engine) as recorder:
        for event, payload in ((Events.COMPLETED, {"value": 3}), (Events.EXCEPTION_RAISED, {})):
            with pytest.raises(ValueError, match=f"{event.value} sends .* beside the engine, got"):
                engine.fire_event(event, **payload)
    assert [] == recorder.sequence
    assert (0, 0) == (engine.state.completed, engine.state.exception_raised)


def test_custom_events_stand_in_the_sequence_where_they_are_fired():
    """A recorder of all events hears them in their place."""
    engine = Engine(lambda engine, batch: engine.fire_event(Custom.CUSTOM_STARTED))
    engine.register_events(*Custom)
    with EventRecorder(engine) as recorder:
        engine.run([0])
    at = recorder.names.index("custom_started")
    assert ["iteration_started", "custom_started", "iteration_completed"] == recorder.names[at - 1 : at + 2]


def test_an_event_may_be_fired_while_it_is_heard():
    """A handler that fires its own event again is called for that one too, with counts in order."""
    engine, heard = engine_with(*Custom), []

    @engine.on(Custom.CUSTOM_STARTED)
    def again(engine):
        heard.append(engine.state.custom_started)
        if len(heard) < 3:
            engine.fire_event(Custom.CUSTOM_STARTED)

    engine.fire_event(Custom.CUSTOM_STARTED)
    assert [1, 2, 3] == heard


def test_the_last_event_is_the_one_that_was_fired():
    """Fired outside a run, too."""
    engine = engine_with(*Custom)
    engine.fire_event(Custom.CUSTOM_COMPLETED)
    assert Custom.CUSTOM_COMPLETED is engine.last_event_name


# Registering


def test_strings_are_events_once_they_are_registered():
    """The name of an event is enough to register, attach, fire and look it up."""
    engine, heard = Engine(lambda engine, batch: None), []
    with pytest.raises(UnknownEventError):
        engine.fire_event("mine")
    engine.register_events("mine", "yours")
    engine.add_event_handler("mine", lambda: heard.append(1))
    engine.fire_event("mine")
    assert ([1], 1, 0) == (heard, engine.state.mine, engine.state.yours)
    assert engine.signals["mine"] is engine.signal("mine")


def test_auto_gives_the_name_in_small_letters():
    """`auto()` as a value names the signal like the member."""
    engine = engine_with(*Automatic)
    engine.fire_event(Automatic.LOSS_IS_HIGH)
    assert ("loss_is_high", 1) == (Automatic.LOSS_IS_HIGH.value, engine.state.loss_is_high)


def test_the_documentation_of_an_event_becomes_that_of_its_signal():
    """The line is declared once, with the event."""

    class Told(EventEnum):
        SAVED = "saved", None, ("path",), "A checkpoint was written to `path`."

    engine = engine_with(*Told)
    assert "A checkpoint was written to `path`." == engine.signal(Told.SAVED).__doc__
    with pytest.raises(ValueError, match="saved sends path beside the engine, got nothing"):
        engine.fire_event(Told.SAVED)


def test_registering_again_changes_nothing():
    """The signal stays, with its receivers and its count."""
    engine = engine_with(*Custom)
    heard = counts_heard(engine, Custom.CUSTOM_STARTED, 2)
    signal = engine.signal(Custom.CUSTOM_STARTED)
    engine.register_events(*Custom, *Events)
    engine.fire_event(Custom.CUSTOM_STARTED)
    assert signal is engine.signal(Custom.CUSTOM_STARTED)
    assert [1, 2, 3] == heard


def test_members_of_another_enumeration_never_fire_on_the_built_in_event():
    """An event of the name of a built-in one is refused, and not taken for it anywhere."""
    engine, heard = Engine(lambda engine, batch: None), []
    engine.add_event_handler(Events.COMPLETED, lambda: heard.append(1))
    for use in (engine.fire_event, engine.signal, lambda event: engine.add_event_handler(event, print)):
        with pytest.raises(UnknownEventError, match=r"Imposter.COMPLETED"):
            use(Imposter.COMPLETED)
    assert [] == heard
    assert not engine.has_registered_events(Imposter.COMPLETED)
    assert Imposter.COMPLETED != Events.COMPLETED


@pytest.mark.parametrize(
    ("known", "new", "names"),
    [
        ((), Imposter.COMPLETED, ("Imposter.COMPLETED", "Events.COMPLETED", "'completed'")),
        ((), Imposter.EPOCH, ("Imposter.EPOCH", "Events.EPOCH_STARTED", "'epoch_started'")),
        ((Custom.CUSTOM_STARTED,), Namesake.CUSTOM_STARTED, ("Namesake.CUSTOM_STARTED", "Custom.CUSTOM_STARTED")),
        (("mine",), EventEnum("Other", {"MINE": "mine"}).MINE, ("Other.MINE", "'mine'")),
        ((Custom.CUSTOM_STARTED,), "custom_started", ("'custom_started'", "Custom.CUSTOM_STARTED")),
    ],
    ids=str,
)
def test_two_events_of_one_name_are_refused(known, new, names):
    """The error names both and says what to do; the event that was there stays."""
    engine = engine_with(*known)
    before = dict(engine.signals)
    with pytest.raises(ValueError, match="give it another name") as raised:
        engine.register_events(new)
    for name in names:
        assert name in str(raised.value)
    assert before == dict(engine.signals)


def test_of_events_that_are_refused_none_is_registered():
    """A call that fails leaves the engine as it was."""
    engine = Engine(lambda engine, batch: None)
    before = list(engine.signals)
    with pytest.raises(ValueError, match="cannot be registered"):
        engine.register_events(Custom.CUSTOM_STARTED, Imposter.COMPLETED)
    assert before == list(engine.signals)


@pytest.mark.parametrize("event", [5, None, "", Custom.CUSTOM_STARTED(every=2), Custom, ["mine"]], ids=str)
def test_what_is_no_event_is_refused(event):
    """The error names the argument and the value."""
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(TypeError, match="event_names must be members of an EventEnum or"):
        engine.register_events("mine", event)
    assert not engine.has_registered_events("mine")


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        (["steps"], "event_to_attr must map events to names of attributes, got"),
        ({Custom.CUSTOM_STARTED: 5}, "event_to_attr must give names of attributes, got 5 for Custom.CUSTOM_STARTED"),
        ({Custom.CUSTOM_STARTED: "no name"}, "event_to_attr must give names of attributes, got 'no name'"),
    ],
    ids=str,
)
def test_a_bad_event_to_attr_is_refused(attributes, said):
    """The error names the argument, the value and the event."""
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(ValueError, match=said):
        engine.register_events(*Custom, event_to_attr=attributes)
    assert not engine.has_registered_events(Custom.CUSTOM_COMPLETED)


def test_built_in_events_keep_what_they_count_by():
    """`event_to_attr` is for events of the user's own."""
    with pytest.raises(ValueError, match=r"event_to_attr takes events of your own, got the built-in Events.COMPLETED"):
        engine_with(Events.COMPLETED, event_to_attr={Events.COMPLETED: "steps"})
    engine = engine_with(*Events, event_to_attr={Events.EPOCH_STARTED: "epoch"})
    assert "epoch" == engine.signal(Events.EPOCH_STARTED).counter


@pytest.mark.parametrize("event", ["nothing", Custom.CUSTOM_STARTED], ids=str)
def test_an_unknown_event_is_an_error_that_lists_the_known_ones(event):
    """Whoever misspells an event is told which there are, and how to add one."""
    engine = Engine(lambda engine, batch: None)
    with pytest.raises(UnknownEventError) as raised:
        engine.fire_event(event)
    message = str(raised.value)
    for known in (repr(event), *(known.value for known in Events), "register_events"):
        assert known in message
    assert isinstance(raised.value, ValueError)
    assert isinstance(raised.value, KeyError)


@pytest.mark.parametrize("value", [5, "", None, ("", "epoch")], ids=str)
def test_a_member_without_a_name_is_refused(value):
    """A member's value is the name of its signal."""
    with pytest.raises(TypeError, match="an event's value must be the name of its signal"):
        EventEnum("Bad", {"MEMBER": value})
