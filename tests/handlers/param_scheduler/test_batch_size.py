"""BatchSizeScheduler changes the size of the batches while a model is trained."""

from __future__ import annotations

import copy
import functools
import pickle
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, IterableDataset, SequentialSampler

from ignite_signals.engine import DeterministicEngine, Engine, Events
from ignite_signals.engine.batch_sampler import ReproducibleBatchSampler, update_dataloader
from ignite_signals.handlers.param_scheduler.batch_size import BatchSizeScheduler


def growing(count: int) -> int:
    """Return a batch size for a count."""
    return 2 + count


def a_loader(length: int = 12, **options: Any) -> DataLoader[Any]:
    """Return a loader of numbers."""
    data: Any = torch.arange(length)
    return DataLoader(data, **({"batch_size": 2} | options))


def note(seen: list[Any], engine: Any, batch: Any) -> None:
    """Note the epoch and the batch, as a step."""
    seen.append((engine.state.epoch, batch.tolist()))


class Training:
    """A training whose epochs are passes with batches of a growing size, and what it has seen."""

    def __init__(self, engine: type[Engine] = Engine, loader: DataLoader[Any] | None = None) -> None:
        self.loader = a_loader() if loader is None else loader
        self.seen: list[Any] = []
        self.engine = engine(functools.partial(note, self.seen))
        self.scheduler = BatchSizeScheduler(self.loader, growing, save_history=True)
        self.scheduler.attach(self.engine)
        self.engine.add_event_handler(Events.EPOCH_STARTED, self.set_length)

    def set_length(self, engine: Engine) -> None:
        engine.state.epoch_length = len(self.loader)


def test_each_epoch_has_batches_of_its_size() -> None:
    """Attached as it is by default, at EPOCH_STARTED, the size of an epoch is that of its first batch already."""
    training = Training()
    training.engine.run(training.loader, max_epochs=3)
    lengths = [[len(batch) for epoch, batch in training.seen if epoch == number] for number in (1, 2, 3)]

    assert [[2] * 6, [3] * 4, [4] * 3] == lengths
    assert [2, 3, 4] == training.engine.state.param_history["batch_size"]


def test_an_epoch_keeps_its_number_of_iterations() -> None:
    """Without a handler that sets epoch_length, more than one pass is made in an epoch, as in PyTorch-Ignite."""
    ignite, ignites_engine = (
        pytest.importorskip("ignite.handlers.param_scheduler"),
        pytest.importorskip("ignite.engine"),
    )
    results: list[Any] = []
    for engine_class, kind in ((ignites_engine.Engine, ignite.BatchSizeScheduler), (Engine, BatchSizeScheduler)):
        loader, seen = a_loader(), list[Any]()
        engine = engine_class(functools.partial(note, seen))
        kind(loader, growing, save_history=True).attach(engine)
        state = engine.run(loader, max_epochs=3)
        results.append((seen, state.param_history, len(loader)))

    assert results[0] == results[1]
    assert 18 == len(results[1][0])


@pytest.mark.parametrize("cut", range(1, 13))
def test_a_resumed_deterministic_training_sees_the_same_batches(cut: int) -> None:
    """Stopped anywhere, also in the midst of a pass, the rest is that of a run without a stop; with shuffling."""

    def train(saved: Any = None, **limits: Any) -> Training:
        training = Training(DeterministicEngine, a_loader(shuffle=True))
        training.engine.state.seed = 5
        if saved is not None:
            training.engine.load_state_dict(saved)
        training.engine.run(training.loader, **limits)
        return training

    straight = train(max_iters=13)
    first = train(max_iters=cut)
    second = train(first.engine.state_dict(), max_iters=13)

    assert straight.seen == first.seen + second.seen
    assert [2, 3, 4] == second.scheduler.history.state_dict()["batch_size"]


def test_loading_sets_the_size_that_was_set_last() -> None:
    """The loader has it from then on, also where the epoch that goes on is not announced as a new one."""
    scheduler = BatchSizeScheduler(a_loader(), growing)
    for _ in range(3):
        scheduler(None)
    loader = a_loader()
    other = BatchSizeScheduler(loader, growing)
    other.load_state_dict(scheduler.state_dict())

    assert (4, 3) == (loader.batch_sampler.batch_size, len(loader))  # type: ignore[union-attr]


def test_loading_a_state_from_before_the_first_event_changes_nothing() -> None:
    """The loader's own size stays until there is one from the function."""
    loader = a_loader(batch_size=6)
    scheduler = BatchSizeScheduler(loader, growing)
    scheduler.load_state_dict(scheduler.state_dict())

    assert [6, 6] == [len(batch) for batch in loader]


@pytest.mark.parametrize(
    "options", [{"num_workers": 1}, {"num_workers": 1, "persistent_workers": True}, {"drop_last": True}]
)
def test_workers_fetch_batches_of_the_size(options: Any) -> None:
    """The next pass has the new size, with new workers and persistent ones, and where short batches are dropped."""
    loader = a_loader(**options)
    scheduler, lengths = BatchSizeScheduler(loader, lambda count: 3 + count), []
    for _ in range(2):
        scheduler(None)
        lengths.append([len(batch) for batch in loader])

    assert [[3] * 4, [4] * 3] == lengths


def test_a_stream_gives_batches_of_the_size() -> None:
    """A loader of an IterableDataset makes its batches by a sampler, too."""

    class Stream(IterableDataset[int]):
        def __iter__(self) -> Any:
            return iter(range(12))

    loader: DataLoader[int] = DataLoader(Stream(), batch_size=2)
    BatchSizeScheduler(loader, lambda count: 4)(None)

    assert [4, 4, 4] == [len(batch) for batch in loader]


def test_reaches_a_sampler_inside_of_another_one() -> None:
    """What makes the batches of a reproducible order is the sampler that it was made of."""
    loader = a_loader()
    loader = update_dataloader(loader, ReproducibleBatchSampler(loader.batch_sampler))
    BatchSizeScheduler(loader, lambda count: 6)(None)

    assert [6, 6] == [len(batch) for batch in loader]


def test_a_sampler_of_the_users_own_is_set() -> None:
    """Any batch sampler with a batch_size may make the batches."""
    sampler = BatchSampler(SequentialSampler(range(12)), 2, drop_last=False)
    loader = a_loader(batch_size=1, batch_sampler=sampler)
    BatchSizeScheduler(loader, lambda count: 5)(None)

    assert [5, 5, 2] == [len(batch) for batch in loader]


def test_get_param_sets_nothing() -> None:
    """It tells the size of the next call."""
    loader = a_loader()
    scheduler = BatchSizeScheduler(loader, growing)
    scheduler(None)

    assert (3, 2) == (scheduler.get_param(), loader.batch_sampler.batch_size)  # type: ignore[union-attr]


def test_simulates_without_a_loader_and_leaves_one_that_is_given() -> None:
    """simulate_values gives the function's values."""
    loader = a_loader(batch_size=6)
    without = BatchSizeScheduler.simulate_values(3, scheduler_fn=growing)
    with_one = BatchSizeScheduler.simulate_values(3, scheduler_fn=growing, dataloader=loader)

    assert [[0, 2], [1, 3], [2, 4]] == without == with_one
    assert 6 == loader.batch_sampler.batch_size  # type: ignore[union-attr]


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_copy_sets_its_own_loader(copied: Any) -> None:
    """The original's loader stays as it is."""
    scheduler = BatchSizeScheduler(a_loader(), growing)
    twin = copied(scheduler)
    for _ in range(3):
        twin(None)

    assert (4, 2) == (twin.dataloader.batch_sampler.batch_size, scheduler.dataloader.batch_sampler.batch_size)  # type: ignore[union-attr]


def test_is_saved_with_the_engine() -> None:
    """Its state is found by the name of its class and of what it sets."""
    engine = Engine(lambda engine, batch: None)
    BatchSizeScheduler(a_loader(), growing).attach(engine)

    assert {"BatchSizeScheduler:batch_size": {"event_index": 0}} == engine.state_dict()["attached"]


@pytest.mark.parametrize("size", [0, -3, 2.5, "four", None, True])
def test_refuses_a_size_that_is_none(size: Any) -> None:
    """The error names the count and the size, and the loader stays as it is."""
    loader = a_loader()
    scheduler = BatchSizeScheduler(loader, lambda count: 4 if count == 0 else size)
    scheduler(None)
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is compared as a whole
        scheduler(None)

    assert f"what scheduler_fn returns for 1 must be a positive integer, got {size!r}" == str(caught.value)
    assert (4, 1) == (loader.batch_sampler.batch_size, scheduler.event_index)  # type: ignore[union-attr]


class Strange:
    def __repr__(self) -> str:
        return "Strange()"


REMEDY = "give the DataLoader a batch_size"


@pytest.mark.parametrize(
    ("dataloader", "function", "message"),
    [
        (
            Strange(),
            growing,
            f"dataloader must be a DataLoader with a batch sampler that has a batch_size, got Strange(); {REMEDY}",
        ),
        (
            None,
            growing,
            f"dataloader must be a DataLoader with a batch sampler that has a batch_size, got None; {REMEDY}",
        ),
        (a_loader(), None, "scheduler_fn must be callable, got None"),
        (a_loader(), 4, "scheduler_fn must be callable, got 4"),
    ],
)
def test_refuses_what_it_cannot_use(dataloader: Any, function: Any, message: str) -> None:
    """The error names the argument and the value."""
    with pytest.raises(TypeError) as caught:
        BatchSizeScheduler(dataloader, function)

    assert message == str(caught.value)


@pytest.mark.parametrize(
    "loader",
    [a_loader(batch_size=None), a_loader(batch_size=1, batch_sampler=[[0, 1], [2, 3]])],
)
def test_refuses_a_loader_whose_batches_have_no_size(loader: Any) -> None:
    """One without a batch sampler, or with lists of indices."""
    with pytest.raises(TypeError, match="dataloader must be a DataLoader with a batch sampler that has a batch_size"):
        BatchSizeScheduler(loader, growing)


def test_refuses_to_be_attached_to_no_engine() -> None:
    """The error names the value."""
    with pytest.raises(TypeError, match="engine must be an Engine, got 3"):
        BatchSizeScheduler(a_loader(), growing).attach(3)  # type: ignore[arg-type]
