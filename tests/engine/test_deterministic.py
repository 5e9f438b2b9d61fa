"""A DeterministicEngine goes on from a saved state as if it had never stopped."""

from __future__ import annotations

import copy
import gc
import io
import logging
import pickle
import random
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler, WeightedRandomSampler

from ignite_signals.engine import (
    DeterministicEngine,
    Engine,
    Events,
    ReproducibleBatchSampler,
    State,
    keep_random_state,
    update_dataloader,
)

Log = list[tuple[Any, ...]]


def draw() -> tuple[float, float, float]:
    return random.random(), torch.rand(()).item(), float(np.random.rand())


class Augmented(Dataset):  # type: ignore[type-arg]
    """Samples that are changed at random, with each of the three generators."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.tensor([index, *draw()], dtype=torch.float64)


class Streamed(IterableDataset):  # type: ignore[type-arg]
    """Samples in the order of a stream, changed at random."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        for index in range(10):
            yield torch.tensor([index, *draw()], dtype=torch.float64)


class OwnBatches:
    """A batch sampler of the user's own, which draws while it is iterated."""

    def __iter__(self) -> Iterator[list[int]]:
        for _ in range(4):
            yield [random.randrange(10), int(torch.randint(10, ()))]

    def __len__(self) -> int:
        return 4


class Drawn:
    """Data that draws its batches as it goes."""

    def __iter__(self) -> Iterator[float]:
        for _ in range(4):
            yield sum(draw())


class SizedDrawn(Drawn):
    def __len__(self) -> int:
        return 4


def endless() -> Iterator[float]:
    while True:
        yield sum(draw())


DATA: dict[str, Callable[[], Any]] = {
    "shuffled": lambda: DataLoader(Augmented(), batch_size=3, shuffle=True),
    "own generator": lambda: DataLoader(
        Augmented(), batch_size=3, shuffle=True, generator=torch.Generator().manual_seed(5)
    ),
    "weighted": lambda: DataLoader(Augmented(), 3, sampler=WeightedRandomSampler([1.0] * 10, 10)),
    "own batches": lambda: DataLoader(Augmented(), batch_sampler=OwnBatches()),
    "single samples": lambda: DataLoader(Augmented(), batch_size=None, shuffle=True),
    "streamed": lambda: DataLoader(Streamed(), batch_size=3),
    "list": lambda: [1, 2, 3, 4],
    "drawn": Drawn,
    "sized": SizedDrawn,
    "endless": endless,
    "none": lambda: None,
}


def trainer(log: Log, engine: type[Engine] = DeterministicEngine) -> Any:
    """Make an engine that logs each batch and random numbers of the step and of receivers."""

    def step(engine: Engine, batch: Any) -> None:
        seen = batch.tolist() if isinstance(batch, torch.Tensor) else batch
        log.append((engine.state.epoch, engine.state.iteration, seen, draw()))

    made = engine(step)
    for event in (Events.GET_BATCH_STARTED, Events.EPOCH_COMPLETED, Events.DATALOADER_STOP_ITERATION):
        made.add_event_handler(event, draw)
    return made


def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)  # type: ignore[no-any-return]


def straight(data: Any, epochs: int, length: int | None, seed: int = 3) -> tuple[Log, list[dict[str, Any]]]:
    """Run without a stop, and return what was seen and the state after each iteration."""
    torch.manual_seed(seed)
    log: Log = []
    states: list[dict[str, Any]] = []
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: states.append(engine.state_dict()))
    # After what the receivers of the epoch's end drew, which a resumed run does not send again.
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: states.__setitem__(-1, engine.state_dict()))
    engine.run(data, max_epochs=epochs, epoch_length=length)
    return log, states


def resumed(data: Any, saved: dict[str, Any], *arguments: Any) -> Log:
    """Load a state in what might be another process, with other random numbers, and run to the end."""
    torch.manual_seed(99)
    random.seed(99)
    log: Log = []
    engine = trainer(log)
    engine.load_state_dict(through_a_file(saved))
    engine.run(data, *arguments)
    return log


def length_of(kind: str) -> int | None:
    return 4 if kind in ("endless", "none", "drawn", "streamed") else None


@pytest.mark.parametrize("kind", DATA)
def test_a_resumed_run_is_the_one_that_was_never_stopped(kind):
    """From each iteration of three epochs on, batches and random numbers are those of the run without a stop."""
    log, states = straight(DATA[kind](), 3, length_of(kind))
    assert len(log) == len({entry[1:] and str(entry) for entry in log})
    for iteration, saved in enumerate(states[:-1], start=1):
        assert log[iteration:] == resumed(DATA[kind](), saved), iteration


@settings(deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(["shuffled", "own batches", "drawn", "sized", "list", "endless", "own generator"]),
    length=st.integers(1, 11),
    epochs=st.integers(1, 4),
    place=st.data(),
)
def test_epochs_may_be_shorter_or_longer_than_the_data(kind, length, epochs, place):
    """Wherever a pass over the data ends inside an epoch, a run resumed from any iteration is the same."""
    log, states = straight(DATA[kind](), epochs, length)
    if len(states) > 1:
        iteration = place.draw(st.integers(1, len(states) - 1))
        assert log[iteration:] == resumed(DATA[kind](), states[iteration - 1])
    assert epochs * length == len(log)


@pytest.mark.parametrize("persistent", [False, True])
@pytest.mark.parametrize("iteration", [2, 4, 5])
def test_workers_augment_a_resumed_batch_in_the_same_way(iteration, persistent):
    """What workers draw at random is the same too, inside a pass and at its beginning."""

    def data() -> Any:
        return DataLoader(Augmented(), 3, shuffle=True, num_workers=2, persistent_workers=persistent)

    log, states = straight(data(), 2, None)
    assert log[iteration:] == resumed(data(), states[iteration - 1])


def test_the_order_is_that_of_ignite():
    """With the same seed the batches come in the order that Ignite gives them."""
    deterministic = pytest.importorskip("ignite.engine.deterministic")
    events = pytest.importorskip("ignite.engine").Events
    logs: list[list[Any]] = []
    for engine_class, event in ((deterministic.DeterministicEngine, events), (DeterministicEngine, Events)):
        torch.manual_seed(12)
        seen: list[Any] = []
        engine = engine_class(lambda engine, batch: batch.tolist())
        engine.add_event_handler(event.ITERATION_COMPLETED, lambda engine, seen=seen: seen.append(engine.state.output))
        engine.run(DataLoader(torch.arange(10), 3, shuffle=True), max_epochs=3)
        logs.append(seen)
    assert logs[0] == logs[1]


def test_passes_differ():
    """Each pass over the data has an order of its own."""
    log, _ = straight(DATA["shuffled"](), 2, None)
    first, second = ([row[0] for entry in log if entry[0] == epoch for row in entry[2]] for epoch in (1, 2))
    assert sorted(first) == sorted(second)
    assert first != second


@pytest.mark.parametrize("stop", ["interrupt", "fail", "max_iters"])
@pytest.mark.parametrize("kind", ["shuffled", "drawn", "endless", "none", "list"])
def test_an_engine_goes_on_in_the_same_process(kind, stop):
    """Interrupted, failed or cut short, it goes on with the same batches and random numbers."""
    torch.manual_seed(3)
    expected: Log = []
    trainer(expected).run(DATA[kind](), max_iters=11, epoch_length=4)
    torch.manual_seed(3)
    log: Log = []
    engine, data = trainer(log), DATA[kind]()

    @engine.on(Events.ITERATION_COMPLETED(once=6))
    def halt(engine):
        if stop == "interrupt":
            engine.interrupt()
        if stop == "fail":
            raise OSError("the disk is full")

    if stop == "fail":
        engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    engine.run(data, max_iters=6 if stop == "max_iters" else 11, epoch_length=4)
    assert 6 == len(log)
    draw()
    engine.run(data, max_iters=11)
    assert expected == log


def test_a_terminated_run_goes_on_with_a_new_pass():
    """In the same process it goes on with the next epoch, on fresh data; its saved state with the next iteration."""
    log: Log = []
    engine, data = trainer(log), DATA["shuffled"]()
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate())
    torch.manual_seed(3)
    engine.run(data, max_epochs=2)
    expected, states = straight(DATA["shuffled"](), 2, None)
    rest = resumed(DATA["shuffled"](), engine.state_dict() | {"max_epochs": 2})
    assert expected == log + rest
    assert states[1]["dataflow"] == engine.state_dict()["dataflow"]
    engine.run(data)
    assert 10 == len({row[0] for entry in log[2:] for row in entry[2]})


def test_an_epoch_that_was_cut_short_is_followed_by_a_new_pass():
    """After `terminate_epoch` the data begins anew, in an order of its own."""
    log: Log = []
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate_epoch())
    engine.run(DATA["shuffled"](), max_epochs=2)
    assert 10 == len({row[0] for entry in log[2:] for row in entry[2]})
    assert {"pass": 1, "taken": 4} == engine.state_dict()["dataflow"]


def test_a_generator_of_the_users_outlives_an_epoch_that_was_cut_short():
    """An endless generator goes on where it was, as with an Engine."""
    log: Log = []
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate_epoch())
    engine.run(iter(range(100)), max_epochs=2, epoch_length=4)
    assert [0, 1, 2, 3, 4, 5] == [entry[2] for entry in log]


def test_a_longer_run_is_the_shorter_one_extended():
    """A finished run that a larger limit extends goes on as one with that limit would have done."""
    expected, _ = straight(DATA["shuffled"](), 4, 3)
    torch.manual_seed(3)
    log: Log = []
    engine, data = trainer(log), DATA["shuffled"]()
    engine.run(data, max_epochs=2, epoch_length=3)
    engine.run(data, max_epochs=4)
    assert expected == log


def test_a_state_without_a_place_is_resumed_by_its_iteration():
    """The state of a plain Engine, or a hand-made one, gives the batches from that iteration on."""
    log, _ = straight(DATA["list"](), 3, None)
    torch.manual_seed(3)
    seed = straight(DATA["list"](), 1, None)[1][0]["seed"]
    rest: Log = []
    engine = trainer(rest)
    engine.load_state_dict({"iteration": 8, "max_epochs": 3, "epoch_length": 4})
    engine.state.seed = seed
    engine.run([1, 2, 3, 4])
    assert log[8:] == rest
    engine.load_state_dict({"iteration": 6, "max_epochs": 3, "epoch_length": 4})
    engine.run([1, 2, 3, 4])
    assert [3, 4, 1, 2, 3, 4] == [entry[2] for entry in rest[4:]]


def test_a_state_that_was_set_by_hand_is_resumed_by_its_iteration():
    """A new state with progress in it replaces the place of the old one."""
    log: Log = []
    engine = trainer(log)
    engine.run([1, 2, 3])
    engine.state = State(iteration=5, epoch=1, epoch_length=4, max_epochs=2, seed=1)
    engine.run([1, 2, 3, 4])
    assert [2, 3, 4] == [entry[2] for entry in log[3:]]


def test_a_state_may_be_loaded_at_started():
    """A receiver of STARTED that loads a state makes the run go on from it."""
    log, states = straight(DATA["shuffled"](), 2, None)
    rest: Log = []
    engine = trainer(rest)
    engine.add_event_handler(Events.STARTED, lambda engine: engine.load_state_dict(states[4]))
    engine.run(DATA["shuffled"](), max_epochs=2)
    assert log[5:] == rest


def test_the_states_of_ignite_are_understood():
    """A state dict that Ignite's DeterministicEngine saved gives its random numbers and its iteration."""
    deterministic = pytest.importorskip("ignite.engine.deterministic")
    theirs = deterministic.DeterministicEngine(lambda engine, batch: None)
    theirs.run([1, 2, 3, 4], max_iters=2, epoch_length=4)
    saved = theirs.state_dict() | {"max_iters": 3}
    expected = draw()
    log: Log = []
    engine = DeterministicEngine(lambda engine, batch: log.append((batch, draw())))
    engine.load_state_dict(saved)
    engine.run([1, 2, 3, 4])
    assert [(3, expected)] == log


def test_the_seed_may_be_given():
    """A seed that the user sets is kept from run to run; one that was drawn is drawn anew."""
    engine = DeterministicEngine(lambda engine, batch: None)
    engine.run([1])
    first = engine.state.seed
    engine.run([1])
    assert first != engine.state.seed
    engine.state.seed = 7
    logs: list[Log] = [[], []]
    for log in logs:
        torch.manual_seed(id(log) % 1000)
        one = trainer(log)
        one.state.seed = 7
        one.run(DATA["shuffled"]())
    assert logs[0] == logs[1]
    engine.run([1])
    assert 7 == engine.state.seed


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_a_seed_out_of_range_is_refused(seed):
    """The error names the seed, before anything runs."""
    engine = DeterministicEngine(lambda engine, batch: None)
    engine.state.seed = seed
    with pytest.raises(ValueError, match=r"state\.seed must be"):
        engine.run([1])


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"seed": -1}, ValueError),
        ({"seed": 2**40}, ValueError),
        ({"rng_states": 5}, TypeError),
        ({"dataflow": {"pass": 1}}, ValueError),
        ({"dataflow": {"pass": 1, "taken": -1}}, ValueError),
    ],
)
def test_a_wrong_state_is_refused(wrong, error):
    """Each error names the key, and nothing was changed."""
    engine = DeterministicEngine(lambda engine, batch: None)
    with pytest.raises(error, match=next(iter(wrong))):
        engine.load_state_dict({"iteration": 1, "epoch_length": 4, "max_epochs": 2} | wrong)
    assert 0 == engine.state.iteration
    with pytest.raises(TypeError, match="mapping"):
        engine.load_state_dict([])


def test_cudnn_is_put_back():
    """cuDNN is deterministic during a run, and afterwards as it was."""
    cudnn, seen = torch.backends.cudnn, []
    before = cudnn.deterministic, cudnn.benchmark
    try:
        cudnn.deterministic, cudnn.benchmark = False, True
        DeterministicEngine(lambda engine, batch: seen.append((cudnn.deterministic, cudnn.benchmark))).run([1])
        assert (False, True) == (cudnn.deterministic, cudnn.benchmark)
    finally:
        cudnn.deterministic, cudnn.benchmark = before
    assert [(True, False)] == seen


def test_other_data_is_skipped_with_a_word(caplog):
    """Data that cannot go to a batch says that it is skipped, and how far."""
    _, states = straight(Drawn(), 1, 4)
    with caplog.at_level(logging.INFO):
        resumed(Drawn(), states[2])
    assert ["Drawn cannot go to a batch: skipping 3 of them, one by one"] == [
        record.getMessage() for record in caplog.records if "skipping" in record.getMessage()
    ]


def test_a_data_loader_is_not_skipped_through():
    """Batches that were taken already are not loaded again."""
    loaded: list[int] = []

    class Watched(Augmented):
        def __getitem__(self, index: int) -> torch.Tensor:
            loaded.append(index)
            return super().__getitem__(index)

    _, states = straight(DATA["shuffled"](), 1, None)
    resumed(DataLoader(Watched(), batch_size=3, shuffle=True), states[2])
    assert 1 == len(loaded)  # the last batch of ten samples in threes


def test_other_data_may_be_set_in_a_run():
    """`set_data` begins a pass over the other data, and a resumed run goes on in it."""
    other = DataLoader(torch.arange(100, 110), 3, shuffle=True)
    log, states = [], []
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.set_data(other))
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: states.append(engine.state_dict()))
    engine.run(DATA["shuffled"](), max_epochs=2)
    assert all(row >= 100 for entry in log[2:] for row in entry[2])
    assert log[3:] == resumed(other, states[2])


def test_persistent_workers_persist():
    """Run again with the same DataLoader, the engine uses the one that it has made of it."""
    data = DATA["shuffled"]()
    engine = DeterministicEngine(lambda engine, batch: None)
    first = engine.run(data).dataloader
    assert first is engine.run(data).dataloader
    assert isinstance(first.batch_sampler, ReproducibleBatchSampler)
    assert data.sampler is first.sampler
    assert not isinstance(data.batch_sampler, ReproducibleBatchSampler)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_goes_on_at_the_same_place(way):
    """A copy between two runs has the place and the random numbers; the data stays with the original."""
    engine = DeterministicEngine(kept_step)
    data = DATA["shuffled"]()
    engine.state.seed = 5
    engine.run(data, max_iters=2)
    other = way(engine)
    assert other.state.dataloader is None
    engine.run(data, max_iters=3)
    expected = engine.state.output
    other.run(data, max_iters=3)
    assert expected == other.state.output


def kept_step(engine: Engine, batch: Any) -> Any:
    return batch.tolist(), draw()


def test_an_engine_is_freed_at_once():
    """An engine is in no cycle with what it has made."""
    engine = DeterministicEngine(lambda engine, batch: None)
    engine.run(DATA["shuffled"]())
    reference = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert reference() is None
    finally:
        gc.enable()


def test_a_nested_run_is_resumed_with_the_outer_one():
    """A deterministic evaluation in each epoch leaves a resumed training the same."""

    def train(saved: Any = None) -> tuple[Log, list[Any]]:
        log: Log = []
        states: list[Any] = []
        engine = trainer(log)
        evaluator = DeterministicEngine(lambda engine, batch: draw())
        validation = DATA["shuffled"]()
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: evaluator.run(validation) and None)
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: states.append(engine.state_dict()))
        if saved is not None:
            engine.load_state_dict(saved)
        engine.run(DATA["shuffled"](), max_epochs=3)
        return log, states

    log, states = train()
    assert log[6:] == train(states[5])[0]


# Its parts


def test_kept_random_numbers_are_those_without_the_call():
    """A decorated function leaves all generators as they were, also when it raises, and returns what it returns."""
    random.seed(1)
    torch.manual_seed(1)
    np.random.seed(1)
    expected = draw()
    random.seed(1)
    torch.manual_seed(1)
    np.random.seed(1)

    @keep_random_state
    def failing(value: int) -> int:
        """Draw and divide."""
        draw()
        return 6 // value

    assert 3 == failing(2)
    with pytest.raises(ZeroDivisionError):
        failing(0)
    assert expected == draw()
    assert ("failing", "Draw and divide.") == (failing.__name__, failing.__doc__)


@settings(deadline=None)
@given(size=st.integers(0, 20), batch_size=st.integers(1, 5), start=st.none() | st.integers(0, 25))
def test_a_sampler_starts_at_an_iteration_once(size, batch_size, start):
    """The first pass leaves out so many batches, the next one none."""
    batches = list(BatchSampler(range(size), batch_size, drop_last=False))
    sampler = ReproducibleBatchSampler(BatchSampler(range(size), batch_size, drop_last=False), start)
    assert len(batches) == len(sampler)
    assert batches[start or 0 :] == list(sampler)
    assert batches == list(sampler)


def test_a_sampler_draws_a_pass_at_its_beginning():
    """Random numbers that are used while a pass is on do not change it."""
    sampler = ReproducibleBatchSampler(OwnBatches())
    random.seed(2)
    torch.manual_seed(2)
    expected = list(OwnBatches())
    random.seed(2)
    torch.manual_seed(2)
    assert expected == [batch for batch in sampler if draw()]


@pytest.mark.parametrize("wrong", [None, 5, (batch for batch in [[1]])])
def test_what_is_no_batch_sampler_is_refused(wrong):
    """It must be a batch sampler, or batches with a length."""
    with pytest.raises(TypeError, match="batch_sampler must be"):
        ReproducibleBatchSampler(wrong)


def test_an_updated_loader_has_all_of_the_old_one():
    """A DataLoader with another batch sampler keeps the rest, its class too; the old one stays as it was."""

    class Named(DataLoader):  # type: ignore[type-arg]
        def __init__(self, name: str) -> None:
            super().__init__(range(10), batch_size=2, collate_fn=tuple, timeout=0, generator=torch.Generator())
            self.name = name

    loader = Named("train")
    sampler = BatchSampler(RandomSampler(range(10), generator=torch.Generator().manual_seed(0)), 5, drop_last=False)
    updated = update_dataloader(loader, sampler)
    assert isinstance(updated, Named)
    assert ("train", tuple, loader.generator) == (updated.name, updated.collate_fn, updated.generator)
    assert [5, 5] == [len(batch) for batch in updated]
    assert [2] * 5 == [len(batch) for batch in loader]


def test_a_loader_without_batches_cannot_be_updated():
    """A DataLoader of single samples has no batch sampler to replace."""
    with pytest.raises(ValueError, match="must have a batch sampler"):
        update_dataloader(DataLoader(range(3), batch_size=None), BatchSampler(range(3), 1, drop_last=False))


class Unsized:
    """Data that can be iterated again and has no length."""

    def __iter__(self) -> Any:
        yield from range(7)


def test_data_without_a_length_is_resumed_in_its_first_epoch() -> None:
    """A state that was saved before the length was known goes on with epochs of the right length."""

    def run(saved: Any = None, at: int | None = None) -> tuple[list[Any], dict[str, Any]]:
        seen, states = [], {}
        engine = DeterministicEngine(lambda engine, batch: seen.append((engine.state.epoch, batch)))
        engine.state.seed = 7
        if at is not None:
            engine.add_event_handler(Events.ITERATION_COMPLETED(once=at), lambda e: states.update(e.state_dict()))
        if saved is not None:
            engine.load_state_dict(saved)
        engine.run(Unsized(), max_epochs=3)
        return seen, states

    straight, saved = run(at=2)

    assert straight[2:] == run(saved)[0]


class WholeBatches(torch.utils.data.Dataset[Any]):
    """Draw random numbers before the samples of a batch are looked at."""

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> int:
        return index

    def __getitems__(self, indices: list[int]) -> list[Any]:
        drawn = torch.rand(len(indices))
        return [(float(index), number) for index, number in zip(indices, drawn.tolist(), strict=True)]


def test_workers_that_make_whole_batches_are_resumed_exactly() -> None:
    """A data set with `__getitems__` draws the same numbers in a worker after a resume."""

    def run(saved: Any = None) -> tuple[list[Any], dict[str, Any]]:
        seen, states = [], {}
        engine = DeterministicEngine(lambda engine, batch: seen.append([part.tolist() for part in batch]))
        engine.state.seed = 7
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda e: states.update(e.state_dict()))
        if saved is not None:
            engine.load_state_dict(saved)
        engine.run(torch.utils.data.DataLoader(WholeBatches(), 2, shuffle=True, num_workers=2))
        return seen, states

    straight, saved = run()

    assert straight[2:] == run(saved)[0]


def test_states_of_random_numbers_are_looked_at_before_anything_is_loaded() -> None:
    """A mapping that holds other things is refused."""
    engine = DeterministicEngine(lambda engine, batch: None)
    with pytest.raises(TypeError, match="rng_states"):
        engine.load_state_dict({"iteration": 0, "epoch_length": 2, "max_epochs": 2, "rng_states": {"python": 1}})


def test_a_seed_that_was_drawn_may_be_set_by_hand() -> None:
    """The very number that was drawn is kept by a new start where the user has set it; a copy knows it, too."""
    engine = DeterministicEngine(kept_step)
    engine.run([torch.ones(1)])
    drawn = int(engine.state.seed)
    other = pickle.loads(pickle.dumps(engine))
    engine.state.seed = drawn
    engine.run([torch.ones(1)])
    assert drawn == engine.state.seed
    other.run([torch.ones(1)])
    assert drawn != other.state.seed
    assert type(engine.state_dict()["seed"]) is type(other.state_dict()["seed"]) is int


@pytest.mark.parametrize("at", [0, 1, 4, 5])
def test_an_iterator_loses_no_batch_to_a_failure(at: int) -> None:
    """A batch that was got when the run failed is the next one of the run that goes on, and its place says so."""
    log: Log = []
    engine, data = trainer(log), iter(range(100))
    failing = Events.GET_BATCH_COMPLETED(event_filter=lambda engine, done: done == at)
    handle = engine.add_event_handler(failing, lambda engine: 1 / 0)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    engine.run(data, max_iters=6, epoch_length=4)
    assert at == len(log)
    handle.remove()
    engine.run(data)
    assert list(range(6)) == [entry[2] for entry in log]
    assert {"pass": 0, "taken": 6} == engine.state_dict()["dataflow"]


def test_another_iterator_is_skipped_to_the_place() -> None:
    """After a failure, an iterator over the same data from its beginning gives what is left."""
    log: Log = []
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda engine: 1 / 0)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    engine.run(iter(range(100)), max_iters=6, epoch_length=4)
    engine.run(iter(range(100)))
    assert list(range(6)) == [entry[2] for entry in log]


@pytest.mark.parametrize("stop", ["terminate", "terminate_epoch"])
def test_the_place_in_an_iterator_outlives_the_end_of_its_pass(stop: str) -> None:
    """An iterator that goes on after its run or epoch was ended early is resumed where it was."""
    log: Log = []
    states: list[Any] = []
    engine, data = trainer(log), endless()
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: getattr(engine, stop)())
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: states.append(engine.state_dict()))
    engine.run(data, max_iters=7, epoch_length=4)
    if stop == "terminate":
        engine.run(data)
    assert log[5:] == resumed(endless(), states[4])


@pytest.mark.parametrize("kind", ["shuffled", "drawn", "none", "own batches", "streamed"])
def test_an_epoch_that_was_cut_short_is_resumed_after(kind: str) -> None:
    """A state that is saved after `terminate_epoch` begins the next pass, as the run did that was not stopped."""

    def run(saved: Any = None) -> tuple[Log, list[Any]]:
        torch.manual_seed(3)
        log: Log = []
        states: list[Any] = []
        engine = trainer(log)
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=6), lambda engine: engine.terminate_epoch())
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: states.append(engine.state_dict()))
        if saved is not None:
            engine.load_state_dict(through_a_file(saved))
        engine.run(DATA[kind](), max_epochs=3, epoch_length=4)
        return log, states

    log, states = run()
    assert log[6:] == run(states[1])[0]
    assert {"pass": 2, "taken": 0} == states[1]["dataflow"]


def test_a_run_is_extended_after_an_epoch_that_was_cut_short() -> None:
    """A last epoch that was cut short is followed by a new pass, too."""
    log: Log = []
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate_epoch())
    data = DATA["shuffled"]()
    engine.run(data, max_epochs=1)
    engine.run(data, max_epochs=2)
    assert 10 == len({row[0] for entry in log[2:] for row in entry[2]})


def test_a_pass_that_is_over_is_not_skipped_through() -> None:
    """A state that was saved when data without a length had ended says so."""
    log, states = straight(Drawn(), 2, None)
    assert {"pass": 0, "taken": 4, "over": True} == states[3]["dataflow"]
    assert log[4:] == resumed(Drawn(), states[3])


@pytest.mark.parametrize("batch_size", [3, None])
def test_persistent_workers_over_a_stream_are_resumed_exactly(batch_size: int | None) -> None:
    """They are new in each pass, so that what they draw does not depend on what they have drawn."""

    def data() -> Any:
        return DataLoader(Streamed(), batch_size=batch_size, num_workers=2, persistent_workers=True)

    log, states = straight(data(), 3, 5)
    for iteration in (3, 8, 10, 11):
        assert log[iteration:] == resumed(data(), states[iteration - 1])


@pytest.mark.parametrize("event", [Events.STARTED, Events.EPOCH_STARTED])
def test_a_resumed_run_may_be_saved_before_its_first_batch(event: Events) -> None:
    """The random numbers are then those that were loaded."""
    log, states = straight(DATA["shuffled"](), 2, None)
    saved: list[Any] = []
    engine = trainer([])
    engine.load_state_dict(states[1])
    draw()
    engine.add_event_handler(event, lambda engine: saved.append(engine.state_dict()))
    engine.run(DATA["shuffled"]())
    assert log[2:] == resumed(DATA["shuffled"](), saved[0])


def scaled(saved: Any = None, stop: int | None = None, **limits: Any) -> tuple[Log, list[dict[str, Any]]]:
    """Run with a handler that draws when an epoch is announced for the first time; save when one is complete."""
    log: Log = []
    states: list[dict[str, Any]] = []
    engine = trainer(log)
    engine.state.seed = 3

    @engine.on(Events.EPOCH_STARTED)
    def choose(engine: Engine) -> None:
        if not engine.epoch_position:
            log.append((engine.state.epoch, "drawn", draw()))
        if saved is not None and engine.state.epoch == stop:
            engine.terminate()

    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: states.append(engine.state_dict()))
    if saved is not None:
        torch.manual_seed(99)
        random.seed(99)
        engine.load_state_dict(through_a_file(saved))
    engine.add_event_handler(Events.STARTED, draw)
    engine.run(limits.pop("data"), max_epochs=4, **limits)
    return log, [*states, engine.state_dict()]


@pytest.mark.parametrize("kind", ["shuffled", "list", "none", "drawn"])
@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_what_is_drawn_at_the_start_of_an_epoch_comes_back(kind: str, length: int) -> None:
    """The random numbers are put back before an epoch is announced for the first time, and only once."""
    log, states = scaled(data=DATA[kind](), epoch_length=length)
    for epoch in (1, 2, 3):
        assert log[epoch * (length + 1) :] == scaled(states[epoch - 1], data=DATA[kind]())[0]


def test_a_run_that_ends_where_it_was_to_go_on_is_saved_with_what_was_drawn() -> None:
    """Terminated at EPOCH_STARTED, it has the numbers of after that."""
    _, states = scaled(data=DATA["list"](), epoch_length=3)
    _, ended = scaled(states[1], 3, data=DATA["list"]())
    torch.set_rng_state(states[1]["rng_states"]["torch"])
    torch.rand(())
    torch.testing.assert_close(torch.get_rng_state(), ended[-1]["rng_states"]["torch"])


@pytest.mark.parametrize("event", [Events.ITERATION_COMPLETED, Events.GET_BATCH_STARTED], ids=str)
@pytest.mark.parametrize("kind", ["shuffled", "sized", "endless", "iterator"])
def test_an_epoch_that_is_about_to_be_cut_short_is_resumed_after(kind: str, event: Events) -> None:
    """Saved when that was asked for, it is heeded before the data is opened: an iterator goes on where it was."""

    def run(saved: Any = None) -> tuple[Log, list[dict[str, Any]]]:
        torch.manual_seed(3)
        random.seed(3)
        log: Log = []
        states: list[dict[str, Any]] = []
        engine = trainer(log)
        cut = 2 if event is Events.ITERATION_COMPLETED else 5
        engine.add_event_handler(event(once=cut), lambda engine: engine.terminate_epoch())
        for saving in (Events.ITERATION_COMPLETED, Events.EPOCH_COMPLETED):
            engine.add_event_handler(saving, lambda engine: states.append(engine.state_dict()))
        if saved is not None:
            random.seed(99)
            engine.load_state_dict(through_a_file(saved))
        engine.run(iter(range(100)) if kind == "iterator" else DATA[kind](), max_epochs=3, epoch_length=4)
        return log, states

    log, states = run()
    for saved in states:
        if saved["iteration"] < len(log):
            assert log[saved["iteration"] :] == run(saved)[0]


class Phased(DataLoader):  # type: ignore[type-arg]
    """A loader that changes with the epoch, as samplers and collate functions do."""

    epoch = 0
    iterated = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Any:
        self.iterated += 1
        return ((self.epoch, batch.tolist()) for batch in super().__iter__())


def test_what_is_set_on_a_loader_in_a_run_counts() -> None:
    """At EPOCH_STARTED for example; of a resumed run, too. What is set on the loader that the engine uses stays."""

    def run(saved: Any = None) -> tuple[list[Any], list[dict[str, Any]], Any]:
        seen: list[Any] = []
        states: list[dict[str, Any]] = []
        data = Phased(torch.arange(6), batch_size=2, shuffle=True)
        engine = DeterministicEngine(lambda engine, batch: seen.append(batch))
        engine.state.seed = 3
        engine.add_event_handler(Events.EPOCH_STARTED, lambda engine: data.set_epoch(engine.state.epoch))
        engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: states.append(engine.state_dict()))
        if saved is not None:
            engine.load_state_dict(saved)
        engine.run(data, max_epochs=3)
        return seen, states, engine.state.dataloader

    seen, states, used = run()
    assert [1, 1, 1, 2, 2, 2, 3, 3, 3] == [epoch for epoch, _ in seen]
    assert (3, 3) == (used.epoch, used.iterated)
    for iteration, saved in enumerate(states[:-1], 1):
        assert seen[iteration:] == run(saved)[0]


def shuffled_without_end(generator: torch.Generator) -> Iterator[Any]:
    loader = DataLoader(torch.arange(6), batch_size=2, shuffle=True, generator=generator)
    while True:
        yield from loader


def test_data_that_shuffles_in_the_midst_of_a_pass_has_a_generator_of_its_own() -> None:
    """Then its order does not depend on what the step draws."""
    log, states = straight(shuffled_without_end(torch.Generator().manual_seed(1)), 3, 3)
    for iteration, saved in enumerate(states[:-1], 1):
        rest = resumed(shuffled_without_end(torch.Generator().manual_seed(1)), saved)
        assert [entry[2] for entry in log[iteration:]] == [entry[2] for entry in rest]


def test_a_generator_of_a_batch_sampler_of_the_users_is_seeded() -> None:
    """An order that is drawn from it is that of the pass, whatever was drawn from it before."""

    def data(seed: int) -> Any:
        sampler = RandomSampler(range(10), generator=torch.Generator().manual_seed(seed))
        return DataLoader(Augmented(), batch_sampler=BatchSampler(sampler, 3, drop_last=False))

    log, states = straight(data(1), 2, None)
    assert log[5:] == resumed(data(2), states[4])


def test_data_that_cannot_be_iterated_is_refused_in_a_run() -> None:
    """`set_data` changes nothing then."""
    engine = DeterministicEngine(lambda engine, batch: None)
    engine.run([1, 2])
    with pytest.raises(TypeError, match="iterable"):
        engine.set_data(5)  # type: ignore[arg-type]
    assert [1, 2] == engine.state.dataloader
