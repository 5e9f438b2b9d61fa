"""An engine that runs inside another one's run knows that one as its outer engine."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from ignite_signals.engine import DeterministicEngine, Engine, Events


def echo(engine, batch):
    return batch


def make_engine():
    return Engine(echo)


@pytest.fixture
def trainer():
    return make_engine()


@pytest.fixture
def evaluator():
    return make_engine()


def run_inside(outer, inner, event=Events.EPOCH_COMPLETED):
    """Let the inner engine run at an event of the outer one, and note who is around it then."""
    seen = []
    inner.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.outer))
    outer.add_event_handler(event, lambda: inner.run([0]))
    return seen


def test_an_engine_that_ran_by_itself_has_no_outer_one(trainer):
    """Neither before its run, nor in it, nor after."""
    seen = [trainer.outer]
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.outer))
    trainer.run([0])
    assert [None] * 3 == [*seen, trainer.outer]


@pytest.mark.parametrize("event", [Events.STARTED, Events.ITERATION_COMPLETED, Events.COMPLETED])
@pytest.mark.parametrize("kind", [Engine, DeterministicEngine])
def test_an_evaluator_in_a_handler_has_the_trainer(evaluator, event, kind):
    """While it runs, at whatever event, and afterwards."""
    trainer = kind(echo)
    seen = run_inside(trainer, evaluator, event)
    trainer.run([0])
    assert [trainer] == seen
    assert trainer is evaluator.outer
    assert trainer.outer is None


def test_an_evaluator_keeps_the_trainer_when_it_runs_by_itself(trainer, evaluator):
    """The test after the training logs at the training's step."""
    seen = run_inside(trainer, evaluator)
    trainer.run([0])
    evaluator.run([0])
    assert [trainer, trainer] == seen


def test_an_engine_that_a_step_or_the_data_runs_is_inside(trainer, evaluator):
    """Whatever is done in a run is inside of it."""
    inside = []

    def data():
        evaluator.run([0])
        inside.append(evaluator.outer)
        evaluator._outer = None
        yield 0

    def step(engine, batch):
        evaluator.run([0])
        inside.append(evaluator.outer)

    trainer._process_function = step
    trainer.run(data())
    assert [trainer, trainer] == inside


def test_of_three_levels_each_has_the_next_one(trainer, evaluator):
    """The innermost of those that run is the outer one."""
    inner = make_engine()
    run_inside(trainer, evaluator)
    run_inside(evaluator, inner)
    trainer.run([0])
    assert [evaluator, trainer, None] == [inner.outer, evaluator.outer, trainer.outer]


def test_after_an_inner_run_the_trainer_is_the_innermost_again(trainer, evaluator):
    """A second evaluator of the same handler is inside the trainer, not inside the first."""
    second = make_engine()
    run_inside(trainer, evaluator)
    run_inside(trainer, second)
    trainer.run([0])
    assert trainer is second.outer


def test_another_trainer_takes_the_place(trainer, evaluator):
    """The outer engine is that of the last run that was inside of one."""
    second = make_engine()
    run_inside(trainer, evaluator)
    run_inside(second, evaluator)
    trainer.run([0])
    second.run([0])
    assert second is evaluator.outer


def test_a_run_that_fails_is_left(trainer, evaluator):
    """What runs after an error, the evaluator's or the trainer's, is inside of nothing that has ended."""
    late = make_engine()
    evaluator._process_function = lambda engine, batch: 1 / 0
    run_inside(trainer, evaluator)
    with pytest.raises(ZeroDivisionError):
        trainer.run([0])
    late.run([0])
    assert (trainer, None) == (evaluator.outer, late.outer)


def test_an_error_of_the_evaluator_that_is_caught_leaves_the_trainer_around(trainer, evaluator):
    """The trainer goes on, and is what runs."""
    second = make_engine()
    evaluator._process_function = lambda engine, batch: 1 / 0

    @trainer.on(Events.COMPLETED)
    def evaluate():
        with pytest.raises(ZeroDivisionError):
            evaluator.run([0])
        second.run([0])

    trainer.run([0])
    assert trainer is second.outer


def test_an_interrupted_run_is_not_around_what_runs_meanwhile(trainer, evaluator):
    """A paused trainer is outer to nobody until it goes on."""
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), trainer.interrupt)
    seen = run_inside(trainer, evaluator, Events.COMPLETED)
    trainer.run([0, 1])
    evaluator.run([0])
    trainer.run()
    assert [None, trainer] == seen


def test_an_interrupted_evaluator_goes_on_where_it_is(trainer, evaluator):
    """Going on inside another engine, it is inside of that one."""
    evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=1), evaluator.interrupt)
    evaluator.run([0, 1])
    seen = run_inside(trainer, evaluator)
    trainer.run([0])
    assert [trainer] == seen


def test_contexts_of_a_run_lie_inside_of_it(trainer, evaluator):
    """What surrounds an evaluator's runs sees its outer engine already."""
    seen = []

    class Looking:
        def __enter__(self):
            seen.append(evaluator.outer)

        def __exit__(self, *_):
            seen.append(evaluator.outer)

    evaluator.surround_runs(lambda engine: Looking())
    run_inside(trainer, evaluator)
    trainer.run([0])
    assert [trainer, trainer] == seen


def test_a_context_that_cannot_be_entered_leaves_nothing_behind(trainer, evaluator):
    """The engine is not the innermost one when its run has not begun."""
    trainer.surround_runs(lambda engine: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        trainer.run([0])
    evaluator.run([0])
    assert evaluator.outer is None


def test_threads_know_only_their_own_runs(trainer, evaluator):
    """An evaluation in another thread is not inside of the training that goes on here."""

    @trainer.on(Events.EPOCH_COMPLETED)
    def evaluate():
        thread = threading.Thread(target=evaluator.run, args=([0],))
        thread.start()
        thread.join()

    trainer.run([0])
    assert evaluator.outer is None


def test_trainers_in_threads_do_not_mix():
    """Each of several trainings at the same time is around its own evaluator."""
    together = threading.Barrier(4)

    def train(_):
        trainer, evaluator = make_engine(), make_engine()
        trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: together.wait(10))
        run_inside(trainer, evaluator, Events.ITERATION_COMPLETED)
        trainer.run(range(5))
        return evaluator.outer is trainer

    with ThreadPoolExecutor(4) as pool:
        assert [True] * 4 == list(pool.map(train, range(4)))


def test_a_thread_that_takes_its_context_along_is_inside(trainer, evaluator):
    """`asyncio.to_thread` hands on what is around, so an evaluation there is inside of the training."""

    async def evaluate():
        await asyncio.to_thread(evaluator.run, [0])

    trainer.add_event_handler(Events.COMPLETED, lambda: asyncio.run(evaluate()))
    trainer.run([0])
    assert trainer is evaluator.outer


def test_the_trainer_is_not_kept_alive(trainer, evaluator):
    """An evaluator does not hold the engine that it ran inside of, and has none when that one is gone."""
    gc.collect()
    gc.disable()
    try:
        trainer = make_engine()
        trainer.add_event_handler(Events.COMPLETED, lambda: evaluator.run([0]))
        trainer.run([0])
        alive = weakref.ref(trainer)
        del trainer
        assert alive() is None
        assert evaluator.outer is None
    finally:
        gc.enable()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda it: pickle.loads(pickle.dumps(it))])
def test_a_copy_has_run_inside_of_nothing(trainer, evaluator, copied):
    """A copy does not know the outer engine of its original."""
    run_inside(trainer, evaluator)
    trainer.run([0])
    evaluator.signal(Events.ITERATION_COMPLETED)._clear_state()
    assert copied(evaluator).outer is None
    assert trainer is evaluator.outer


def test_reset_forgets_the_outer_engine(trainer, evaluator):
    """An engine that starts anew belongs to no training, until it runs inside of one."""
    run_inside(trainer, evaluator)
    trainer.run([0])
    evaluator.reset()
    assert evaluator.outer is None


def test_an_engine_is_not_inside_of_itself(trainer):
    """Running an engine in its own handler is refused, and leaves no trace."""

    @trainer.on(Events.COMPLETED)
    def again():
        with pytest.raises(RuntimeError, match="is running"):
            trainer.run([0])

    trainer.run([0])
    assert trainer.outer is None


def test_the_outer_engine_cannot_be_set(trainer, evaluator):
    """It tells what happened."""
    with pytest.raises(AttributeError):
        evaluator.outer = trainer
    assert evaluator.outer is None
