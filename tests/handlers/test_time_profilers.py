"""The time profilers tell what the data, the step and the handlers take, each second once."""

from __future__ import annotations

import copy
import csv
import gc
import io
import math
import pickle
import re
import statistics
import threading
import weakref
from collections import OrderedDict
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ignite_signals.engine import DeterministicEngine, Engine, EventEnum, Events
from ignite_signals.handlers.time_profilers import BasicTimeProfiler, HandlersTimeProfiler
from ignite_signals.handlers.time_profilers.names import kind_of, name_of
from ignite_signals.handlers.time_profilers.series import Series
from ignite_signals.metrics import Accuracy, Loss
from ignite_signals.testing import EventRecorder

both = pytest.mark.parametrize("kind", [BasicTimeProfiler, HandlersTimeProfiler])


class Custom(EventEnum):
    MADE = "made"


class Clock:
    """A clock that stands still until it is moved; binary fractions keep all sums exact."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now

    def moves(self, seconds):
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("ignite_signals.handlers.time_profilers.spans.perf_counter", clock)
    return clock


def taking(clock, seconds, name="handler"):
    """Make a handler that takes some time at each call; the last of several times stays."""
    times = list(seconds) if isinstance(seconds, list) else [seconds]

    def handler(*_):
        clock.moves(times.pop(0) if len(times) > 1 else times[0])

    handler.__qualname__ = handler.__name__ = name
    return handler


def fetching(clock, times):
    for number, seconds in enumerate(times):
        clock.moves(seconds)
        yield number


def make_engine(clock, step=2.0):
    engine = Engine(taking(clock, step))
    engine.register_events(*Custom)
    return engine


@pytest.fixture
def engine(clock):
    return make_engine(clock)


def rows_of(profiler):
    """Return the rows of handlers by name and event."""
    return {(name, event): values for name, event, *values in profiler.get_results()[:-3]}


def totals(profiler):
    """Return the totals of processing, dataflow and all handlers."""
    results = profiler.get_results()
    if isinstance(profiler, BasicTimeProfiler):
        handlers = results["event_handlers_stats"]["total_time"]
        return results["processing_stats"]["total"], results["dataflow_stats"]["total"], handlers
    handlers, processing, dataflow = results[-3:]
    return processing[2], dataflow[2], handlers[2]


def written(profiler, folder):
    path = folder / "times.csv"
    profiler.write_results(path)
    return list(csv.DictReader(io.StringIO(path.read_text())))


def scripted(engine, clock):
    """Run two epochs of two iterations with handlers; return what it takes in total."""
    for event, seconds in {
        Events.STARTED: 0.5,
        Events.EPOCH_STARTED: [1.0, 2.0],
        Events.GET_BATCH_STARTED: 0.125,
        Events.GET_BATCH_COMPLETED: 0.25,
        Events.ITERATION_STARTED: [1.0, 2.0, 3.0, 4.0],
        Events.ITERATION_COMPLETED(every=2): [0.5, 1.5],
        Events.EPOCH_COMPLETED: 3.0,
        Events.COMPLETED: 4.0,
    }.items():
        name = getattr(event, "event", event).value
        engine.add_event_handler(event, taking(clock, seconds, f"at_{name}"))
    began = clock.now
    engine.run(fetching(clock, [8.0, 0.25, 4.0, 16.0]), max_epochs=2, epoch_length=2)
    return clock.now - began


# What the basic one tells.


def test_the_basic_profiler_tells_what_a_run_took(engine, clock):
    """Each number of a small run is exact: totals, extremes with their iteration or epoch, mean and deviation."""
    profiler = BasicTimeProfiler()
    profiler.attach(engine)
    scripted(engine, clock)
    results = profiler.get_results()
    same = {"min/index": (2.0, 0), "max/index": (2.0, 0), "mean": 2.0, "std": 0.0}
    assert {"total": 8.0, **same} == results["processing_stats"]
    assert {
        "total": 28.25,
        "min/index": (0.25, 1),
        "max/index": (16.0, 3),
        "mean": 7.0625,
        "std": pytest.approx(statistics.stdev([8.0, 0.25, 4.0, 16.0])),
    } == results["dataflow_stats"]
    at = results["event_handlers_stats"]
    assert {"total": 0.5} == at["STARTED"]
    assert {"total": 4.0} == at["COMPLETED"]
    assert (3.0, (1.0, 0), (2.0, 1), 1.5) == tuple(at["EPOCH_STARTED"].values())[:4]
    assert (10.0, (1.0, 0), (4.0, 3), 2.5) == tuple(at["ITERATION_STARTED"].values())[:4]
    assert (2.0, (0.0, 0), (1.5, 3), 0.5) == tuple(at["ITERATION_COMPLETED"].values())[:4]
    assert 0.5 == at["GET_BATCH_STARTED"]["total"]
    assert 1.0 == at["GET_BATCH_COMPLETED"]["total"]
    assert 6.0 == at["EPOCH_COMPLETED"]["total"]
    assert 27.0 == at["total_time"]
    assert ["at_epoch_started"] == results["event_handlers_names"]["EPOCH_STARTED_names"]


@both
def test_the_parts_make_up_the_whole(engine, clock, kind):
    """In a run where nothing else takes time, data, steps and handlers are all of it."""
    profiler = kind().attach(engine)
    assert scripted(engine, clock) == sum(totals(profiler))


BASIC_TABLE = """
 ----------------------------------------------------
| Time profiling stats (in seconds):                 |
 ----------------------------------------------------
total  |  min/index  |  max/index  |  mean  |  std

Processing function:
8.00000 | 2.00000/0 | 2.00000/0 | 2.00000 | 0.00000

Dataflow:
28.25000 | 0.25000/1 | 16.00000/3 | 7.06250 | 6.74653

Event handlers:
27.00000

- Events.STARTED: ['at_started']
0.50000

- Events.EPOCH_STARTED: ['at_epoch_started']
3.00000 | 1.00000/0 | 2.00000/1 | 1.50000 | 0.70711

- Events.ITERATION_STARTED: ['at_iteration_started']
10.00000 | 1.00000/0 | 4.00000/3 | 2.50000 | 1.29099

- Events.ITERATION_COMPLETED: ['at_iteration_completed']
2.00000 | 0.00000/0 | 1.50000/3 | 0.50000 | 0.70711

- Events.EPOCH_COMPLETED: ['at_epoch_completed']
6.00000 | 3.00000/0 | 3.00000/0 | 3.00000 | 0.00000

- Events.COMPLETED: ['at_completed']
4.00000
"""


def test_the_basic_table(engine, clock, capsys):
    """What is printed has Ignite's form, and is returned too."""
    profiler = BasicTimeProfiler().attach(engine)
    scripted(engine, clock)
    assert BASIC_TABLE == profiler.print_results(profiler.get_results())
    assert f"{BASIC_TABLE}\n" == capsys.readouterr().out


BASIC_HEADER = (
    "epoch,iteration,processing_stats,dataflow_stats,Event_STARTED,Event_COMPLETED,Event_EPOCH_STARTED,"
    "Event_EPOCH_COMPLETED,Event_ITERATION_STARTED,Event_ITERATION_COMPLETED,Event_GET_BATCH_STARTED,"
    "Event_GET_BATCH_COMPLETED"
)


def test_the_basic_file(engine, clock, tmp_path):
    """Each iteration has a row, with what its epoch's and its run's events took."""
    profiler = BasicTimeProfiler().attach(engine)
    scripted(engine, clock)
    profiler.write_results(str(tmp_path / "times.csv"))
    assert (tmp_path / "times.csv").read_text().splitlines() == [
        BASIC_HEADER,
        "1,1,2.0,8.0,0.5,4.0,1.0,3.0,1.0,0.0,0.125,0.25",
        "1,2,2.0,0.25,0.5,4.0,1.0,3.0,2.0,0.5,0.125,0.25",
        "2,3,2.0,4.0,0.5,4.0,2.0,3.0,3.0,0.0,0.125,0.25",
        "2,4,2.0,16.0,0.5,4.0,2.0,3.0,4.0,1.5,0.125,0.25",
    ]


# What the one by handler tells.


def test_the_profiler_by_handler_tells_what_each_took(engine, clock):
    """A row for each handler at each event, one for all, one for the step and one for the data."""
    profiler = HandlersTimeProfiler().attach(engine)
    scripted(engine, clock)
    results = profiler.get_results()
    assert ["at_started", "STARTED", 0.5, (0.5, 0), (0.5, 0), 0.5, "None"] == results[0]
    assert ["at_epoch_started", "EPOCH_STARTED", 3.0, (1.0, 0), (2.0, 1), 1.5, 0.70711] == results[1]
    assert (2.0, (0.5, 0), (1.5, 1), 1.0, 0.70711) == tuple(
        rows_of(profiler)["at_iteration_completed", "ITERATION_COMPLETED"]
    )
    assert [
        ["Total", "", 27.0, "", "", "", ""],
        ["Processing", "None", 8.0, (2.0, 0), (2.0, 0), 2.0, 0.0],
        ["Dataflow", "None", 28.25, (0.25, 1), (16.0, 3), 7.0625, 6.74653],
    ] == results[-3:]


HANDLERS_TABLE = """
--------------  -----------------------  --------------  --------------  --------------  --------------  --------------
Handler         Event Name                     Total(s)      Min(s)/IDX      Max(s)/IDX         Mean(s)          Std(s)
--------------  -----------------------  --------------  --------------  --------------  --------------  --------------
show            ITERATION_COMPLETED                 2.5           0.5/0           2.0/1            1.25         1.06066
save            COMPLETED                 not triggered       None/None       None/None            None            None
--------------  -----------------------  --------------  --------------  --------------  --------------  --------------
Total                                               2.5
--------------  -----------------------  --------------  --------------  --------------  --------------  --------------
Processing took total 4.0s [min/index: 2.0s/0, max/index: 2.0s/0, mean: 2.0s, std: 0.0s]
Dataflow took total not triggered [min/index: None/None, max/index: None/None, mean: None, std: None]
"""


def test_the_table_by_handler(engine, clock, capsys):
    """What is printed has Ignite's form; a handler that was never called is there too."""
    engine.add_event_handler(Events.ITERATION_COMPLETED, taking(clock, [0.5, 2.0], "show"))
    engine.add_event_handler(Events.COMPLETED(every=2), taking(clock, 1.0, "save"))
    profiler = HandlersTimeProfiler().attach(engine)
    engine.run(epoch_length=2)
    text = profiler.print_results(profiler.get_results())
    assert HANDLERS_TABLE == "\n".join(line.rstrip() for line in text.split("\n"))
    assert f"{text}\n" == capsys.readouterr().out


def test_results_can_be_printed_twice(engine, clock, capsys):
    """Printing leaves the results as they are."""
    profiler = HandlersTimeProfiler().attach(engine)
    scripted(engine, clock)
    results = profiler.get_results()
    before = copy.deepcopy(results)
    assert profiler.print_results(results) == profiler.print_results(results)
    assert before == results
    assert capsys.readouterr().out


def test_the_file_by_handler(engine, clock, tmp_path):
    """Each call is a row of its column, and what has fewer calls is filled up with 0."""
    engine.add_event_handler(Events.ITERATION_COMPLETED, taking(clock, [0.5, 2.0], "show"))
    engine.add_event_handler(Events.COMPLETED, taking(clock, 1.0, "save"))
    profiler = HandlersTimeProfiler().attach(engine)
    engine.run(fetching(clock, [4.0, 8.0]), epoch_length=2)
    profiler.write_results(tmp_path / "times.csv")
    assert (tmp_path / "times.csv").read_text().splitlines() == [
        "#,processing_stats,dataflow_stats,show (ITERATION_COMPLETED),save (COMPLETED)",
        "1,2.0,4.0,0.5,1.0",
        "2,2.0,8.0,2.0,0.0",
    ]


def test_filtered_handlers_are_measured_where_they_are_called(engine, clock):
    """However short their calls are."""
    short = 2.0**-20
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=3), taking(clock, short, "rare"))
    profiler = HandlersTimeProfiler(keep_times=True).attach(engine)
    engine.run(range(10))
    assert 3 == len(profiler._handlers[Events.ITERATION_COMPLETED].popitem()[1].times.values)


def test_what_a_filter_is_asked_is_no_handler_s_time(engine, clock):
    """A predicate's time is its event's, of which nothing is a call."""
    slow = Events.ITERATION_COMPLETED(event_filter=lambda engine, count: clock.moves(8.0) is None)
    engine.add_event_handler(slow, taking(clock, 1.0))
    profiler = HandlersTimeProfiler().attach(engine)
    engine.run(range(2))
    assert (4.0, 0.0, 2.0) == totals(profiler)


def test_handlers_of_events_of_one_s_own_are_measured(engine, clock):
    """Also at events that are strings, or registered after the profiler was attached."""
    profiler = HandlersTimeProfiler().attach(engine)
    engine.register_events("saved")
    engine.add_event_handler(Custom.MADE, taking(clock, 1.0, "made"))
    engine.add_event_handler("saved", taking(clock, 2.0, "saved"))
    engine.add_event_handler(Events.COMPLETED, lambda engine: engine.fire_event(Custom.MADE))
    engine.add_event_handler(Events.COMPLETED, lambda engine: engine.fire_event("saved"))
    engine.run(range(2))
    rows = rows_of(profiler)
    assert (1.0, 2.0) == (rows["made", "MADE"][0], rows["saved", "saved"][0])


def test_each_second_is_counted_once(clock):
    """What a handler causes is the time of what is called, not its own too; likewise in the step."""

    def step(engine, batch):
        clock.moves(2.0)
        engine.fire_event(Custom.MADE)

    engine = make_engine(clock)
    engine._process_function = step
    engine.add_event_handler(Custom.MADE, taking(clock, 1.0, "made"))

    @engine.on(Events.COMPLETED)
    def fire(engine):
        clock.moves(4.0)
        engine.fire_event(Custom.MADE)

    profiler = HandlersTimeProfiler().attach(engine)
    began = clock.now
    engine.run(range(2))
    name = fire.__qualname__
    assert (3.0, 4.0) == (rows_of(profiler)["made", "MADE"][0], rows_of(profiler)[name, "COMPLETED"][0])
    assert (4.0, 0.0, 7.0) == totals(profiler)
    assert clock.now - began == sum(totals(profiler))


def test_the_basic_profiler_counts_other_events_where_they_are_fired(clock):
    """It has no row for events of one's own, so their handlers' time is the step's, the data's or the handler's."""
    engine = make_engine(clock)
    engine._process_function = lambda engine, batch: engine.fire_event(Custom.MADE)
    engine.add_event_handler(Custom.MADE, taking(clock, 1.0))
    engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, taking(clock, 0.5))
    engine.add_event_handler(Events.COMPLETED, lambda engine: engine.fire_event(Custom.MADE))
    profiler = BasicTimeProfiler().attach(engine)
    engine.run(range(2), epoch_length=3)
    assert (3.0, 0.5, 1.0) == totals(profiler)


def test_the_end_of_the_data_is_a_handler_s_time(engine, clock):
    """Handlers of DATALOADER_STOP_ITERATION are called while a batch is fetched, and are not the data's time."""
    engine.add_event_handler(Events.DATALOADER_STOP_ITERATION, taking(clock, 0.5, "stopped"))
    profiler = HandlersTimeProfiler().attach(engine)

    class Data:
        def __iter__(self):
            return fetching(clock, [1.0, 2.0])

    engine.run(Data(), epoch_length=4)
    assert (8.0, 6.0, 0.5) == totals(profiler)


def test_a_nested_evaluator_is_the_time_of_the_handler_that_runs_it(engine, clock):
    """Only the profiler's own engine is measured."""
    evaluator = make_engine(clock, 8.0)
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, taking(clock, 1.0, "inside"))

    @engine.on(Events.EPOCH_COMPLETED)
    def validate():
        evaluator.run(range(2))

    profiler, inner = HandlersTimeProfiler().attach(engine), HandlersTimeProfiler().attach(evaluator)
    engine.run(range(2))
    assert (4.0, 0.0, 18.0) == totals(profiler)
    assert (16.0, 0.0, 2.0) == totals(inner)
    assert [(validate.__qualname__, "EPOCH_COMPLETED")] == list(rows_of(profiler))


# Runs of all kinds.


@both
def test_data_of_unknown_length_is_measured(engine, clock, kind, tmp_path):
    """No length has to be known before; the look for a batch that does not come is no iteration."""
    profiler = kind().attach(engine)
    engine.run(fetching(clock, [1.0, 2.0, 4.0]))
    assert (6.0, 7.0, 0.0) == totals(profiler)
    assert 3 == len(written(profiler, tmp_path))


@both
def test_no_data_is_no_dataflow(engine, kind, tmp_path):
    """An engine without data fetches nothing."""
    profiler = kind().attach(engine)
    engine.run(epoch_length=3)
    processing, dataflow, _ = totals(profiler)
    assert 6.0 == processing
    assert isinstance(dataflow, str)
    assert ["0.0"] * 3 == [row["dataflow_stats"] for row in written(profiler, tmp_path)]


@both
def test_max_iters_are_measured(engine, clock, kind, tmp_path):
    """A run that is counted in iterations has as many rows."""
    profiler = kind().attach(engine)
    engine.run(range(4), max_iters=6)
    assert 12.0 == totals(profiler)[0]
    assert 6 == len(written(profiler, tmp_path))


@pytest.mark.parametrize(
    ("event", "rows"),
    [(Events.ITERATION_STARTED, 2 + 1), (Events.ITERATION_COMPLETED, 2 + 1), (Events.GET_BATCH_STARTED, 2)],
)
def test_an_epoch_that_is_cut_short_has_what_it_had(engine, clock, event, rows, tmp_path):
    """Only what happened is in the tables; the next epochs are in their places."""
    in_the_first = event(event_filter=lambda engine, _: engine.state.epoch == 1)
    engine.add_event_handler(in_the_first, lambda engine: engine.terminate_epoch())
    profiler = BasicTimeProfiler().attach(engine)
    engine.run(fetching(clock, [1.0] * 10), max_epochs=2, epoch_length=2)
    table = written(profiler, tmp_path)
    assert rows == len(table)
    assert ["2", "2"] == [row["epoch"] for row in table][-2:]
    steps = [float(row["processing_stats"]) for row in table]
    assert [2.0, 2.0] == steps[-2:]
    assert totals(profiler)[0] == sum(steps)


@both
def test_a_second_run_is_measured_anew(engine, clock, kind, tmp_path):
    """A run that starts anew has results of its own, however often."""
    profiler = kind().attach(engine)
    for length in (3, 2, 4):
        engine.run(fetching(clock, [1.0] * length), epoch_length=length)
        assert (2.0 * length, 1.0 * length, 0.0) == totals(profiler)
        assert length == len(written(profiler, tmp_path))


@both
def test_a_run_that_goes_on_adds_to_what_was_measured(engine, clock, kind, tmp_path):
    """An extended run, a terminated one and a failed one are one with what came before."""
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=3), engine.terminate)
    profiler = kind().attach(engine)
    engine.run(range(2), max_epochs=2)
    engine.run(range(2))
    engine.run(range(2), max_epochs=4)
    iterations = engine.state.iteration
    assert 2.0 * iterations == totals(profiler)[0]
    assert iterations == len(written(profiler, tmp_path))


@both
@pytest.mark.parametrize("event", [event for event in Events if event.counter in ("iteration", "epoch")])
def test_a_pause_is_nobody_s_time(clock, kind, event):
    """However long an interrupted run waits, neither the data nor the step nor a handler has the time."""
    engine = make_engine(clock)
    engine.add_event_handler(event(once=2 if event.counter == "iteration" else 1), lambda engine: engine.interrupt())
    profiler = kind().attach(engine)
    engine.run(range(3), max_epochs=2)
    clock.moves(1000.0)
    engine.run()
    assert engine.state.stop_reason == "completed"
    processing, dataflow, handlers = totals(profiler)
    # What a pause comes before is not measured: here the second step.
    assert (10.0 if event is Events.ITERATION_STARTED else 12.0, 0.0, 0.0) == (processing, dataflow, handlers)


def test_a_loaded_run_is_measured_from_where_it_goes_on(engine, clock, tmp_path):
    """The iterations have their own numbers, also where a state was loaded."""
    engine.load_state_dict({"iteration": 3, "epoch_length": 2, "max_epochs": 3})
    profiler = BasicTimeProfiler().attach(engine)
    engine.run(fetching(clock, [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]))
    table = written(profiler, tmp_path)
    assert [("2", "4"), ("3", "5"), ("3", "6")] == [(row["epoch"], row["iteration"]) for row in table]
    assert (2.0, 3) == profiler.get_results()["processing_stats"]["min/index"]


@both
def test_what_raised_is_measured(clock, kind):
    """The handler that raises has its time, and what follows is measured rightly."""
    engine = make_engine(clock)

    @engine.on(Events.ITERATION_STARTED(once=2))
    def fail():
        clock.moves(4.0)
        raise ValueError("no")

    profiler = kind().attach(engine)
    with pytest.raises(ValueError, match="no"):
        engine.run(range(3), max_epochs=2)
    assert (2.0, 0.0, 4.0) == totals(profiler)
    clock.moves(1000.0)
    engine.run(range(3))
    assert (10.0, 0.0, 4.0) == totals(profiler)


@both
def test_a_step_that_raises_was_not_completed(clock, kind, tmp_path):
    """Its time is not that of a processed batch, and nothing of it goes into what follows."""

    def step(engine, batch):
        clock.moves(2.0)
        if engine.state.iteration == 2 and not failed:
            failed.append(True)
            raise ValueError("no")

    failed = []
    engine = Engine(step)
    engine.add_event_handler(Events.EXCEPTION_RAISED, taking(clock, 8.0, "mend"))
    profiler = kind().attach(engine)
    engine.run(range(3), max_epochs=2)
    clock.moves(1000.0)
    engine.run(range(3))
    assert (10.0, 0.0, 0.0 if kind is BasicTimeProfiler else 8.0) == totals(profiler)
    assert 6 == len(written(profiler, tmp_path))
    assert "100" not in (tmp_path / "times.csv").read_text()


def test_a_failed_iteration_has_a_row(clock, tmp_path):
    """In the basic file an iteration that began is there, with what is known of it."""

    def step(engine, batch):
        clock.moves(2.0)
        assert engine.state.iteration != 2

    engine = Engine(step)
    profiler = BasicTimeProfiler().attach(engine)
    with pytest.raises(AssertionError):
        engine.run(fetching(clock, [1.0, 4.0]), epoch_length=2)
    table = written(profiler, tmp_path)
    assert [("1", "2.0", "1.0"), ("2", "0.0", "4.0")] == [
        (row["iteration"], row["processing_stats"], row["dataflow_stats"]) for row in table
    ]


@both
def test_another_thread_s_handlers_do_not_mix(clock, kind):
    """What is sent by hand in another thread while a step goes on does not end the step."""
    engine = make_engine(clock)

    def step(engine, batch):
        clock.moves(1.0)
        thread = threading.Thread(target=engine.fire_event, args=(Custom.MADE,))
        thread.start()
        thread.join()

    engine._process_function = step
    engine.add_event_handler(Custom.MADE, taking(clock, 0.5))
    profiler = kind().attach(engine)
    engine.run(range(2))
    processing, _, handlers = totals(profiler)
    assert (3.0, 0.0 if kind is BasicTimeProfiler else 1.0) == (processing, handlers)


@both
@pytest.mark.parametrize("event", [Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.GET_BATCH_STARTED])
def test_events_sent_by_hand_do_not_confuse_it(engine, clock, kind, event):
    """Whatever a handler sends, no second is counted twice."""
    engine.add_event_handler(event, taking(clock, 0.5))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: engine.signal(event).send(engine))
    profiler = kind().attach(engine)
    began = clock.now
    engine.run(range(3))
    assert clock.now - began == sum(totals(profiler))


def test_another_kind_of_engine_is_measured(clock):
    """Each engine has the same events."""
    engine = DeterministicEngine(taking(clock, 2.0))
    profiler = BasicTimeProfiler().attach(engine)
    engine.run([1, 2, 3])
    assert 6.0 == totals(profiler)[0]


# Handlers that come, go, and have names.


@both
def test_handlers_may_be_added_and_removed_at_any_time(engine, clock, kind):
    """Those that come later are measured, and those that have gone keep what they took."""
    profiler = kind().attach(engine)
    engine.add_event_handler(Events.ITERATION_COMPLETED, taking(clock, 1.0, "early"))

    @engine.on(Events.ITERATION_STARTED(once=2))
    def change():
        engine.remove_event_handler(
            next(h for h in engine.signal(Events.ITERATION_COMPLETED).receivers_for(engine) if h.__name__ == "early"),
            Events.ITERATION_COMPLETED,
        )
        engine.add_event_handler(Events.ITERATION_COMPLETED, taking(clock, 4.0, "late"))

    engine.run(range(3))
    assert 9.0 == totals(profiler)[2]
    if kind is HandlersTimeProfiler:
        assert (1.0, 8.0) == tuple(rows_of(profiler)[name, "ITERATION_COMPLETED"][0] for name in ("early", "late"))
    else:
        assert ["early", "late"] == profiler.get_results()["event_handlers_names"]["ITERATION_COMPLETED_names"]


def test_a_handler_that_is_added_after_the_run_is_not_triggered(engine, clock):
    """The tables name who listens when they are made."""
    profiler = HandlersTimeProfiler().attach(engine)
    engine.run(range(2))
    engine.add_event_handler(Events.COMPLETED, taking(clock, 1.0, "late"))
    assert "not triggered" == rows_of(profiler)["late", "COMPLETED"][0]


class Owner:
    def method(self, engine):
        """Hear."""

    def __call__(self, engine):
        """Hear."""

    @classmethod
    def of_class(cls, engine):
        """Hear."""


class Heir(Owner):
    """Inherit the handlers."""


def test_names_tell_whose_handler_it_is():
    """A method is its object's class's, a partial is its function's, an object is its class's."""
    assert "Heir.method" == name_of(Heir().method)
    assert "Owner" == name_of(Owner())
    assert "Owner.of_class" == name_of(Owner.of_class)
    assert "partial(Heir.method)" == name_of(partial(Heir().method))
    assert "test_names_tell_whose_handler_it_is.<locals>.<lambda>" == name_of(lambda: None)


def test_handlers_of_the_same_name_have_rows_of_their_own(engine, clock):
    """File and line tell them apart, also in the file's columns."""
    engine.add_event_handler(Events.COMPLETED, lambda: clock.moves(1.0))
    engine.add_event_handler(Events.COMPLETED, lambda: clock.moves(2.0))
    engine.add_event_handler(Events.STARTED, lambda: clock.moves(4.0))
    profiler = HandlersTimeProfiler().attach(engine)
    engine.run(range(1))
    name = "test_handlers_of_the_same_name_have_rows_of_their_own.<locals>.<lambda>"
    line = test_handlers_of_the_same_name_have_rows_of_their_own.__code__.co_firstlineno + 2
    assert {
        (f"{name} (test_time_profilers.py:{line})", "COMPLETED"): 1.0,
        (f"{name} (test_time_profilers.py:{line + 1})", "COMPLETED"): 2.0,
        (name, "STARTED"): 4.0,
    } == {key: values[0] for key, values in rows_of(profiler).items()}


def test_a_handler_that_is_made_anew_stays_one_row(engine, clock):
    """A lambda of each epoch's block does not fill the table."""
    profiler = HandlersTimeProfiler().attach(engine)

    @engine.on(Events.EPOCH_STARTED)
    def add():
        handle = engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: clock.moves(1.0))
        engine.add_event_handler(Events.EPOCH_COMPLETED(once=engine.state.epoch), handle.remove)

    engine.run(range(2), max_epochs=20)
    [total] = [row[0] for (_, event), row in rows_of(profiler).items() if event == "ITERATION_COMPLETED"]
    assert 40.0 == total


def test_handlers_with_a_filter_and_arguments_have_the_user_s_name(engine):
    """Neither a filter nor arguments change the row's name."""
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), Owner().method)
    engine.add_event_handler(Events.COMPLETED, print, "", end="")
    profiler = HandlersTimeProfiler().attach(engine)
    engine.run(range(2))
    assert [("Owner.method", "ITERATION_COMPLETED"), ("print", "COMPLETED")] == list(rows_of(profiler))


def test_metrics_are_handlers_with_names_of_their_own():
    """A row says which metric takes the time."""
    evaluator = Engine(lambda engine, batch: (torch.eye(2), torch.tensor([0, 1])))
    Accuracy().attach(evaluator, "accuracy")
    Loss(torch.nn.functional.cross_entropy).attach(evaluator, "loss")
    profiler = HandlersTimeProfiler().attach(evaluator)
    evaluator.run(range(2))
    assert {"Accuracy", "Loss"} == {name.partition(".")[0] for name, _ in rows_of(profiler)}


def test_the_kind_of_a_handler_keeps_nothing_alive():
    """It is made of plain values."""
    assert (
        "Owner.method",
        __file__,
        Owner.method.__code__.co_firstlineno,
    ) == kind_of(Owner().method)
    assert (None, None) == kind_of(print)[1:]
    assert kind_of(Owner().method)[1:] == kind_of(partial(Owner().method, 1))[1:]


# Attaching and detaching.


@both
def test_a_profile_ends_with_its_block(engine, clock, kind):
    """After the block the results stay, and the engine is as before."""
    engine.run(range(2))
    described = engine.describe()
    with kind().attach(engine) as profiler:
        engine.run(range(2))
        assert described != engine.describe()
    assert described == engine.describe()
    assert 0 == len(engine._observers)
    engine.run(range(8))
    assert 4.0 == totals(profiler)[0]


@both
def test_detaching_twice_or_before_is_no_error(engine, kind):
    """There is nothing to detach then."""
    profiler = kind()
    profiler.detach()
    profiler.attach(engine).detach()
    profiler.detach()
    assert 0 == len(engine._observers)


@both
def test_a_profiler_is_attached_to_one_engine_at_a_time(engine, clock, kind):
    """Attaching it again is an error that says how to go on; after detaching it is not."""
    profiler = kind().attach(engine)
    for other in (engine, make_engine(clock)):
        with pytest.raises(
            ValueError, match=rf"engine must be the only one that a {kind.__name__} is attached to.*det"
        ):
            profiler.attach(other)
    engine.run(range(2))
    profiler.detach()
    other = make_engine(clock)
    profiler.attach(other)
    with pytest.raises(RuntimeError, match="nothing is measured yet"):
        profiler.get_results()
    other.run(range(3))
    assert 6.0 == totals(profiler)[0]


@both
def test_a_profiler_may_be_attached_when_its_engine_is_gone(clock, kind):
    """An engine that is no more does not hold it."""
    profiler = kind().attach(make_engine(clock))
    engine = make_engine(clock)
    assert profiler is profiler.attach(engine)


@both
def test_only_engines_are_measured(kind):
    """The error names the argument and the value."""
    with pytest.raises(TypeError, match="engine must be an Engine, got 'trainer'"):
        kind().attach("trainer")


@both
def test_a_profile_may_begin_and_end_inside_of_a_run(engine, clock, kind):
    """From a handler on, until another one: what lies between is measured."""
    profiler = kind()
    engine.add_event_handler(Events.ITERATION_STARTED(once=2), lambda engine: profiler.attach(engine) and None)
    engine.add_event_handler(Events.ITERATION_STARTED(once=4), lambda engine: profiler.detach())
    engine.add_event_handler(Events.ITERATION_COMPLETED, taking(clock, 0.5))
    engine.run(range(5))
    assert 1.0 == totals(profiler)[2]
    assert totals(profiler)[0] in (2.0, 4.0)


@both
def test_both_profilers_may_measure_one_engine(engine, clock, kind):
    """Neither is in the other's tables."""
    handlers, basic = HandlersTimeProfiler().attach(engine), BasicTimeProfiler().attach(engine)
    again = kind().attach(engine)
    took = scripted(engine, clock)
    assert [took] * 3 == [sum(totals(profiler)) for profiler in (handlers, basic, again)]
    assert 8 == len(rows_of(handlers))
    assert ["at_started"] == basic.get_results()["event_handlers_names"]["STARTED_names"]


@both
def test_a_run_is_the_same_with_a_profiler(clock, kind):
    """Events, counts and what handlers see are as without."""

    def sequence(attach):
        engine = make_engine(clock)
        if attach:
            kind().attach(engine)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), lambda engine: engine.fire_event(Custom.MADE))
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=5), engine.terminate)
        with EventRecorder(engine) as recorder:
            engine.run(range(3), max_epochs=3)
        return recorder.records, str(engine.state.stop_reason)

    assert sequence(attach=False) == sequence(attach=True)


@both
def test_the_engine_and_the_profiler_are_freed_at_once(clock, kind):
    """Neither keeps a cycle, attached or not, before a run or after."""
    gc.collect()
    gc.disable()
    try:
        engine = make_engine(clock)
        profiler = kind().attach(engine)
        engine.run(range(2))
        profiler.get_results()
        alive = weakref.ref(engine), weakref.ref(profiler)
        del profiler
        assert alive[1]() is not None
        del engine
        assert (None, None) == (alive[0](), alive[1]())
    finally:
        gc.enable()


def no_step(engine, batch):
    return None


@both
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_has_the_results_and_no_engine(clock, kind, copied):
    """A profiler can be copied and pickled; the copy is attached to nothing and can be."""
    engine = Engine(no_step)
    engine.add_event_handler(Events.COMPLETED, no_step, None)
    profiler = kind().attach(engine)
    engine.run(range(2))
    twin = copied(profiler)
    assert profiler.get_results() == twin.get_results()
    twin.detach()
    assert 1 == len(engine._observers)
    other = Engine(no_step)
    twin.attach(other)
    other.run(range(4))
    assert 1 == len(other._observers)


@both
def test_a_copy_of_the_engine_is_not_measured(clock, kind):
    """It does not take half a profiler along."""
    engine = Engine(no_step)
    profiler = kind().attach(engine)
    twin = copy.deepcopy(engine)
    assert Engine(no_step).describe().splitlines()[1:] == twin.describe().splitlines()[1:]
    twin.run(range(2))
    with pytest.raises(RuntimeError, match="nothing is measured"):
        profiler.get_results()


@both
def test_memory_does_not_grow_where_times_are_not_kept(engine, clock, kind, tmp_path):
    """The tables are the same; the file cannot be written, and says what to do."""
    profiler, keeping = kind(keep_times=False).attach(engine), kind().attach(engine)
    scripted(engine, clock)
    assert keeping.get_results() == profiler.get_results()
    with pytest.raises(RuntimeError, match=rf"were not kept.*times\.csv.*{kind.__name__}\(keep_times=True\)"):
        profiler.write_results(tmp_path / "times.csv")
    engine.run(range(2))
    before = len(pickle.dumps(profiler))
    engine.run(range(500), max_epochs=3)
    assert len(pickle.dumps(profiler)) < before + 200


# Before there is anything, and errors.


@both
def test_results_before_a_run_are_an_error(engine, kind, tmp_path):
    """It says that nothing is measured, attached or not."""
    profiler = kind()
    for _ in range(2):
        with pytest.raises(RuntimeError, match=rf"nothing is measured yet: attach the {kind.__name__} to an engine"):
            profiler.get_results()
        with pytest.raises(RuntimeError, match="nothing is measured yet"):
            profiler.write_results(tmp_path / "times.csv")
        if profiler._attached_to() is None:
            profiler.attach(engine)
    assert [] == list(tmp_path.iterdir())


@both
def test_results_in_the_middle_of_a_run_are_those_so_far(engine, clock, kind):
    """A handler may print them in each epoch."""
    profiler, seen = kind().attach(engine), []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: seen.append(totals(profiler)[0]))
    engine.run(range(2), max_epochs=3)
    assert [4.0, 8.0, 12.0] == seen


@both
def test_a_file_that_cannot_be_written_is_named(engine, kind, tmp_path):
    """The error says which argument it was."""
    profiler = kind().attach(engine)
    engine.run(range(2))
    with pytest.raises(FileNotFoundError) as caught:
        profiler.write_results(tmp_path / "nowhere" / "times.csv")
    assert f"output_path must be a file that can be written, got {str(tmp_path / 'nowhere' / 'times.csv')!r}" in (
        caught.value.__notes__
    )


def test_an_event_that_did_not_come_is_not_triggered(engine, clock):
    """While a run is on, its end is not triggered yet."""
    seen = []
    profiler = BasicTimeProfiler().attach(engine)
    engine.add_event_handler(
        Events.EPOCH_COMPLETED, lambda: seen.append(profiler.get_results()["event_handlers_stats"]["COMPLETED"])
    )
    engine.run(range(2))
    assert [{"total": "not yet triggered"}] == seen


def test_a_table_in_the_middle_of_a_run_says_what_is_to_come(engine, capsys):
    """It is complete in its form."""
    profiler = BasicTimeProfiler().attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: profiler.print_results(profiler.get_results()))
    engine.run(range(2))
    assert capsys.readouterr().out.endswith("- Events.COMPLETED: []\nnot yet triggered\n\n")


# Statistics.


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=30))
def test_statistics_are_those_of_all_values(values):
    """Moved along one by one, they are what the whole list gives."""
    series = Series()
    for value in values:
        series.add(value)
    assert len(values) == series.count
    assert series.total == pytest.approx(math.fsum(values))
    assert (min(values), values.index(min(values))) == series.least
    assert (max(values), values.index(max(values))) == series.greatest
    assert series.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert series.std == pytest.approx(statistics.stdev(values), rel=1e-6, abs=1e-6)


def test_small_differences_of_large_times_are_not_lost():
    """The deviation of times that are close together is right."""
    series = Series()
    for value in (1e9, 1e9 + 1, 1e9 + 2):
        series.add(value)
    assert 1.0 == series.std


def test_one_time_has_no_deviation():
    """Nothing deviates from itself."""
    series = Series()
    series.add(1.0)
    assert math.isnan(series.std)


# Against Ignite.


@pytest.fixture
def theirs():
    return pytest.importorskip("ignite.handlers.time_profilers")


def ignite_run(kind):
    from ignite.engine import Engine as Theirs
    from ignite.engine import Events as TheirEvents

    trainer = Theirs(lambda engine, batch: None)
    profiler = kind()
    profiler.attach(trainer)
    add_handlers(trainer, TheirEvents)
    trainer.run(range(4), max_epochs=2)
    return profiler


def our_run(kind):
    trainer = Engine(lambda engine, batch: None)
    profiler = kind().attach(trainer)
    add_handlers(trainer, Events)
    trainer.run(range(4), max_epochs=2)
    return profiler


def add_handlers(trainer, events):
    @trainer.on(events.ITERATION_COMPLETED)
    def log(engine):
        """Hear."""

    @trainer.on(events.EPOCH_COMPLETED)
    def validate(engine):
        """Hear."""

    @trainer.on(events.COMPLETED)
    def save(engine):
        """Hear."""


@pytest.fixture
def real_clock(monkeypatch):
    """Let time pass, since Ignite leaves out what took none."""
    from time import perf_counter

    monkeypatch.setattr("ignite_signals.handlers.time_profilers.spans.perf_counter", perf_counter)


def shape(value):
    """Return what a result is made of."""
    if isinstance(value, dict):
        return {key: shape(value) for key, value in value.items()}
    if isinstance(value, (list, tuple)):
        return [shape(each) for each in value]
    return "number" if isinstance(value, (int, float, torch.Tensor)) else value


@pytest.mark.usefixtures("real_clock")
def test_the_basic_results_have_ignite_s_keys(theirs):
    """The same program has the same keys, names and kinds of values."""
    expected = ignite_run(theirs.BasicTimeProfiler).get_results()
    results = our_run(BasicTimeProfiler).get_results()
    assert shape(expected) == shape(results)
    assert list(expected) == list(results)


@pytest.mark.usefixtures("real_clock")
def test_the_rows_by_handler_are_ignite_s(theirs):
    """The same handlers at the same events, each with the same kinds of values."""
    expected = shape(ignite_run(theirs.HandlersTimeProfiler).get_results())
    results = shape(our_run(HandlersTimeProfiler).get_results())
    assert sorted(map(repr, expected)) == sorted(map(repr, results))
    assert expected[-3:] == results[-3:]


def test_the_basic_table_is_ignite_s(theirs, engine, clock, capsys):
    """The same results print the same text."""
    profiler = BasicTimeProfiler().attach(engine)
    scripted(engine, clock)
    results = profiler.get_results()
    statistics_of = results["event_handlers_stats"]
    ordered = {name: OrderedDict(value) if isinstance(value, dict) else value for name, value in statistics_of.items()}
    for_theirs = results | {"event_handlers_stats": ordered}
    assert theirs.BasicTimeProfiler.print_results(for_theirs) == profiler.print_results(results)
    both_times = capsys.readouterr().out
    assert both_times[: len(both_times) // 2] == both_times[len(both_times) // 2 :]


def test_the_table_by_handler_is_ignite_s(theirs, engine, clock, capsys):
    """The same results print the same text, to the last space."""
    engine.add_event_handler(Events.COMPLETED(every=2), taking(clock, 1.0, "never"))
    profiler = HandlersTimeProfiler().attach(engine)
    scripted(engine, clock)
    results = profiler.get_results()
    theirs.HandlersTimeProfiler.print_results(copy.deepcopy(results))
    expected = capsys.readouterr().out
    profiler.print_results(results)
    assert expected == capsys.readouterr().out


@pytest.mark.usefixtures("real_clock")
@pytest.mark.parametrize("name", ["BasicTimeProfiler", "HandlersTimeProfiler"])
def test_the_files_have_ignite_s_columns_and_rows(theirs, name, tmp_path):
    """The same program writes the same columns and as many rows."""
    pytest.importorskip("pandas")
    ignite_run(getattr(theirs, name)).write_results(str(tmp_path / "theirs.csv"))
    our_run({"BasicTimeProfiler": BasicTimeProfiler, "HandlersTimeProfiler": HandlersTimeProfiler}[name]).write_results(
        str(tmp_path / "ours.csv")
    )
    tables = [list(csv.reader((tmp_path / file).read_text().splitlines())) for file in ("theirs.csv", "ours.csv")]
    assert sorted(tables[0][0]) == sorted(tables[1][0])
    assert len(tables[0]) == len(tables[1])


def test_no_results_are_refused():
    """The error says where results come from."""
    with pytest.raises(ValueError, match=re.escape("results must be what get_results() returned, got []")):
        HandlersTimeProfiler.print_results([])


def test_they_are_exported():
    """The package's names are the two profilers."""
    from ignite_signals.handlers import time_profilers

    assert ["BasicTimeProfiler", "HandlersTimeProfiler"] == time_profilers.__all__
