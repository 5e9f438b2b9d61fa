"""The recorder keeps what runs do: engine, event, counts and payload, in order."""

from __future__ import annotations

import gc
import weakref

import attrs
import pytest

from ignite_signals.engine import Engine, EventEnum, Events
from ignite_signals.testing import EventRecorder, Record


class Custom(EventEnum):
    MADE = "made"


class Thief(EventEnum):
    """Has the name of a built-in signal."""

    ENDED = "completed"


def make_engine(step=lambda engine, batch: None):
    engine = Engine(step)
    engine.register_events(*Custom)
    return engine


ONE_BATCH = [
    ("started", 0, 0),
    ("epoch_started", 1, 0),
    ("get_batch_started", 1, 0),
    ("get_batch_completed", 1, 0),
    ("iteration_started", 1, 1),
    ("iteration_completed", 1, 1),
    ("epoch_completed", 1, 1),
    ("completed", 1, 1),
]


def test_a_recorder_keeps_the_whole_sequence():
    """Every event of a run is recorded with epoch and iteration, in order."""
    engine = make_engine()
    with EventRecorder(engine) as recorder:
        engine.run(["batch"])
    assert ONE_BATCH == recorder.sequence
    assert [name for name, *_ in ONE_BATCH] == recorder.names == [record.event for record in recorder]
    assert len(ONE_BATCH) == len(recorder)
    assert f"EventRecorder({len(ONE_BATCH)} records)" == repr(recorder)


def test_a_record_has_the_count_that_filters_see():
    """The count is that of the iteration, the epoch, or the event's own occurrences."""
    engine = make_engine(lambda engine, batch: engine.fire_event(Custom.MADE))
    with EventRecorder(engine) as recorder:
        engine.run(range(2))
        engine.run(range(2))
    counts = {event: [r.count for r in recorder if r.event == event] for event in recorder.names}
    assert {
        "started": [1, 2],
        "epoch_started": [1, 1],
        "get_batch_started": [0, 1, 0, 1],
        "get_batch_completed": [0, 1, 0, 1],
        "iteration_started": [1, 2, 1, 2],
        "made": [1, 2, 3, 4],
        "iteration_completed": [1, 2, 1, 2],
        "epoch_completed": [1, 1],
        "completed": [1, 2],
    } == counts


def test_a_record_has_the_payload():
    """What an event sends beside the engine is recorded."""
    error = ValueError("boom")

    def step(engine, batch):
        engine.fire_event(Custom.MADE, loss=3)
        raise error

    engine = make_engine(step)
    recorder = EventRecorder(engine, events=[Custom.MADE, Events.EXCEPTION_RAISED])
    with pytest.raises(ValueError, match="boom"):
        engine.run([1])
    assert [{"loss": 3}, {"exception": error}] == [dict(record.payload) for record in recorder]


def test_records_are_values():
    """Records are equal where they tell the same, whenever it was, and cannot be changed."""
    engine = make_engine()
    with EventRecorder(engine, events=["completed"]) as recorder:
        engine.run([1])
    [record] = recorder
    assert Record("engine", "completed", 1, 1, 1) == record
    assert Record("engine", "completed", 1, 1, 2) != record
    assert record.time > 0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.epoch = 3


def test_records_are_timed_in_order():
    """The times of records never go back."""
    engine = make_engine()
    with EventRecorder(engine) as recorder:
        engine.run(range(5), max_epochs=2)
    times = [record.time for record in recorder.records]
    assert sorted(times) == times
    assert times[0] < times[-1]


def test_several_engines_are_recorded_under_their_names():
    """Nested runs are recorded in one sequence, each record under the name of its engine."""
    trainer, evaluator = make_engine(), make_engine()
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([1]))
    events = [Events.STARTED, Events.EPOCH_COMPLETED, Events.COMPLETED]
    with EventRecorder(trainer=trainer, evaluator=evaluator, events=events) as recorder:
        trainer.run([1, 2])
    assert [
        ("trainer", "started"),
        ("trainer", "epoch_completed"),
        ("evaluator", "started"),
        ("evaluator", "epoch_completed"),
        ("evaluator", "completed"),
        ("trainer", "completed"),
    ] == [(record.engine, record.event) for record in recorder]


def test_the_first_engine_needs_no_name():
    """An engine given alone is recorded as `engine`, beside others with names."""
    engine, other = make_engine(), make_engine()
    with EventRecorder(engine, other=other, events=[Events.STARTED]) as recorder:
        other.run([1])
        engine.run([1])
    assert ["other", "engine"] == [record.engine for record in recorder]


def test_a_recorder_hears_before_others():
    """When a receiver is called, whatever its priority, the record is there."""
    engine = make_engine()
    seen = []
    engine.signal(Events.COMPLETED).connect(lambda engine: seen.append(recorder.names), weak=False, priority=10**6)
    recorder = EventRecorder(engine, events=[Events.COMPLETED])
    engine.run([1])
    assert [["completed"]] == seen


def test_a_recorder_listens_until_it_is_stopped():
    """`stop`, and the end of the `with` block, end the listening and leave the records."""
    engine = make_engine()
    recorder = EventRecorder(engine, events=[Events.STARTED])
    engine.run([1])
    recorder.stop()
    recorder.stop()
    engine.run([1])
    assert ["started"] == recorder.names
    assert not any(signal.receivers for signal in engine.signals.values())


def test_records_can_be_cleared():
    """`clear` forgets the records and goes on."""
    engine = make_engine()
    recorder = EventRecorder(engine, events=[Events.STARTED, Events.COMPLETED])
    engine.run([1])
    recorder.clear()
    assert 0 == len(recorder)
    engine.run([1])
    assert [("started", 0, 0), ("completed", 1, 1)] == recorder.sequence


def test_a_recorder_does_not_change_what_filters_hear():
    """With a recorder or without, the same handlers are called at the same counts."""

    def heard(record):
        counts = []
        engine = make_engine(lambda engine, batch: engine.fire_event(Custom.MADE))
        recorder = EventRecorder(engine) if record else None
        engine.add_event_handler(Custom.MADE(every=3), lambda: counts.append(engine.state.made))
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=4), lambda: counts.append(engine.state.iteration))
        engine.run(range(6), max_epochs=2)
        return counts, recorder

    assert [3, 4, 6, 8, 9, 12, 12] == heard(False)[0] == heard(True)[0]


def test_filtered_events_are_recorded_where_they_pass():
    """A recorder of a filtered event keeps the occurrences that pass."""
    engine = make_engine()
    with EventRecorder(engine, events=[Events.ITERATION_COMPLETED(every=2), Events.COMPLETED]) as recorder:
        engine.run(range(5))
    engine.run(range(5))
    assert [
        ("iteration_completed", 1, 2),
        ("iteration_completed", 1, 4),
        ("completed", 1, 5),
    ] == recorder.sequence


def test_a_recorder_keeps_no_engine():
    """A recorder outlives its engine, without keeping it."""
    engine = make_engine()
    recorder = EventRecorder(engine)
    engine.run([1])
    alive = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert alive() is None
    finally:
        gc.enable()
    recorder.stop()
    assert ONE_BATCH == recorder.sequence


def test_a_recorder_needs_an_engine():
    """Without an engine, the error says how to give one."""
    with pytest.raises(ValueError, match=r"EventRecorder needs an engine: EventRecorder\(engine\)"):
        EventRecorder(events=[Events.STARTED])


@pytest.mark.parametrize("event", ["no_such_event", Thief.ENDED])
def test_unknown_events_are_refused(event):
    """An event that the engine lacks is no event to record, and nothing is connected."""
    engine = make_engine()
    with pytest.raises(ValueError, match="unknown event"):
        EventRecorder(engine, events=[Events.STARTED, event])
    assert [] == [name for name, signal in engine.signals.items() if signal.receivers]


def test_a_recorder_wants_engines():
    """The error names the argument and the value."""
    with pytest.raises(TypeError, match="engine must be an Engine, got 5"):
        EventRecorder(5)


def test_a_recorder_goes_by_the_counter_that_an_event_has_now():
    """An event that is mapped to an attribute later on is recorded with that count."""
    engine = Engine(lambda engine, batch: None)
    engine.register_events("tick")
    with EventRecorder(engine, events=["tick"]) as recorder:
        engine.register_events("tick", event_to_attr={"tick": "ticks"})
        engine.state.ticks = 5
        engine.fire_event("tick")
    assert 5 == recorder.records[0].count
