"""A scheduler of epochs moves once for each epoch of a training, however often that is announced."""

from __future__ import annotations

from typing import Any

import pytest
from torch.utils.data import DataLoader

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers.param_scheduler import BatchSizeScheduler, ConcatScheduler, PiecewiseLinear
from ignite_signals.handlers.state_param_scheduler import LambdaStateScheduler
from support.copying import every_copy
from support.schedules import Training, optimizer, rates, through_file

EPOCHS = Events.EPOCH_STARTED


def ramp(sgd: Any) -> PiecewiseLinear:
    return PiecewiseLinear(sgd, "lr", [(0, 0.0), (16, 16.0)])


def in_two_parts(sgd: Any) -> ConcatScheduler:
    return ConcatScheduler([ramp(sgd), ramp(sgd)], [2])


def each_once(training: Training) -> list[float]:
    """Return the rates without those that repeat the one before."""
    seen = [rate for [rate] in training.seen]
    return [rate for rate, before in zip(seen, [None, *seen], strict=False) if rate != before]


class Flaky:
    """Data whose iteration number `fails` fails, with its first batch."""

    def __init__(self, fails: int) -> None:
        self.fails, self.passes = fails, 0

    def __len__(self) -> int:
        return 4

    def __iter__(self) -> Any:
        self.passes += 1
        if self.passes == self.fails:
            raise OSError("network")
        return iter(range(4))


@pytest.mark.parametrize("make", [ramp, in_two_parts])
@pytest.mark.parametrize("fails", [1, 2, 3])
def test_no_value_is_skipped_where_the_first_batch_of_an_epoch_fails(make, fails):
    """The epoch is announced again when the run goes on, with no batch behind it."""
    straight, training = (Training(make, EPOCHS, 0.5) for _ in range(2))
    with pytest.raises(OSError, match="network"):
        training.trainer.run(data := Flaky(fails), max_epochs=4)
    training.trainer.run(data)
    assert straight.run() == training.seen


@pytest.mark.parametrize("make", [ramp, in_two_parts])
@pytest.mark.parametrize("event", [EPOCHS, Events.EXCEPTION_RAISED, Events.GET_BATCH_STARTED])
def test_no_value_is_skipped_where_the_state_was_saved_before_the_first_batch(make, event):
    """By what saves before the epoch has one, and new objects."""
    expected = Training(make, EPOCHS, 0.5).run()
    training, saved = Training(make, EPOCHS, 0.5), []

    @training.trainer.on(Events.GET_BATCH_STARTED)
    def fail(engine: Engine) -> None:
        if engine.state.iteration == 8:
            raise OSError("network")

    def save(engine: Engine, **payload: Any) -> None:
        if engine.state.epoch == 3 or event is Events.EXCEPTION_RAISED:
            saved.append(through_file({"trainer": engine.state_dict(), "optimizer": training.optimizer.state_dict()}))

    training.trainer.signal(event).connect(save, priority=1 if event is Events.GET_BATCH_STARTED else -100)
    with pytest.raises(OSError, match="network"):
        training.run()
    resumed = Training(make, EPOCHS, 0.5)
    resumed.load(saved[0])
    assert expected[8:] == resumed.run()


def trained_once(**limits: Any) -> Training:
    training = Training(ramp, EPOCHS, 0.5)
    training.run(**(limits or {"max_epochs": 1}))
    return training


def test_a_training_that_starts_anew_goes_on_with_the_schedule():
    """Its first epoch has the number of the one before."""
    training = trained_once()
    training.run(max_epochs=1)
    training.run(max_epochs=2)
    assert [0.0, 1.0, 2.0] == each_once(training)[:3]


def test_a_training_that_failed_and_was_reset_starts_anew():
    """In its first epoch, after some batches."""
    training = Training(ramp, EPOCHS, 0.5)
    training.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), training.trainer.interrupt)
    training.run()
    training.trainer.reset()
    training.run(max_epochs=1)
    assert [0.0, 1.0] == each_once(training)


@every_copy
def test_a_copy_that_starts_anew_goes_on_with_the_schedule(copied):
    """Of an engine whose only epoch is complete."""
    trainer = Engine(int_of)
    scheduler = LambdaStateScheduler(float, "value", save_history=True, create_new=True)
    scheduler.attach(trainer, EPOCHS)
    trainer.run([0], max_epochs=1)
    copied(trainer).run([0], max_epochs=1)
    other = copied(trainer)
    assert [1.0, 2.0] == other.run([0], max_epochs=1).param_history["value"]


def int_of(engine: Engine, batch: Any) -> int:
    return int(batch)


@every_copy
def test_a_copy_that_goes_on_does_not_move_for_its_epoch(copied):
    """It was interrupted before the first batch."""
    trainer = Engine(int_of)
    LambdaStateScheduler(float, "value", save_history=True, create_new=True).attach(trainer, EPOCHS)

    @trainer.signal(Events.EPOCH_STARTED(once=2)).connect  # weakly: the copy is not interrupted
    def stop(engine: Engine) -> None:
        engine.interrupt()

    trainer.run([0, 0], max_epochs=3)
    other = copied(trainer)
    other.run([0, 0])
    assert [1.0, 2.0, 3.0] == other.state.param_history["value"]


def test_a_saved_training_that_is_reset_goes_on_with_the_schedule():
    """Its state is of an epoch 1 that is complete."""
    saved = trained_once().trainer.state_dict()
    training = Training(ramp, EPOCHS, 0.5)
    training.trainer.load_state_dict(saved)
    training.trainer.reset()
    training.run(max_epochs=1)
    assert [1.0] == each_once(training)


def test_an_epoch_that_is_complete_is_not_saved():
    """Nor one of another training; one under way is."""
    training = Training(ramp, EPOCHS, 0.5)
    training.run()
    epochs = [next(iter(state["trainer"]["attached"].values())).get("epoch") for state in training.states]
    assert [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 == epochs
    assert {"event_index": 4} == training.scheduler.state_dict()


def test_two_engines_share_a_scheduler():
    """Each announcement is one of its own, though the epochs have the same numbers."""
    sgd = optimizer()
    scheduler, seen = ramp(sgd), []
    engines = [Engine(lambda engine, batch: seen.append(rates(sgd)[0])) for _ in range(2)]
    for engine in engines:
        scheduler.attach(engine, EPOCHS)
        engine.run([0], max_epochs=1)
    for engine in engines:
        engine.run([0], max_epochs=2)
    assert [float(count) for count in range(len(seen))] == seen


def test_an_event_that_is_fired_by_hand_moves_the_schedule():
    """Outside of a run there is no epoch."""
    sgd, engine = optimizer(), Engine(int_of)
    ramp(sgd).attach(engine, EPOCHS)
    for _ in range(3):
        engine.fire_event(EPOCHS)
    assert [2.0] == rates(sgd)


@pytest.mark.parametrize("stop", [5, 6, 7])
def test_a_state_that_does_not_tell_the_epoch_is_taken(stop):
    """Such as PyTorch-Ignite's: an epoch with batches behind it was announced before."""
    straight = Training(ramp, EPOCHS, 0.5)
    expected = straight.run()
    state = straight.states[stop - 1]
    for attached in state["trainer"]["attached"].values():
        del attached["epoch"]
    resumed = Training(ramp, EPOCHS, 0.5)
    resumed.load(state)
    assert expected[stop:] == resumed.run()


def test_a_state_of_the_epoch_before_is_taken():
    """The scheduler was saved by itself then, and the trainer in the midst of the next epoch."""
    straight = Training(ramp, EPOCHS, 0.5)
    straight.run()
    resumed = Training(ramp, EPOCHS, 0.5)
    resumed.load(straight.states[5])
    [before] = straight.states[2]["trainer"]["attached"].values()
    resumed.scheduler.load_state_dict(before)
    assert [[1.0]] * 2 == resumed.run()[:2]


@pytest.mark.parametrize("epoch", [-1, "a"])
def test_a_state_of_no_epoch_is_refused(epoch):
    """The error names it, and nothing is changed."""
    scheduler = ramp(optimizer())
    with pytest.raises(ValueError, match=r"^state_dict\['epoch'\] must be an integer of at least 0, got"):
        scheduler.load_state_dict({"event_index": 3, "epoch": epoch})
    assert 0 == scheduler.count


def test_batches_do_not_grow_for_an_epoch_that_is_announced_again():
    """The batch size is scheduled in the same way."""
    loader = DataLoader(range(100), batch_size=2)
    trainer, sizes = Engine(lambda engine, batch: sizes.append(len(batch))), []
    BatchSizeScheduler(loader, lambda epoch: 2 + epoch).attach(trainer)

    @trainer.on(Events.GET_BATCH_STARTED(once=1) | Events.EPOCH_STARTED(once=2))
    def fail(engine: Engine) -> None:
        if engine.state.epoch == 2 and not failed:
            failed.append(True)
            raise OSError("network")

    failed: list[bool] = []
    with pytest.raises(OSError, match="network"):
        trainer.run(loader, max_epochs=3, epoch_length=2)
    trainer.run(loader)
    assert [2, 2, 3, 3, 4, 4] == sizes


def test_a_value_that_could_not_be_had_is_set_when_the_epoch_is_announced_again():
    """The function failed, so the schedule has not moved."""
    failures = [OSError("network")]

    def size(epoch: int) -> int:
        if epoch == 1 and failures:
            raise failures.pop()
        return 2 + epoch

    loader = DataLoader(range(100), batch_size=2)
    trainer, sizes = Engine(lambda engine, batch: sizes.append(len(batch))), []
    BatchSizeScheduler(loader, size).attach(trainer)
    with pytest.raises(OSError, match="network"):
        trainer.run(loader, max_epochs=3, epoch_length=1)
    trainer.run(loader)
    assert [2, 3, 4] == sizes
