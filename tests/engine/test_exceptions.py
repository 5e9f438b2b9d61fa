"""An exception is announced once, and leaves the run as itself unless a handler has dealt with it."""

from __future__ import annotations

import gc
import re
import warnings
import weakref

import pytest

from ignite_signals.engine import Engine, Events
from ignite_signals.testing import EventRecorder


class WrongError(Exception):
    """What goes wrong in these tests."""


KINDS = [WrongError, KeyboardInterrupt, SystemExit, StopIteration, GeneratorExit]
EPOCHS = {"max_epochs": 2, "epoch_length": 3}
DATA = [0, 1]  # shorter than an epoch, so that the data is iterated anew


def echo(engine, batch):
    return batch


def fail_with(error):
    """Return a receiver of anything that raises."""

    def fail(*args, **payload):
        raise error

    return fail


class Data:
    """Data that fails where it is told to: when it is iterated, or at a batch."""

    def __init__(self, error, at_iter=0, at_batch=0) -> None:
        self.error, self.at_iter, self.at_batch, self.iters = error, at_iter, at_batch, 0

    def __iter__(self):
        self.iters += 1
        if self.iters == self.at_iter:
            raise self.error
        return Batches(self)


class Batches:
    def __init__(self, data) -> None:
        self.data, self.taken = data, 0

    def __next__(self):
        self.taken += 1
        if self.taken == self.data.at_batch:
            raise self.data.error
        if self.taken > 2:
            raise StopIteration
        return self.taken


def engine_failing_in_the_step(error, iteration=2):
    def step(engine, batch):
        if engine.state.iteration == iteration:
            raise error

    return Engine(step)


def run_failing(engine, error, data=DATA, **limits):
    """Run, and return the sequence of events up to the exception that leaves the run as itself."""
    with EventRecorder(engine) as recorder, pytest.raises(type(error)) as raised:
        engine.run(data, **(limits or EPOCHS))
    assert error is raised.value
    return recorder.sequence


with EventRecorder(_engine := Engine(echo)) as _recorder:
    _engine.run(DATA, **EPOCHS)
PLAIN = _recorder.sequence
del _engine, _recorder


def test_a_watcher_that_had_nothing_to_see_is_let_go_in_silence():
    """A watcher that goes after the engine has gone was not connected by mistake: no warning."""
    engine = Engine(echo)
    recorder = EventRecorder(engine)  # keeps the signals

    def watch(engine, exception):
        pytest.fail("nothing was raised")

    engine.signal(Events.EXCEPTION_RAISED).connect(watch)
    engine.run(DATA)
    gone = weakref.ref(engine)
    del engine
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del watch
    assert (None, []) == (gone(), caught)
    assert "completed" == recorder.names[-1]


# Where it is raised


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not GeneratorExit])
def test_an_exception_of_the_step_is_announced_and_leaves_the_run(kind):
    """Nothing follows EXCEPTION_RAISED, and the exception is the one that was raised, StopIteration too."""
    error = kind("wrong")
    engine = engine_failing_in_the_step(error)
    sequence = run_failing(engine, error)
    failed = PLAIN.index(("iteration_started", 1, 2))
    assert [*PLAIN[: failed + 1], ("exception_raised", 1, 2)] == sequence
    assert ("failed", 1, 2) == (engine.state.stop_reason, engine.state.epoch, engine.state.iteration)
    assert Events.EXCEPTION_RAISED is engine.last_event_name


@pytest.mark.parametrize(
    ("at", "last", "events"),
    [
        ({"at_iter": 1}, ("epoch_started", 1, 0), 2),
        ({"at_batch": 1}, ("get_batch_started", 1, 0), 3),
        ({"at_batch": 2}, ("get_batch_started", 1, 1), 7),
        ({"at_iter": 2}, ("dataloader_stop_iteration", 1, 2), 12),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [WrongError, KeyboardInterrupt])
def test_an_exception_of_the_data_is_announced_and_leaves_the_run(kind, at, last, events):
    """Raised when the data is iterated, or by a batch, in the first pass or a later one."""
    error = kind("wrong")
    engine = Engine(echo)
    sequence = run_failing(engine, error, Data(error, **at))
    assert [*PLAIN[:events], ("exception_raised", *last[1:])] == sequence
    assert last == sequence[-2]
    assert "failed" == engine.state.stop_reason


def test_a_stop_iteration_when_the_data_is_iterated_leaves_the_run_as_itself():
    """It does not pass for the end of the data, neither in the first pass nor in a later one."""
    for at_iter in (1, 2):
        error = StopIteration("wrong")
        assert "exception_raised" == run_failing(Engine(echo), error, Data(error, at_iter=at_iter))[-1][0]


MOMENTS = [
    *(event for event in Events if event not in (Events.EXCEPTION_RAISED, Events.TERMINATE_SINGLE_EPOCH)),
    Events.TERMINATE_SINGLE_EPOCH,
]


@pytest.mark.parametrize("event", MOMENTS, ids=lambda event: event.name)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not GeneratorExit])
@pytest.mark.parametrize("how", ["handler", "receiver"])
def test_an_exception_of_a_receiver_of_any_event_is_announced_and_leaves_the_run(event, kind, how):
    """From whatever event, handler or receiver, EXCEPTION_RAISED follows at once, and nothing follows it."""
    error = kind("wrong")
    asked = {
        Events.INTERRUPT: Engine.interrupt,
        Events.TERMINATE: Engine.terminate,
        Events.TERMINATE_SINGLE_EPOCH: Engine.terminate_epoch,
    }
    engine = Engine(echo)
    if event in asked:
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), asked[event])
    fail = fail_with(error)
    if how == "handler":
        engine.add_event_handler(event, fail)
    else:
        engine.signal(event).connect(fail)
    sequence = run_failing(engine, error)
    assert [event.value, "exception_raised"] == [name for name, *_ in sequence[-2:]]
    assert 1 == [name for name, *_ in sequence].count("exception_raised")
    assert "failed" == engine.state.stop_reason


def test_a_receiver_that_fails_keeps_those_after_it_from_being_called():
    """The exception ends the event it was raised at."""
    engine, called = Engine(echo), []
    engine.add_event_handler(Events.STARTED, lambda: called.append("before"))
    engine.add_event_handler(Events.STARTED, fail_with(WrongError()))
    engine.add_event_handler(Events.STARTED, lambda: called.append("after"))
    with pytest.raises(WrongError):
        engine.run(DATA)
    assert ["before"] == called


# Who deals with it


def test_a_handler_that_returns_has_dealt_with_the_exception():
    """The run ends there, returns the state, and nothing more is emitted, COMPLETED neither."""
    error = WrongError("wrong")
    engine, got = engine_failing_in_the_step(error), []
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, e: got.append(e))
    with EventRecorder(engine) as recorder:
        state = engine.run(DATA, **EPOCHS)
    failed = PLAIN.index(("iteration_started", 1, 2))
    assert [*PLAIN[: failed + 1], ("exception_raised", 1, 2)] == recorder.sequence
    assert [error] == got
    assert (engine.state, "failed") == (state, state.stop_reason)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not GeneratorExit])
def test_any_exception_can_be_dealt_with(kind):
    """KeyboardInterrupt, SystemExit and StopIteration are handled as an ordinary exception is."""
    engine, got = engine_failing_in_the_step(kind("wrong")), []

    @engine.on(Events.EXCEPTION_RAISED)
    def handle(engine, error):
        got.append(type(error))

    assert "failed" == engine.run(DATA, **EPOCHS).stop_reason
    assert [kind] == got


@pytest.mark.parametrize(
    "handler",
    [lambda engine, exception: None, lambda exception: None, lambda: None, lambda *args: None],
    ids=["both", "exception", "nothing", "any"],
)
def test_a_handler_of_any_signature_deals_with_it(handler):
    """The exception comes after the engine, alone, or not at all."""
    engine = engine_failing_in_the_step(WrongError())
    engine.add_event_handler(Events.EXCEPTION_RAISED, handler)
    assert "failed" == engine.run(DATA).stop_reason


def test_every_receiver_is_called_once():
    """Handlers and watchers all hear of the exception, in their order, also where one of them fails."""
    error = WrongError("wrong")
    engine, called = engine_failing_in_the_step(error), []

    def watcher(engine, exception):
        called.append(("watcher", exception))

    def handler(engine, exception):
        called.append(("handler", exception))

    def failing(engine, exception):
        called.append(("failing", exception))
        raise exception

    engine.signal(Events.EXCEPTION_RAISED).connect(watcher)
    engine.add_event_handler(Events.EXCEPTION_RAISED, failing)
    engine.add_event_handler(Events.EXCEPTION_RAISED, handler)
    with pytest.raises(WrongError):
        engine.run(DATA)
    assert [("watcher", error), ("failing", error), ("handler", error)] == called


def test_a_watcher_never_swallows_an_exception():
    """A receiver of `signal.connect` sees the exception; without a handler it leaves the run."""
    error = WrongError("wrong")
    engine, seen = engine_failing_in_the_step(error), []

    def watch(engine, exception):
        seen.append(exception)

    engine.signal(Events.EXCEPTION_RAISED).connect(watch)
    run_failing(engine, error)
    assert [error] == seen


def test_a_filtered_handler_deals_with_what_it_hears():
    """Only an occurrence that passes the filter is dealt with."""
    engine = Engine(fail_with(WrongError()))
    engine.add_event_handler(Events.EXCEPTION_RAISED(every=2), lambda: None)
    outcomes = []
    for _ in range(4):
        engine.reset()
        try:
            outcomes.append(str(engine.run(DATA).stop_reason))
        except WrongError:
            outcomes.append("left")
    assert ["left", "failed"] * 2 == outcomes


def test_without_its_last_handler_an_engine_swallows_nothing():
    """A handler that was removed deals with nothing more."""
    error = WrongError()
    engine = engine_failing_in_the_step(error)
    with engine.add_event_handler(Events.EXCEPTION_RAISED, lambda: None):
        assert "failed" == engine.run(DATA).stop_reason
    engine.reset()
    run_failing(engine, error)


def test_a_muted_handler_deals_with_nothing():
    """While EXCEPTION_RAISED is muted no handler is called, and the exception leaves the run."""
    engine = engine_failing_in_the_step(WrongError())
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda: None)
    with engine.signal(Events.EXCEPTION_RAISED).muted(), pytest.raises(WrongError):
        engine.run(DATA)
    assert 1 == engine.state.exception_raised


# When it is raised again


@pytest.mark.parametrize("how", ["handler", "receiver"])
def test_an_exception_that_is_raised_again_is_not_announced_again(how):
    """One that re-raises lets the exception leave the run as itself, announced once."""
    error = WrongError("wrong")
    engine = engine_failing_in_the_step(error)
    fail = fail_with(error)
    if how == "handler":
        engine.add_event_handler(Events.EXCEPTION_RAISED, fail)
    else:
        engine.signal(Events.EXCEPTION_RAISED).connect(fail)
    sequence = run_failing(engine, error)
    assert 1 == [name for name, *_ in sequence].count("exception_raised")
    assert "failed" == engine.state.stop_reason


def test_another_exception_of_a_handler_leaves_the_run_with_the_first_as_its_context():
    """What goes wrong while an exception is dealt with does not hide it."""
    error, other = WrongError("wrong"), KeyError("while handling")
    engine = engine_failing_in_the_step(error)
    engine.add_event_handler(Events.EXCEPTION_RAISED, fail_with(other))
    sequence = run_failing(engine, other)
    assert error is other.__context__
    assert 1 == [name for name, *_ in sequence].count("exception_raised")


def test_an_exception_that_is_raised_from_the_first_keeps_its_cause():
    """`raise ... from` in a handler says more than the context does."""
    error = WrongError("wrong")
    engine = engine_failing_in_the_step(error)

    @engine.on(Events.EXCEPTION_RAISED)
    def translate(engine, exception):
        raise RuntimeError("translated") from exception

    with pytest.raises(RuntimeError, match="translated") as raised:
        engine.run(DATA)
    assert error is raised.value.__cause__


# What it says


def boom(engine):
    """A handler with a name."""
    raise WrongError("wrong")


def named_in(notes):
    """Return what the notes about receivers say: callable and place, event, count."""
    words = [re.search(r"(\S+ \(test_exceptions.py:\d+\)).*\b(\w+), at count (\d+)", note) for note in notes]
    return [(found[1], found[2], int(found[3])) for found in words if found]


def notes_of(engine, **limits):
    with pytest.raises(WrongError) as raised:
        engine.run(DATA, **(limits or EPOCHS))
    return raised.value.__notes__


@pytest.mark.parametrize(
    ("event", "count"),
    [
        (Events.STARTED, 1),
        (Events.EPOCH_STARTED(once=2), 2),
        (Events.ITERATION_COMPLETED(every=4), 4),
        (Events.COMPLETED, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("how", ["handler", "receiver"])
def test_a_note_names_handler_event_and_count(event, count, how):
    """The note names the user's callable and its line, not a wrapper, with the event and what it counted."""
    engine = Engine(echo)
    if how == "handler":
        engine.add_event_handler(event, boom)
    else:
        engine.signal(event).connect(boom)
    place = f"boom (test_exceptions.py:{boom.__code__.co_firstlineno})"
    assert [(place, event.value, count)] == named_in(notes_of(engine))


def test_a_handler_with_arguments_is_named_as_itself():
    """What stands around a handler with arguments of its own is not shown."""

    def scaled(engine, factor, offset=0):
        raise WrongError

    engine = Engine(echo)
    engine.add_event_handler(Events.EPOCH_COMPLETED, scaled, 3, offset=1)
    [(handler, *occurrence)] = named_in(notes_of(engine))
    assert handler.startswith(f"{scaled.__name__} (")
    assert ["epoch_completed", 1] == occurrence


def test_a_note_says_how_far_the_run_was():
    """Also an exception of the step tells epoch, iteration and engine."""
    engine = engine_failing_in_the_step(WrongError(), iteration=5)
    assert [f"at epoch 2, iteration 5 of {engine!r}"] == notes_of(engine)


def test_nested_engines_each_announce_the_exception():
    """It leaves the evaluator's run, and then the trainer's, announced once by each, with the notes of both."""
    error = WrongError("wrong")
    trainer, evaluator = Engine(echo), engine_failing_in_the_step(error)

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate(engine):
        evaluator.run(DATA)

    with EventRecorder(trainer=trainer, evaluator=evaluator) as recorder, pytest.raises(WrongError):
        trainer.run(DATA, max_epochs=2)
    last = [(record.engine, record.event, record.epoch, record.iteration) for record in recorder][-2:]
    assert [("evaluator", "exception_raised", 1, 2), ("trainer", "exception_raised", 1, 2)] == last
    assert "failed" == trainer.state.stop_reason == evaluator.state.stop_reason
    [(handler, *occurrence)] = named_in(error.__notes__)
    assert handler.startswith(f"{evaluate.__name__} (")
    assert ["epoch_completed", 1] == occurrence
    assert 2 == len([note for note in error.__notes__ if note.startswith("at epoch 1, iteration 2")])


def test_an_exception_that_the_inner_engine_deals_with_does_not_reach_the_outer():
    """The trainer goes on where the evaluator's handler has dealt with it."""
    trainer, evaluator = Engine(echo), engine_failing_in_the_step(WrongError())
    evaluator.add_event_handler(Events.EXCEPTION_RAISED, lambda: None)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.reset() or evaluator.run(DATA))
    state = trainer.run(DATA, max_epochs=2)
    assert ("completed", "failed") == (state.stop_reason, evaluator.state.stop_reason)


# Afterwards


def test_an_engine_runs_again_after_a_failure():
    """The engine is not left as if it were running, and its data is iterated anew."""
    error = WrongError()
    engine = engine_failing_in_the_step(error)
    run_failing(engine, error)
    with EventRecorder(engine) as recorder:
        state = engine.run(DATA)
    assert ("started", "completed") == (recorder.names[0], recorder.names[-1])
    assert ("completed", 2, 6) == (state.stop_reason, state.epoch, state.iteration)


def test_the_engine_keeps_no_hold_on_what_a_failed_run_used():
    """Once the exception is gone, so is the iterator over the data."""
    iterators = []

    class Watched(Data):
        def __iter__(self):
            batches = super().__iter__()
            iterators.append(weakref.ref(batches))
            return batches

    engine = Engine(fail_with(WrongError()))
    with pytest.raises(WrongError):
        engine.run(Watched(None), epoch_length=2)
    gc.collect()
    assert [None] == [iterator() for iterator in iterators]


@pytest.mark.parametrize("handled", [True, False])
def test_an_exception_makes_no_cycle(handled):
    """Reference counting alone frees the exception and the engine, whether a handler dealt with it or not."""
    gc.collect()
    gc.disable()
    try:
        engine = Engine(lambda engine, batch: boom(engine))
        gone = [weakref.ref(engine)]
        if handled:
            engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: gone.append(weakref.ref(error)))
        try:
            engine.run(DATA)
        except WrongError as error:
            gone.append(weakref.ref(error))
        assert "failed" == engine.state.stop_reason
        del engine
        assert [None, None] == [ref() for ref in gone]
    finally:
        gc.enable()


def test_an_exception_outside_a_run_is_left_alone():
    """`fire_event` by hand raises what its handler raises; EXCEPTION_RAISED belongs to runs."""
    engine = Engine(echo)
    engine.register_events("mine")
    engine.add_event_handler("mine", boom)
    with EventRecorder(engine) as recorder, pytest.raises(WrongError) as raised:
        engine.fire_event("mine")
    assert ["mine"] == recorder.names
    assert [("mine", 1)] == [occurrence[1:] for occurrence in named_in(raised.value.__notes__)]


def test_a_generator_exit_of_the_step_ends_the_run():
    """GeneratorExit, which ends Python's generators, leaves the run as itself, and nothing of it behind."""
    error = GeneratorExit("wrong")
    engine = engine_failing_in_the_step(error)
    assert "exception_raised" == run_failing(engine, error)[-1][0]
    engine.reset()
    assert ("completed", 1) == (engine.run([0]).stop_reason, engine.state.iteration)


def test_what_several_handlers_raise_is_not_lost():
    """The first leaves the run, with the run's error as its context and the others in its notes."""
    engine = engine_failing_in_the_step(ValueError("of the run"))

    @engine.on(Events.EXCEPTION_RAISED)
    def first(engine, error):
        raise KeyError("first")

    @engine.on(Events.EXCEPTION_RAISED)
    def second(engine, error):
        raise LookupError("second")

    with pytest.raises(KeyError) as raised:
        engine.run(DATA)
    assert "of the run" == str(raised.value.__context__)
    assert any("LookupError('second') too" in note for note in raised.value.__notes__)


def test_an_exit_that_a_handler_asks_for_wins():
    """SystemExit is not hidden behind an error that another handler raised before."""
    engine = engine_failing_in_the_step(ValueError("of the run"))

    @engine.on(Events.EXCEPTION_RAISED)
    def first(engine, error):
        raise KeyError("first")

    @engine.on(Events.EXCEPTION_RAISED)
    def second(engine, error):
        raise SystemExit(3)

    with pytest.raises(SystemExit) as raised:
        engine.run(DATA)
    assert 3 == raised.value.code


def test_a_context_that_an_exception_has_is_kept():
    """What a handler caught before it raised stays the context."""
    engine = engine_failing_in_the_step(ValueError("of the run"))

    @engine.on(Events.EXCEPTION_RAISED)
    def handler(engine, error):
        try:
            raise KeyError("caught")
        except KeyError:
            raise LookupError("raised")  # noqa: B904  # without a cause, on purpose

    with pytest.raises(LookupError) as raised:
        engine.run(DATA)
    assert isinstance(raised.value.__context__, KeyError)


def test_an_error_of_a_predicate_names_the_filter():
    """The receiver is not blamed for what its filter raised."""
    engine = Engine(echo)

    def broken(engine, count):
        raise ValueError("no")

    engine.add_event_handler(Events.STARTED(event_filter=broken), lambda engine: None)
    with pytest.raises(ValueError, match="no") as raised:
        engine.run(DATA)
    assert "in the filter Predicate(" in raised.value.__notes__[0]
    assert "broken" in raised.value.__notes__[0]


def test_a_handler_that_only_watches_deals_with_nothing():
    """The exception leaves the run, unless another handler deals with it."""

    class Watching:
        only_watches = True

        def __init__(self):
            self.seen = []

        def __call__(self, engine, exception):
            self.seen.append(str(exception))

    engine, watching = Engine(lambda engine, batch: 1 / 0), Watching()
    engine.add_event_handler(Events.EXCEPTION_RAISED, watching)
    with pytest.raises(ZeroDivisionError):
        engine.run([0])
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda: None)
    assert "failed" == engine.run([0]).stop_reason
    assert ["division by zero"] * 2 == watching.seen
