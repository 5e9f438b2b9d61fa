"""A run sends the same events in the same order, whatever it iterates."""

from __future__ import annotations

import itertools
import logging
import time
import weakref
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, IterableDataset

from ignite_signals.engine import Engine, Events, State
from ignite_signals.testing import EventRecorder


class Unsized:
    """Data that can be iterated again and again, but does not tell its length."""

    def __init__(self, batches) -> None:
        self.batches = list(batches)

    def __iter__(self):
        return iter(self.batches)


class Stream(IterableDataset):
    """A data set without a length, over which a DataLoader has none either."""

    def __iter__(self):
        return iter(torch.arange(4))


def echo(engine, batch):
    return batch


def recorded(data, step=echo, **limits):
    """Run, and return the sequence of events, the batches and the state."""
    batches = []

    def watched(engine, batch):
        batches.append(batch)
        return step(engine, batch)

    engine = Engine(watched)
    with EventRecorder(engine) as recorder:
        state = engine.run(data, **limits)
    return recorder.sequence, batches, state


def timeline(n, max_epochs=1, max_iters=None, epoch_length=None, sized=True) -> Iterator[tuple[str, int, int]]:
    """Say what a run over n batches, which can be iterated anew, has to send."""
    length = epoch_length or (n if sized else None)
    epoch, iteration, left = 0, 0, n
    yield "started", 0, 0
    while iteration < max_iters if max_iters else epoch < max_epochs:
        epoch, taken = epoch + 1, 0
        yield "epoch_started", epoch, iteration
        while taken != length and iteration != max_iters:
            yield "get_batch_started", epoch, iteration
            if not left:
                if length is None:
                    length = taken
                    break
                yield "dataloader_stop_iteration", epoch, iteration
                left = n
            yield "get_batch_completed", epoch, iteration
            left, taken, iteration = left - 1, taken + 1, iteration + 1
            yield "iteration_started", epoch, iteration
            yield "iteration_completed", epoch, iteration
        if taken == length:
            yield "epoch_completed", epoch, iteration
    yield "completed", epoch, iteration


# The sequence of events


def test_a_run_sends_every_event_in_its_place():
    """Two epochs over two batches send these events; in the second the data is iterated anew."""
    sequence, batches, state = recorded(["a", "b"], max_epochs=2)
    assert [
        ("started", 0, 0),
        ("epoch_started", 1, 0),
        ("get_batch_started", 1, 0),
        ("get_batch_completed", 1, 0),
        ("iteration_started", 1, 1),
        ("iteration_completed", 1, 1),
        ("get_batch_started", 1, 1),
        ("get_batch_completed", 1, 1),
        ("iteration_started", 1, 2),
        ("iteration_completed", 1, 2),
        ("epoch_completed", 1, 2),
        ("epoch_started", 2, 2),
        ("get_batch_started", 2, 2),
        ("dataloader_stop_iteration", 2, 2),
        ("get_batch_completed", 2, 2),
        ("iteration_started", 2, 3),
        ("iteration_completed", 2, 3),
        ("get_batch_started", 2, 3),
        ("get_batch_completed", 2, 3),
        ("iteration_started", 2, 4),
        ("iteration_completed", 2, 4),
        ("epoch_completed", 2, 4),
        ("completed", 2, 4),
    ] == sequence
    assert ["a", "b", "a", "b"] == batches
    assert "completed" == state.stop_reason


LIMITS = st.one_of(
    st.fixed_dictionaries({"max_epochs": st.integers(1, 4)}), st.fixed_dictionaries({"max_iters": st.integers(1, 12)})
)


@given(n=st.integers(1, 6), limits=LIMITS, epoch_length=st.none() | st.integers(1, 7), sized=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_data_and_any_limits_give_the_sequence_of_the_timeline(n, limits, epoch_length, sized):
    """Data longer or shorter than an epoch, sized or not, goes round and round until the limit is reached."""
    data = list(range(n)) if sized else Unsized(range(n))
    sequence, batches, state = recorded(data, **limits, epoch_length=epoch_length)
    assert list(timeline(n, **limits, epoch_length=epoch_length, sized=sized)) == sequence
    assert [i % n for i in range(state.iteration)] == batches
    assert limits.get("max_iters", limits.get("max_epochs", 0) * (epoch_length or n)) == state.iteration


@given(limits=LIMITS, epoch_length=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_an_infinite_iterator_is_never_started_anew(limits, epoch_length):
    """An infinite iterator gives each batch once, and nothing is sent about its end."""
    sequence, batches, state = recorded(itertools.count(), **limits, epoch_length=epoch_length)
    assert list(timeline(10**6, **limits, epoch_length=epoch_length)) == sequence
    assert list(range(state.iteration)) == batches


@given(limits=LIMITS, epoch_length=st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_without_data_the_step_gets_none_and_no_batch_is_announced(limits, epoch_length):
    """A run without data has the iterations of `epoch_length`, and none of the events about batches."""
    sequence, batches, state = recorded(None, **limits, epoch_length=epoch_length)
    expected = timeline(10**6, **limits, epoch_length=epoch_length)
    assert [event for event in expected if not event[0].startswith("get_batch")] == sequence
    assert [None] * state.iteration == batches


def test_an_infinite_iterator_needs_no_length_of_an_epoch_where_max_iters_ends_the_run():
    """`max_iters` alone limits a run over data without end, all in one epoch that stays open."""
    sequence, batches, state = recorded(itertools.count(), max_iters=3)
    assert ("completed", 1, 3) == sequence[-1]
    assert "epoch_completed" not in [name for name, *_ in sequence]
    assert [0, 1, 2] == batches
    assert (None, "completed") == (state.epoch_length, state.stop_reason)


@pytest.mark.parametrize("max_iters", [1, 2, 3, 4, 5, 6])
def test_max_iters_completes_the_epochs_that_it_fills_and_no_other(max_iters):
    """An epoch cut by `max_iters` has no EPOCH_COMPLETED, and the run no TERMINATE."""
    sequence, _, state = recorded(range(3), max_iters=max_iters)
    names = [name for name, *_ in sequence]
    assert max_iters // 3 == names.count("epoch_completed")
    assert 1 == names.count("completed")
    assert "terminate" not in names
    assert (max_iters, None, max_iters) == (state.iteration, state.max_epochs, state.max_iters)


@pytest.mark.parametrize(
    ("loader", "expected"),
    [
        (DataLoader(torch.arange(4), batch_size=2), [[0, 1], [2, 3]] * 2),
        (DataLoader(Stream(), batch_size=2), [[0, 1], [2, 3]] * 2),
        (torch.arange(4), [0, 1, 2, 3] * 2),
        (dict.fromkeys("ab"), ["a", "b"] * 2),
        ("ab", ["a", "b"] * 2),
    ],
    ids=["sized loader", "unsized loader", "tensor", "dict", "str"],
)
def test_whatever_can_be_iterated_is_data(loader, expected):
    """A DataLoader, a tensor, a dict and a str run like a list does."""
    _, batches, state = recorded(loader, max_epochs=2)
    assert expected == [batch.tolist() if isinstance(batch, torch.Tensor) else batch for batch in batches]
    assert (2, len(expected), len(expected) // 2) == (state.epoch, state.iteration, state.epoch_length)


class OldSequence:
    """Data of the old protocol: `__getitem__` until IndexError, no `__iter__`."""

    def __getitem__(self, index):
        return [10, 11][index]


def test_data_that_is_only_indexed_runs():
    """What has `__getitem__` alone is iterated as Python does it."""
    _, batches, _ = recorded(OldSequence(), max_epochs=2)
    assert [10, 11, 10, 11] == batches


# Data that ends early


@pytest.mark.parametrize(
    ("available", "limits", "end", "said"),
    [
        (5, {"max_epochs": 2, "epoch_length": 3}, (2, 5), "after 5 iterations of 6"),
        (3, {"max_epochs": 2, "epoch_length": 3}, (2, 3), "after 3 iterations of 6"),
        (2, {"max_epochs": 4, "epoch_length": 3}, (1, 2), "after 2 iterations of 12"),
        (0, {"max_epochs": 4, "epoch_length": 3}, (1, 0), "after 0 iterations of 12"),
        (4, {"max_iters": 9, "epoch_length": 3}, (2, 4), "after 4 iterations of 9"),
        (4, {"max_iters": 9}, (2, 4), "after 4 iterations of 9"),
        (4, {"max_epochs": 3}, (2, 4), "after 4 iterations of 12"),
        (0, {"max_epochs": 3}, (1, 0), "after 0 iterations of max_epochs=3 epochs"),
    ],
    ids=str,
)
def test_data_that_gives_nothing_more_ends_the_run_in_order(available, limits, end, said):
    """The short epoch completes, the rest are not tried, and one warning says how far the run came."""
    with pytest.warns(UserWarning, match=said) as caught:
        sequence, _, state = recorded(iter(range(available)), **limits)
    assert 1 == len(caught)
    assert [(name, *end) for name in ("dataloader_stop_iteration", "epoch_completed", "completed")] == sequence[-3:]
    assert "exhausted" == state.stop_reason
    assert end == (state.epoch, state.iteration)


def test_an_iterator_with_just_enough_batches_ends_without_a_word():
    """Six batches are two epochs of three: no warning, and no look beyond the sixth."""
    data = iter(range(7))
    sequence, _, state = recorded(data, max_epochs=2, epoch_length=3)
    assert list(timeline(10, max_epochs=2, epoch_length=3)) == sequence
    assert ("completed", 6) == (state.stop_reason, next(data))


def test_data_that_is_shorter_than_it_tells_goes_on_from_its_start():
    """An epoch has the length that the data tells, also where it gives less at a time."""

    class Liar(Unsized):
        def __len__(self):
            return 3

    _, batches, state = recorded(Liar("ab"), max_epochs=2)
    assert list("ababab") == batches
    assert (2, 6) == (state.epoch, state.iteration)


# What the step and the receivers see


def test_batch_and_output_are_set_before_the_events_that_announce_them():
    """GET_BATCH_COMPLETED sees the new batch, ITERATION_COMPLETED the new output."""
    engine = Engine(lambda engine, batch: batch * 10)
    seen = []
    for event in (Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED, Events.ITERATION_COMPLETED):
        engine.add_event_handler(event, lambda engine: seen.append((engine.state.batch, engine.state.output)))
    engine.run([1, 2])
    assert [(None, None), (1, None), (1, 10), (None, 10), (2, None), (2, 20)] == seen


class Thing:
    """Something that a weak reference can watch."""


def test_the_old_batch_is_let_go_before_the_next_is_fetched():
    """While the data makes a batch, the one before is no more."""
    alive = []

    def batches():
        last = None
        for _ in range(4):
            alive.append(last is not None and last() is not None)
            thing = Thing()
            last = weakref.ref(thing)
            yield thing
            del thing

    engine = Engine(lambda engine, batch: None)
    engine.run(batches(), epoch_length=4)
    assert [False] * 4 == alive


def test_the_old_output_is_let_go_after_the_next_batch_is_fetched():
    """While the next batch is fetched the output is there; once it has come, no longer."""
    outputs, seen = [], []

    def step(engine, batch):
        thing = Thing()
        outputs.append(weakref.ref(thing))
        return thing

    engine = Engine(step)
    for event in (Events.GET_BATCH_STARTED(after=0), Events.GET_BATCH_COMPLETED(after=0)):
        engine.add_event_handler(event, lambda: seen.append(outputs[-1]() is not None))
    engine.run(range(3))
    assert [True, False, True, False] == seen


def test_the_last_batch_and_output_are_there_after_the_run():
    """What the last iteration was about can be looked at when the run is over."""
    state = Engine(lambda engine, batch: batch + 1).run([1, 2])
    assert (2, 3) == (state.batch, state.output)


def test_a_run_returns_the_state_of_the_engine():
    """`run` returns `engine.state` itself."""
    engine = Engine(echo)
    assert engine.state is engine.run([1])


def test_nested_evaluation_stands_between_the_events_of_training():
    """An evaluator that is run by a handler sends its whole run before the trainer goes on."""
    trainer, evaluator = Engine(echo), Engine(echo)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([7]))
    with EventRecorder(trainer=trainer, evaluator=evaluator) as recorder:
        trainer.run([1], max_epochs=2)
    evaluation = [("evaluator", *event) for event in timeline(1)]
    expected = []
    for event in timeline(1, max_epochs=2):
        expected += [("trainer", *event), *(evaluation if event[0] == "epoch_completed" else [])]
    assert expected == [(record.engine, record.event, record.epoch, record.iteration) for record in recorder]


def test_an_engine_that_runs_itself_is_refused():
    """`run` inside the engine's own handler is an error that says what may be run there."""
    engine = Engine(echo)
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: engine.run([1]))
    with pytest.raises(RuntimeError, match="is running: a handler may run another engine, but not its own"):
        engine.run([1])
    assert ("failed", 1, 0) == (engine.state.stop_reason, engine.state.epoch, engine.state.iteration)


def test_a_step_may_be_any_callable_of_engine_and_batch():
    """A bound method, an object with `__call__` and a builtin run as a function does."""

    class Step:
        def __call__(self, engine, batch):
            return batch

        method = __call__

    outputs = [Engine(step).run([5]).output for step in (Step(), Step().method, lambda *both: both[1])]
    assert [5, 5, 5] == outputs


async def awaited(engine, batch):
    """A step that can only be awaited."""


@pytest.mark.parametrize(
    ("step", "error", "said"),
    [
        (None, ValueError, r"process_function must be a function of \(engine, batch\), got None"),
        (5, TypeError, "process_function must be callable, got 5"),
        (lambda batch: None, ValueError, r"process_function must take \(engine, batch\), got .*lambda"),
        (awaited, TypeError, "process_function must be a plain function, got the async awaited"),
    ],
)
def test_what_is_no_step_is_refused_at_once(step, error, said):
    """An engine is not made with a step that it could not call."""
    with pytest.raises(error, match=said):
        Engine(step)


# Bad arguments


class Untouched:
    """Data that must not be looked at."""

    def __iter__(self):
        pytest.fail("the data was iterated")


BAD = [
    *(
        ({name: value}, ValueError, f"{name} must be a positive integer, got {value!r}")
        for name in ("max_epochs", "max_iters", "epoch_length")
        for value in (0, -1, True, 1.5, "3")
    ),
    (
        {"max_epochs": 3, "max_iters": 7},
        ValueError,
        "max_epochs and max_iters exclude each other, got max_epochs=3 and max_iters=7: leave one out",
    ),
    ({"data": 5}, TypeError, "data must be iterable, as a list or a DataLoader is, got 5"),
    ({"data": []}, ValueError, "data must not be empty, got the list [] of length 0"),
    ({"data": [], "epoch_length": 3}, ValueError, "data must not be empty, got the list [] of length 0"),
    ({"data": None}, ValueError, "epoch_length must be given when data is None"),
    ({"data": None, "max_iters": 3}, ValueError, "epoch_length must be given when data is None"),
]


@pytest.mark.parametrize(("arguments", "error", "said"), BAD, ids=str)
def test_a_bad_argument_is_named_before_anything_runs(arguments, error, said):
    """The error names argument, value and remedy; no event is sent, no state moved, no batch taken."""
    engine = Engine(echo)
    before = repr(engine.state)
    with EventRecorder(engine) as recorder, pytest.raises(error) as raised:
        engine.run(**({"data": Untouched()} | arguments))
    assert str(raised.value).startswith(said)
    assert [] == recorder.sequence
    assert before == repr(engine.state)
    assert 2 == engine.run([1, 2]).iteration


def test_a_class_is_not_data():
    """The class of some data, given for the data itself, is refused before anything is sent."""
    engine = Engine(echo)
    with EventRecorder(engine) as recorder, pytest.raises(TypeError):
        engine.run(list)
    assert [] == recorder.sequence


# Other data on the way


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (Events.STARTED, "ABCABC"),
        (Events.EPOCH_STARTED(once=1), "ABCABC"),
        (Events.GET_BATCH_STARTED(once=1), "aABCAB"),
        (Events.GET_BATCH_COMPLETED(once=1), "abABCA"),
        (Events.ITERATION_STARTED(once=1), "aABCAB"),
        (Events.ITERATION_COMPLETED(once=3), "abcABC"),
        (Events.EPOCH_COMPLETED(once=1), "abcABC"),
        (Events.EPOCH_STARTED(once=2), "abcABC"),
    ],
    ids=str,
)
def test_set_data_takes_the_next_batch_from_other_data(moment, expected):
    """Whenever the data is replaced, the next batch that is fetched is the first of the new."""
    engine = Engine(lambda engine, batch: taken.append(batch))
    taken = []
    engine.add_event_handler(moment, lambda engine: engine.set_data("ABC"))
    state = engine.run("abc", max_epochs=2)
    assert list(expected) == taken
    assert (2, 6, "ABC") == (state.epoch, state.iteration, state.dataloader)


def test_set_data_leaves_the_length_of_an_epoch():
    """Longer data that comes in mid-run does not make the epoch longer."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda engine: engine.set_data(range(10)))
    state = engine.run(range(3), max_epochs=2)
    assert (3, 6, 2) == (state.epoch_length, state.iteration, state.epoch)


@pytest.mark.parametrize(("data", "error"), [(5, TypeError), ([], ValueError)])
def test_set_data_refuses_what_run_refuses(data, error):
    """Data that cannot be iterated, or is empty, leaves the data as it was."""
    engine = Engine(echo)
    engine.run("abc")
    with pytest.raises(error, match="data must"):
        engine.set_data(data)
    assert "abc" == engine.state.dataloader


# What is set by hand on the way


@pytest.mark.parametrize("moment", range(22))
@pytest.mark.parametrize("to", [0, 10])
def test_an_iteration_that_is_set_by_hand_is_counted_on_from_there(moment, to):
    """Whichever event sets it, all later events see it, and the epochs keep their length."""
    plain = list(timeline(2, max_epochs=2))
    engine, left = Engine(echo), iter(range(moment, -1, -1))

    def set_it(engine, **payload):
        if next(left, None) == 0:
            engine.state.iteration = to

    with EventRecorder(engine) as recorder:
        for event in Events:
            engine.signal(event).connect(set_it, weak=False)
        engine.run([0, 1], max_epochs=2)
    shift = to - plain[moment][2]
    expected = plain[: moment + 1] + [(name, epoch, count + shift) for name, epoch, count in plain[moment + 1 :]]
    assert expected == recorder.sequence


@pytest.mark.parametrize(
    ("data", "event"),
    [
        (range(6), Events.GET_BATCH_STARTED(once=1)),
        (range(6), Events.GET_BATCH_COMPLETED(once=1)),
        (range(6), Events.ITERATION_STARTED(once=2)),
        (None, Events.ITERATION_STARTED(once=2)),
        (None, Events.ITERATION_COMPLETED(once=2)),
        (None, Events.EPOCH_STARTED),
    ],
    ids=str,
)
def test_an_iteration_that_is_set_by_hand_reaches_filters_that_wait(data, event):
    """Where nobody listens in between, a filter hears the count that it waits for all the same."""
    engine, heard = Engine(echo), []
    for waits in (Events.ITERATION_STARTED(once=103), Events.ITERATION_COMPLETED(once=[3, 103])):
        engine.add_event_handler(
            waits, lambda engine: heard.append((engine.last_event_name.name, engine.state.iteration))
        )
    engine.add_event_handler(event, lambda engine: setattr(engine.state, "iteration", 102))
    engine.run(data, epoch_length=6)
    assert [("ITERATION_STARTED", 103), ("ITERATION_COMPLETED", 103)] == heard


def test_a_step_may_set_the_iteration():
    """ITERATION_COMPLETED sees what the step has set, and the next iteration counts on from it."""

    def step(engine, batch):
        if engine.state.iteration == 2:
            engine.state.iteration = 20

    engine, heard = Engine(step), []
    waits = Events.ITERATION_COMPLETED(once=[2, 20, 22])
    engine.add_event_handler(waits, lambda engine: heard.append(engine.state.iteration))
    assert 22 == engine.run(range(4)).iteration
    assert [20, 22] == heard


@pytest.mark.parametrize(
    ("limits", "name", "value", "end"),
    [
        ({"max_epochs": 5}, "max_epochs", 1, (1, 3)),
        ({"max_epochs": 1}, "max_epochs", 2, (2, 6)),
        ({"max_epochs": 2}, "epoch_length", 2, (2, 4)),
        ({"max_epochs": 1}, "epoch_length", 5, (1, 5)),
        ({"max_iters": 9}, "max_iters", 4, (2, 4)),
        ({"max_iters": 3}, "max_iters", 4, (2, 4)),
        ({"max_epochs": 5}, "epoch", 4, (5, 6)),
    ],
    ids=str,
)
def test_limits_and_counters_may_be_set_by_hand_in_a_run(limits, name, value, end):
    """The run goes by what the state says."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: setattr(engine.state, name, value))
    state = engine.run(range(3), **limits)
    assert (*end, "completed") == (state.epoch, state.iteration, state.stop_reason)


# What is there beside the events


def test_times_tell_what_the_last_epoch_and_the_run_took():
    """The times are there when EPOCH_COMPLETED and COMPLETED are sent, and count their receivers afterwards."""
    engine, seen = Engine(lambda engine, batch: time.sleep(0.01)), {}
    for event in (Events.EPOCH_COMPLETED, Events.COMPLETED):

        def handler(engine, event=event):
            seen[event.name] = engine.state.times[event.name]
            time.sleep(0.02)

        engine.add_event_handler(event, handler)
    assert {"EPOCH_COMPLETED": None, "COMPLETED": None} == engine.state.times
    began = time.perf_counter()
    times = engine.run(range(2), max_epochs=2).times
    wall = time.perf_counter() - began
    assert 0.02 <= seen["EPOCH_COMPLETED"] <= times["EPOCH_COMPLETED"] - 0.02
    assert 0.08 <= seen["COMPLETED"] <= times["COMPLETED"] - 0.02
    assert times["EPOCH_COMPLETED"] < times["COMPLETED"] <= wall


def test_times_leave_out_what_an_interrupted_run_was_paused_for():
    """The pause between two parts of a run is not counted to it."""
    engine = Engine(lambda engine, batch: engine.interrupt() if batch == 0 else None)
    began = time.perf_counter()
    engine.run(range(3))
    time.sleep(0.05)
    times = engine.run().times
    wall = time.perf_counter() - began
    assert 0 < times["EPOCH_COMPLETED"] <= times["COMPLETED"] <= wall - 0.05


def test_last_event_name_is_exact_in_every_receiver_and_after_the_run():
    """Whoever looks while an event is sent reads that event, also where receivers are few."""
    engine, wrong = Engine(echo), []
    for event in Events:

        def look(engine, event=event):
            if engine.last_event_name is not event:
                wrong.append((event, engine.last_event_name))

        engine.add_event_handler(event, look)
    assert engine.last_event_name is None
    engine.run(range(2), max_epochs=2)
    assert [] == wrong
    assert Events.COMPLETED is engine.last_event_name


def test_last_event_name_is_exact_after_a_receiver_fired_another_event():
    """A receiver that is called after another one has fired an event reads the event that it hears itself."""
    engine, seen = Engine(echo), []
    engine.register_events("mine")
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: engine.fire_event("mine"))
    engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: seen.append(engine.last_event_name))
    engine.run([1])
    assert [Events.EPOCH_STARTED] == seen


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (lambda engine: engine.terminate(), Events.COMPLETED),
        (lambda engine: engine.terminate(skip_completed=True), Events.TERMINATE),
        (lambda engine: engine.interrupt(), Events.INTERRUPT),
    ],
    ids=["terminate", "skip", "interrupt"],
)
def test_last_event_name_tells_how_a_run_ended(end, expected):
    """After the run it is the event that was sent last."""
    engine = Engine(lambda engine, batch: end(engine))
    engine.run([1, 2])
    assert expected is engine.last_event_name


def test_the_logger_says_nothing_on_the_hot_path(caplog):
    """A run of a hundred iterations logs as much as one of two, at INFO and not above."""
    engine, said = Engine(echo), []
    with caplog.at_level(logging.DEBUG):
        for length in (2, 100):
            caplog.clear()
            engine.run(range(length))
            said.append([record.levelno for record in caplog.records])
    assert [logging.INFO, logging.INFO] == said[0] == said[1]


def test_the_logger_has_no_handler_of_its_own(caplog):
    """The engine's logger leaves it to the user where records go, and level and name tell what it is."""
    logger = Engine(echo).logger
    assert isinstance(logger, logging.Logger)
    assert ([], True, logging.NOTSET) == (logger.handlers, logger.propagate, logger.level)
    assert logger.name.startswith("ignite_signals.")


def test_the_logger_may_be_replaced(caplog):
    """A user's own logger is the one that a run talks to."""
    engine = Engine(echo)
    engine.logger = logging.getLogger("mine")
    with caplog.at_level(logging.INFO, "mine"):
        engine.run([1])
    assert {"mine"} == {record.name for record in caplog.records}


def test_a_subclass_may_replace_the_state_override_run_and_add_events():
    """`Engine` is made to be subclassed."""

    class MyState(State):
        pass

    class Trainer(Engine):
        def __init__(self, step):
            super().__init__(step)
            self.state = MyState(best=3)
            self.register_events("validated")

        def run(self, data):
            return super().run(data, max_epochs=2)

    trainer = Trainer(lambda engine, batch: engine.fire_event("validated"))
    state = trainer.run([1, 2])
    assert isinstance(state, MyState)
    assert (2, 4, 4, 3) == (state.epoch, state.iteration, state.validated, state.best)


def test_without_data_the_old_output_is_gone_at_iteration_started():
    """The output that receivers see before the step is None, with data or without."""
    engine, seen = Engine(lambda engine, batch: engine.state.iteration), []
    engine.add_event_handler(Events.ITERATION_STARTED, lambda engine: seen.append(engine.state.output))
    engine.run(epoch_length=2)
    engine.run([0, 1])
    assert [None] * 4 == seen


@pytest.mark.parametrize("limit", ["epoch_length", "max_iters"])
def test_a_limit_that_a_receiver_moves_is_looked_at_in_the_same_iteration(limit):
    """Whichever event of the iteration it listens to, the epoch or the run ends where it says."""
    for event in (Events.GET_BATCH_STARTED, Events.GET_BATCH_COMPLETED, Events.ITERATION_STARTED):
        engine = Engine(echo)
        # The first two count the iterations that are done, the third the one that starts.
        count = 3 if event is Events.ITERATION_STARTED else 2
        engine.add_event_handler(event(once=count), lambda engine: setattr(engine.state, limit, 3))
        assert 3 == engine.run(range(10)).iteration


def test_a_send_by_hand_takes_no_occurrence_from_the_loop():
    """The loop's own occurrence at the same count is heard, too."""
    heard = []

    def step(engine, batch):
        if engine.state.iteration == 10:
            engine.signals["iteration_completed"].send(engine)

    engine = Engine(step)
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=5), lambda engine: heard.append(engine.state.iteration))
    engine.run(range(12))
    assert [5, 10, 10] == heard


def test_a_send_by_hand_hides_neither_a_request_nor_other_data():
    """What makes the loop look is not forgotten for an event that is fired in between."""
    taken = []

    def step(engine, batch):
        taken.append(batch)
        if engine.state.iteration == 2:
            engine.set_data([10, 11, 12])
            engine.fire_event(Events.GET_BATCH_STARTED)
        if engine.state.iteration == 4:
            engine.terminate()
            engine.fire_event(Events.ITERATION_COMPLETED)

    engine = Engine(step)
    with EventRecorder(engine, events=[Events.EPOCH_COMPLETED, Events.TERMINATE]) as recorder:
        engine.run(range(4))
    assert [0, 1, 10, 11] == taken
    assert ["terminate"] == recorder.names


@pytest.mark.parametrize("limit", ["epoch_length", "max_iters"])
@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED])
def test_a_limit_that_the_step_moves_is_looked_at_after_the_next_event_that_is_heard(event, limit):
    """It need not be a receiver that moves it, as long as one is called."""

    def step(engine, batch):
        if engine.state.iteration == 2:
            setattr(engine.state, limit, 4)

    engine = Engine(step)
    engine.add_event_handler(event, lambda engine: None)
    assert 4 == engine.run(range(20)).iteration


def test_an_unknown_epoch_length_may_be_given_when_a_run_is_resumed():
    """It ends the epoch that was interrupted, and those after it."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), Engine.interrupt)
    engine.run(iter(range(100)))
    assert ("completed", 5) == (engine.run(epoch_length=5).stop_reason, engine.state.iteration)


def test_an_epoch_has_no_end_at_a_large_iteration():
    """However far the iterations have come, an epoch of unknown length lasts until the data ends."""
    engine = Engine(echo)
    engine.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "iteration", 2**30 - 3))
    assert 10 == engine.run(iter(range(10))).epoch_length
