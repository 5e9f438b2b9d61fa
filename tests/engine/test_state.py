"""The state holds progress and results, takes attributes of the user's own, and shows counts."""

from __future__ import annotations

import copy
import pickle
import re
import typing

import attrs
import pytest
import torch

from ignite_signals.engine import Engine, Events, State, StopReason

DEFAULTS = {
    "iteration": 0,
    "epoch": 0,
    "epoch_length": None,
    "max_epochs": None,
    "max_iters": None,
    "batch": None,
    "output": None,
    "metrics": {},
    "dataloader": None,
    "seed": None,
    "times": {"EPOCH_COMPLETED": None, "COMPLETED": None},
    "counters": {},
    "stop_reason": None,
}


class MyState(State):
    """A state with a name of its own."""


def engine_with(*events):
    engine = Engine(lambda engine, batch: batch)
    engine.register_events(*events)
    return engine


copied_somehow = pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))],
    ids=["copy", "deepcopy", "pickle"],
)


# Fields and attributes


def test_a_state_starts_with_nothing_done():
    """All fields are there from the start, each with its empty value."""
    assert attrs.has(State)
    assert DEFAULTS == {field.name: getattr(State(), field.name) for field in attrs.fields(State)}


def test_the_types_of_the_fields_are_true():
    """They can be resolved, and the defaults are of them."""
    hints = typing.get_type_hints(State)
    assert DEFAULTS.keys() <= hints.keys()
    assert (int, int | None, StopReason | None) == (hints["epoch"], hints["max_epochs"], hints["stop_reason"])


def test_any_keyword_becomes_an_attribute():
    """Fields and attributes of the user's own go together."""
    state = State(epoch=2, rank=0, anything="else")
    assert (2, 0, "else", 0) == (state.epoch, state.rank, state.anything, state.iteration)


def test_attributes_may_be_added_changed_and_deleted():
    """The user's attributes are like those of any object."""
    state = State()
    state.best = 0.5
    state.best += 0.25
    assert 0.75 == state.best
    del state.best
    assert not hasattr(state, "best")


def test_an_attribute_that_is_not_there_is_an_error_that_names_it():
    """The name of the class and that of the attribute are in the message."""
    with pytest.raises(AttributeError, match=r"MyState.* has no attribute 'best'"):
        MyState().best
    assert 3 == getattr(MyState(), "best", 3)


def test_states_share_nothing():
    """Each has its own dicts."""
    one, other = State(), State()
    one.metrics["loss"] = 1
    one.counters["saved"] = 1
    one.times["COMPLETED"] = 1.0
    assert DEFAULTS["metrics"] == other.metrics
    assert DEFAULTS["counters"] == other.counters
    assert DEFAULTS["times"] == other.times


def test_states_are_compared_by_identity():
    """Two states are two, whatever is in them, and a state can be a key."""
    one, other = State(), State()
    assert one != other
    assert 1 == {one: 1, other: 2}[one]


@copied_somehow
def test_a_state_can_be_copied(copied):
    """Fields, attributes and counts come along, a subclass stays one."""
    engine = engine_with("saved")
    engine.state = MyState(best=0.5)
    engine.run([1, 2]).metrics["loss"] = 1.0
    engine.fire_event("saved")
    twin = copied(engine.state)
    assert (MyState, 0.5, {"loss": 1.0}) == (type(twin), twin.best, twin.metrics)
    assert (2, 1, "completed", 1) == (twin.iteration, twin.saved, twin.stop_reason, twin.completed)
    twin.best = 0.75
    assert 0.5 == engine.state.best


# What it shows


def test_repr_shows_numbers_and_the_types_of_the_rest():
    """Numbers and words stand there; batches, outputs and models only by their types."""
    state = MyState(epoch=3, batch=torch.zeros(1000), output=[1, 2], rank=1, name="train", rate=0.5)
    state.model = torch.nn.ReLU()
    lines = dict(line.strip().split(": ", 1) for line in repr(state).splitlines()[1:])
    assert "MyState:" == repr(state).splitlines()[0]
    assert {
        "epoch": "3",
        "iteration": "0",
        "max_epochs": "None",
        "batch": "<Tensor>",
        "output": "<list>",
        "rank": "1",
        "name": "'train'",
        "rate": "0.5",
        "model": "<ReLU>",
    }.items() <= lines.items()


def test_repr_shows_metrics_that_are_numbers():
    """A dict of numbers is shown, one that holds anything else only by its type."""
    assert "metrics: {'loss': 0.5}" in repr(State(metrics={"loss": 0.5}))
    assert "metrics: <dict>" in repr(State(metrics={"matrix": torch.zeros(3, 3)}))


def test_repr_shows_why_the_last_run_ended():
    """The reason stands there with the receiver that asked."""
    state = State(stop_reason=StopReason("terminated", by="me"))
    assert "stop_reason: 'terminated' by me" in repr(state)


# Counts


def test_counts_are_attributes():
    """Every event that counts its own occurrences has its count under its name."""
    state = engine_with("saved").run([1, 2])
    assert (1, 1, 0, 0) == (state.started, state.completed, state.terminate, state.saved)
    assert {"started": 1, "completed": 1, "terminate": 0, "saved": 0}.items() <= state.counters.items()


def test_a_count_may_be_set_by_hand_in_both_places():
    """The attribute and `counters` are one count."""
    engine = engine_with("saved")
    engine.state.saved = 5
    assert 5 == engine.state.counters["saved"]
    engine.state.counters["saved"] = 7
    engine.fire_event("saved")
    assert 8 == engine.state.saved


def test_a_count_by_hand_before_the_event_was_registered_counts_on():
    """As Ignite's users do it: first the attribute, then the event."""
    engine = Engine(lambda engine, batch: None)
    engine.state.saved = 3
    engine.register_events("saved")
    engine.fire_event("saved")
    assert 4 == engine.state.saved


def test_a_count_of_one_engine_is_no_attribute_of_the_state_of_another():
    """The name stays free for the user where there is no such event."""
    engine_with("only_here")
    other = State()
    assert not hasattr(other, "only_here")
    with pytest.raises(AttributeError, match="no attribute 'only_here'"):
        other.only_here
    other.only_here = "mine"
    assert ("mine", {}) == (other.only_here, other.counters)
    assert "only_here: 'mine'" in repr(other)
    del other.only_here
    assert not hasattr(other, "only_here")
    assert 5 == State(only_here=5).only_here


def test_an_attribute_that_is_no_integer_does_not_become_the_count():
    """A user's value of another kind under the name of an event is kept, and the event counts all the same."""
    engine = engine_with("loss")
    engine.state.loss = 0.25
    engine.fire_event("loss")
    assert (0.25, 1) == (engine.state.loss, engine.state.counters["loss"])
    del engine.state.loss
    assert 1 == engine.state.loss


def test_a_count_cannot_be_deleted():
    """It belongs to the event."""
    engine = engine_with("saved")
    with pytest.raises(AttributeError, match="saved"):
        del engine.state.saved
    assert 0 == engine.state.saved


@pytest.mark.parametrize("name", ["metrics", "epoch", "no identifier"])
def test_an_event_named_like_a_field_counts_without_an_attribute(name):
    """The field stays what it is; the count is in `counters`."""
    engine = engine_with(name)
    heard = []
    engine.add_event_handler(name, lambda: heard.append(True))
    engine.fire_event(name)
    assert (1, [True]) == (engine.state.counters[name], heard)
    assert ({}, 0) == (engine.state.metrics, engine.state.epoch)


def test_counts_of_a_copied_state_are_its_own():
    """What the copy counts does not move the original."""
    engine = engine_with("saved")
    twin = copy.deepcopy(engine.state)
    engine.fire_event("saved")
    assert (1, 0) == (engine.state.saved, twin.saved)


# StopReason


@pytest.mark.parametrize("word", ["completed", "terminated", "interrupted", "failed", "exhausted"])
def test_a_stop_reason_is_its_word(word):
    """It is a str like the word: equal, of the same hash, usable as a key, and nobody asked."""
    reason = StopReason(word)
    assert ({word: 1}[reason], word, None) == (1, f"{reason}", reason.by)
    assert repr(word) == repr(reason)


@copied_somehow
def test_a_stop_reason_is_copied_with_who_asked(copied):
    """The receiver's name comes along."""
    reason = copied(StopReason("interrupted", by="watch (train.py:3)"))
    assert ("interrupted", "watch (train.py:3)") == (reason, reason.by)


def test_before_the_first_run_and_while_one_goes_on_there_is_no_stop_reason():
    """It tells of the last run that ended; COMPLETED may read it already."""
    engine, seen = Engine(lambda engine, batch: None), []
    for event in (Events.STARTED, Events.ITERATION_COMPLETED, Events.COMPLETED):
        engine.add_event_handler(event, lambda engine: seen.append(engine.state.stop_reason))
    assert engine.state.stop_reason is None
    engine.run([0])
    engine.run([0])
    assert [None, None, "completed"] * 2 == seen


def test_the_value_that_an_event_counts_by_is_read_under_ignites_name():
    """A function that tells a global step in a program for Ignite works as it stands."""
    engine = Engine(lambda engine, batch: None)
    engine.register_events("own")
    values = {}

    @engine.on(Events.EPOCH_COMPLETED(once=2))
    def read(engine):
        engine.fire_event("own")
        for event in (*Events, "own", Events.ITERATION_COMPLETED(every=2)):
            values[event] = engine.state.get_event_attrib_value(event)

    engine.run(range(3), max_epochs=2)
    by_iteration = [event for event in Events if event.counter == "iteration"]
    by_epoch = [Events.STARTED, Events.COMPLETED, Events.EPOCH_STARTED, Events.EPOCH_COMPLETED]
    assert dict.fromkeys(by_iteration, 6) | dict.fromkeys(by_epoch, 2) == {
        event: values[event] for event in (*by_iteration, *by_epoch)
    }
    assert (1, 6, 0) == (values["own"], values[Events.ITERATION_COMPLETED(every=2)], values[Events.TERMINATE])


def test_an_event_that_the_state_does_not_know_is_named():
    """What an event of `event_to_attr` counts by is the engine's to say."""
    engine = Engine(lambda engine, batch: None)
    engine.register_events("own", event_to_attr={"own": "samples"})
    with pytest.raises(ValueError, match="event_name must be an event whose count the state knows, got 'own'"):
        engine.state.get_event_attrib_value("own")


@pytest.mark.parametrize("event", [None, 3, Events.STARTED | Events.COMPLETED])
def test_what_is_no_event_counts_by_nothing(event):
    """The error names it."""
    with pytest.raises(TypeError, match=re.escape(f"event_name must be an event, got {event!r}")):
        State().get_event_attrib_value(event)
    assert 0 == State().get_event_attrib_value(Events.TERMINATE)
