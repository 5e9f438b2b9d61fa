"""An engine can be pickled and deep-copied between runs, and the handlers of the copy hear the copy."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from datetime import timedelta

import pytest

from ignite_signals.engine import Engine, EventEnum, Events, Every, State
from ignite_signals.testing import EventRecorder

DATA = [1, 2, 3]


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


both_ways = pytest.mark.parametrize("copied", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])


class Mine(EventEnum):
    """Events of a user's own."""

    FIRST = "first"
    SECOND = "second"


def echo(engine, batch):
    return batch


def interrupt_once(engine):
    """Interrupt the run at iteration 2, the first time it is there."""
    if engine.state.iteration == 2 and not hasattr(engine.state, "was_here"):
        engine.state.was_here = True
        engine.interrupt()


def note_down(engine, *args, **kwargs):
    """Leave a trace in the state of the engine that called."""
    engine.state.trace = [*getattr(engine.state, "trace", []), (args, kwargs)]


def first(engine):
    note_down(engine, "first")


def second(engine):
    note_down(engine, "second")


def urgent(engine):
    note_down(engine, "urgent")


urgent.priority = 10


def third_or_later(engine, count):
    return count >= 3


def evaluate(trainer, evaluator, data):
    evaluator.run(data)


class Mean:
    """A metric of a kind: it attaches methods, one behind a filter, and keeps the engine it is attached to."""

    priority = 100

    def __init__(self) -> None:
        self.total = self.count = 0

    def attach(self, engine, name):
        self.engine = engine
        engine.add_event_handler(Events.EPOCH_STARTED, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED(every=1), self.update)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.compute, name)

    def start(self):
        self.total = self.count = 0

    def update(self, engine):
        self.total += engine.state.output
        self.count += 1

    def compute(self, engine, name):
        assert engine is self.engine
        engine.state.metrics[name] = self.total / self.count


class Trainer(Engine):
    """A subclass with an attribute and a state of its own."""

    def __init__(self, step, rate) -> None:
        super().__init__(step)
        self.state = State(best=None)
        self.rate = rate
        self.history = []
        self.add_event_handler(Events.EPOCH_COMPLETED, self.remember)

    def remember(self):
        self.history.append(self.state.iteration)


def sequence_of(engine, data=DATA, **limits):
    with EventRecorder(engine) as recorder:
        engine.run(data, **limits)
    return recorder.sequence


@both_ways
def test_the_handlers_of_the_copy_hear_the_copy(copied):
    """What the copy runs leaves its trace in the copy, and none in the original; and the other way round."""
    engine = Engine(echo)
    engine.add_event_handler(Events.COMPLETED, note_down)
    twin = copied(engine)
    twin.run(DATA)
    assert [((), {})] == twin.state.trace
    assert not hasattr(engine.state, "trace")
    engine.run(DATA)
    engine.run(DATA)
    assert (2, 1) == (len(engine.state.trace), len(twin.state.trace))


@both_ways
def test_a_copy_runs_as_the_original_does(copied):
    """Both send the same events."""
    engine = Engine(echo)
    twin = copied(engine)
    assert sequence_of(engine, max_epochs=2) == sequence_of(twin, max_epochs=2)


@both_ways
def test_weak_connections_stay_behind(copied):
    """A receiver that its owner keeps hears the original alone; one that the engine keeps is copied."""
    engine, mean = Engine(echo), Mean()
    for event in (Events.COMPLETED, Events.ITERATION_COMPLETED(every=2)):
        engine.signal(event).connect(first)
        engine.signal(event).connect(mean.update)
        engine.signal(event).connect(second, weak=False)
    twin = copied(engine)
    twin.run(DATA)
    assert [(("second",), {})] * 2 == twin.state.trace
    assert (3, 1) == tuple(len(each.signals["completed"].receivers) for each in (engine, twin))
    assert 0 == mean.count
    engine.run(DATA)
    assert 2 == mean.count
    assert 4 == len(engine.state.trace)


@both_ways
def test_filters_priorities_order_and_arguments_survive(copied):
    """The copy calls the same handlers at the same counts in the same order with the same arguments."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=2), second)
    engine.add_event_handler(Events.ITERATION_COMPLETED, first)
    engine.add_event_handler(Events.ITERATION_COMPLETED(event_filter=third_or_later), note_down, "late", extra=1)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=[2, 4]), urgent)
    engine.signal(Events.ITERATION_COMPLETED).connect(second, weak=False, priority=5)
    engine.add_event_handler(Events.EPOCH_COMPLETED | Events.COMPLETED(every=1), note_down, "end")
    twin = copied(engine)
    assert engine.describe() == twin.describe()
    assert engine.run(DATA, max_epochs=2).trace == twin.run(DATA, max_epochs=2).trace
    in_two = [("urgent",), ("second",), ("second",), ("first",)]
    assert in_two == [args for args, _ in twin.state.trace][2:6]


@both_ways
def test_the_counts_of_filters_go_on_in_the_copy(copied):
    """Every second run is counted on from what the original had counted."""
    engine = Engine(echo)
    engine.add_event_handler(Events.COMPLETED(every=2), note_down)
    engine.run(DATA)
    twin = copied(engine)
    twin.run(DATA)
    assert (2, 1) == (twin.state.completed, engine.state.completed)
    assert [((), {})] == twin.state.trace


@both_ways
def test_the_clock_of_a_filter_starts_with_the_copy(copied):
    """A filter by time comes along; the time that counts is that of the copy's own connection."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=timedelta(hours=1)), note_down)
    twin = copied(engine)
    assert not hasattr(twin.run(DATA), "trace")
    assert "timedelta" in twin.describe()


@both_ways
def test_handlers_can_be_removed_from_the_copy(copied):
    """The copy knows its handlers by the user's callable; a handle removes from the original alone."""
    engine = Engine(echo)
    handle = engine.add_event_handler(Events.COMPLETED, first)
    engine.add_event_handler(Events.COMPLETED(every=2), first)
    twin = copied(engine)
    handle.remove()
    twin.remove_event_handler(first, Events.COMPLETED(every=2))
    assert (False, True) == tuple(each.has_event_handler(first, Events.COMPLETED(every=2)) for each in (twin, engine))
    assert twin.has_event_handler(first, Events.COMPLETED)
    twin.signal(Events.COMPLETED).disconnect(first)
    assert not twin.has_event_handler(first)


@both_ways
def test_connecting_a_receiver_again_changes_the_connection_that_was_copied(copied):
    """A receiver that came along is the same receiver, not a second one."""
    engine = Engine(echo)
    engine.signal(Events.COMPLETED).connect(first, weak=False)
    twin = copied(engine)
    twin.signal(Events.COMPLETED).connect(first)
    twin.run(DATA)
    assert 1 == len(twin.state.trace)


@both_ways
def test_objects_with_methods_attached_come_along_as_one(copied):
    """A metric of the copy is another object, attached to the copy, with one state for all its methods."""
    engine, mean = Engine(echo), Mean()
    mean.attach(engine, "mean")
    twin = copied(engine)
    twin.run([10, 20])
    assert ({"mean": 15.0}, {}) == (twin.state.metrics, engine.state.metrics)
    assert 0 == mean.count
    engine.run(DATA)
    assert ({"mean": 15.0}, {"mean": 2.0}) == (twin.state.metrics, engine.state.metrics)


@both_ways
def test_an_engine_is_copied_together_with_what_holds_it(copied):
    """Copied with its metric, trainer and evaluator, each finds the others of its own kind."""
    trainer, evaluator, mean = Engine(echo), Engine(echo), Mean()
    mean.attach(evaluator, "mean")
    trainer.add_event_handler(Events.EPOCH_COMPLETED, evaluate, evaluator, [4, 8])
    twin, twin_evaluator, twin_mean = copied((trainer, evaluator, mean))
    twin.run(DATA, max_epochs=2)
    assert ({"mean": 6.0}, 2) == (twin_evaluator.state.metrics, twin_mean.count)
    assert (0, 0) == (evaluator.state.epoch, mean.count)
    assert twin_evaluator is twin_mean.engine


@both_ways
def test_a_subclass_is_copied_with_its_attributes(copied):
    """Its own attributes, its methods as handlers, its state and what was added to it."""
    trainer = Trainer(echo, rate=0.1)
    trainer.state_dict_user_keys.append("best")
    trainer.run(DATA, max_epochs=2)
    trainer.state.best = 0.5
    twin = copied(trainer)
    assert (Trainer, 0.1, [3, 6], 0.5) == (type(twin), twin.rate, twin.history, twin.state.best)
    assert trainer.state_dict() == twin.state_dict()
    assert Events.COMPLETED is twin.last_event_name
    assert trainer.logger is twin.logger
    assert "completed" == twin.state.stop_reason
    twin.run(DATA, max_epochs=3)
    assert ([3, 6, 9], [3, 6]) == (twin.history, trainer.history)


@both_ways
def test_custom_events_come_along(copied):
    """Registered events, what they count by, and their counts."""
    engine = Engine(echo)
    engine.register_events(*Mine, "third", event_to_attr={Mine.SECOND: "seconds"})
    engine.fire_event(Mine.FIRST)
    engine.state.seconds = 3
    engine.add_event_handler(Mine.SECOND(every=2), note_down)
    twin = copied(engine)
    assert list(engine.signals) == list(twin.signals)
    assert twin.signals["first"] is twin.signal(Mine.FIRST) is not engine.signal(Mine.FIRST)
    twin.fire_event(Mine.FIRST)
    twin.fire_event("third")
    twin.state.seconds += 1
    twin.fire_event(Mine.SECOND)
    assert (2, 1, 4, 1) == (twin.state.first, twin.state.third, twin.state.seconds, len(twin.state.trace))
    assert (1, 0, 3) == (engine.state.first, engine.state.third, engine.state.seconds)


@both_ways
def test_what_belongs_to_the_data_is_not_copied(copied):
    """Data, which may be a loader with workers or a generator, the batch and the output stay with the original."""
    engine = Engine(echo)
    engine.run((batch for batch in DATA), epoch_length=3)
    twin = copied(engine)
    assert (None, None, None) == (twin.state.dataloader, twin.state.batch, twin.state.output)
    assert (3, 3, 1) == (engine.state.batch, engine.state.output, twin.state.epoch)
    assert engine.state.dataloader is not None


@both_ways
def test_a_copy_of_an_interrupted_engine_is_not_interrupted(copied):
    """The copy goes on from its state like a loaded one; the original with its very next event."""
    engine = Engine(echo)
    engine.add_event_handler(Events.ITERATION_COMPLETED, interrupt_once)
    engine.run(DATA, max_epochs=2)
    twin = copied(engine)
    mine, others = sequence_of(engine), sequence_of(twin)
    assert [("started", 0, 2), ("epoch_started", 1, 2), ("get_batch_started", 1, 2)] == others[:3]
    assert ("get_batch_started", 1, 2) == mine[0]
    assert ("completed", 2, 6) == mine[-1] == others[-1]
    completed = [at for name, *at in others if name == "iteration_completed"]
    assert [[1, 3], [2, 4], [2, 5], [2, 6]] == completed


def fail_at_four(engine, batch):
    """Fail once, in the fourth iteration."""
    if engine.state.iteration == 4 and not hasattr(engine.state, "was_here"):
        engine.state.was_here = True
        raise ArithmeticError


def terminate_at_four(engine, batch):
    if engine.state.iteration == 4:
        engine.terminate()


@both_ways
@pytest.mark.parametrize("step", [fail_at_four, terminate_at_four])
def test_a_copy_goes_on_as_the_original_does(copied, step):
    """After a failure or a termination both run the same rest."""
    engine = Engine(step)
    try:
        engine.run(DATA, max_epochs=3)
    except ArithmeticError:
        assert step is fail_at_four
    twin = copied(engine)
    assert sequence_of(engine) == sequence_of(twin)


@both_ways
def test_a_copy_of_a_loaded_engine_is_loaded(copied):
    """What was loaded as done is done in the copy too."""
    engine = Engine(echo)
    engine.load_state_dict({"epoch": 2, "max_epochs": 2, "epoch_length": 3})
    twin = copied(engine)
    with pytest.warns(UserWarning, match="nothing to run"):
        assert (2, 6) == (twin.run(DATA).epoch, twin.state.iteration)


@both_ways
def test_a_copy_of_a_copy_is_a_copy(copied):
    """Copying can be repeated, before a run and after."""
    engine = Engine(echo)
    engine.add_event_handler(Events.COMPLETED(every=2), note_down, "done")
    engine.run(DATA)
    twin = copied(copied(engine))
    assert engine.describe() == twin.describe()
    assert [(("done",), {})] == twin.run(DATA).trace


@both_ways
@pytest.mark.parametrize("event", [Events.STARTED, Events.ITERATION_COMPLETED, Events.COMPLETED], ids=str)
def test_a_running_engine_is_not_copied(copied, event):
    """Copying in mid-run is an error that says when to copy."""
    engine = Engine(echo)
    engine.add_event_handler(event, copied)
    with pytest.raises(RuntimeError, match="is running: copy or pickle it between runs"):
        engine.run(DATA)
    engine.remove_event_handler(copied, event)
    assert "completed" == copied(engine).run(DATA).stop_reason


@both_ways
def test_what_both_change_is_not_shared(copied):
    """Metrics, counts and times of the state belong to one engine each."""
    engine = Engine(echo)
    engine.run(DATA)
    engine.state.metrics["loss"] = 1
    twin = copied(engine)
    twin.state.metrics["loss"] = 2
    twin.fire_event(Events.STARTED)
    twin.state.times["COMPLETED"] = None
    assert ({"loss": 1}, 1) == (engine.state.metrics, engine.state.started)
    assert engine.state.times["COMPLETED"] is not None


@both_ways
def test_values_are_copied_as_equal_values(copied):
    """Events, filtered events, filters and lists of events equal their copies; members are the same."""
    values = [
        Events.STARTED(every=3),
        Events.STARTED | Mine.FIRST(once=2),
        Every(3) | ~Every(2),
        Events.COMPLETED(event_filter=third_or_later),
    ]
    assert values == copied(values)
    assert Mine.FIRST is copied(Mine.FIRST)


@both_ways
def test_a_copy_leaves_the_graph_of_an_output_behind(copied):
    """An output that requires gradients, which torch does not copy, is no obstacle."""
    torch = pytest.importorskip("torch")
    weight = torch.ones(1, requires_grad=True)
    engine = Engine(echo)
    engine.run([weight * 2])
    assert copied(engine).state.output is None


def test_a_shallow_copy_has_counts_of_its_own():
    """Running the copy does not move the original's counts."""
    engine = Engine(echo)
    engine.run(DATA)
    twin = copy.copy(engine)
    twin.run(DATA)
    assert (1, 2) == (engine.state.started, twin.state.started)


@both_ways
def test_signals_and_handles_are_not_copied_by_themselves(copied):
    """The error says what to leave out; a copy would act on the original."""
    engine = Engine(echo)
    with pytest.raises(TypeError, match="the signal started belongs to its engine"):
        copied(engine.signal(Events.STARTED))
    with pytest.raises(TypeError, match="leave it out of what is copied, with __getstate__"):
        copied(engine.add_event_handler(Events.STARTED, interrupt_once))


def test_counts_are_attributes_in_another_process_too(tmp_path):
    """An engine that was pickled elsewhere brings the names of its counts."""
    engine = Engine(echo)
    engine.register_events("tick_of_another_process")
    engine.fire_event("tick_of_another_process")
    file = tmp_path / "engine.pickle"
    engine._process_function = print  # importable anywhere
    file.write_bytes(pickle.dumps(engine))
    program = f"import pickle; print(pickle.load(open({str(file)!r}, 'rb')).state.tick_of_another_process)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "1\n" == done.stdout
