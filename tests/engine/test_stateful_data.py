"""Data that has a state of its own is brought back by it."""

from __future__ import annotations

import copy
import io
import logging
import pickle
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import BatchSampler, Dataset, IterableDataset, RandomSampler, WeightedRandomSampler
from torchdata.stateful_dataloader import StatefulDataLoader

from ignite_signals.engine import DeterministicEngine, Engine, Events
from ignite_signals.engine.random_states import get_rng_states, set_rng_states

# What torchdata 0.11 calls of torch, torch 2.9 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")

Log = list[tuple[Any, ...]]
COMPLETE = Events.ITERATION_COMPLETED


def draw() -> tuple[float, float]:
    return random.random(), torch.rand(()).item()


class Augmented(Dataset):  # type: ignore[type-arg]
    """Samples that are changed at random, and a list of those that were loaded."""

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> torch.Tensor:
        self.loaded.append(index)
        return torch.tensor([index, *draw()], dtype=torch.float64)


class Lists(Augmented):
    """Samples by lists of indices."""

    def __getitem__(self, index: Any) -> torch.Tensor:
        return torch.stack([super(Lists, self).__getitem__(each) for each in index])


class Stream(IterableDataset):  # type: ignore[type-arg]
    """A stream that knows how far it is, and the random numbers with which it goes on."""

    def __init__(self, rng: bool = True, length: int = 7) -> None:
        self.index = 0
        self.rng = rng
        self.length = length
        self.loaded: list[int] = []

    def __iter__(self) -> Iterator[torch.Tensor]:
        worker = torch.utils.data.get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        while self.index * step + number < self.length:
            self.loaded.append(self.index)
            self.index += 1
            yield torch.tensor([(self.index - 1) * step + number, *draw()], dtype=torch.float64)
        self.index = 0

    def state_dict(self) -> dict[str, Any]:
        return {"index": self.index} | ({"rng": get_rng_states()} if self.rng else {})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.index = state["index"]
        set_rng_states(state.get("rng"))


class Walk(Stream):
    """A stream whose iterator has the state."""

    state_dict = load_state_dict = None

    def __iter__(self) -> Any:
        return Steps()


class Steps:
    def __init__(self) -> None:
        worker = torch.utils.data.get_worker_info()
        self.index, self.step = (worker.id, worker.num_workers) if worker else (0, 1)

    def __iter__(self) -> Steps:
        return self

    def __next__(self) -> torch.Tensor:
        if self.index >= 7:
            raise StopIteration
        self.index += self.step
        return torch.tensor([self.index - self.step, *draw()], dtype=torch.float64)

    def state_dict(self) -> dict[str, Any]:
        return {"index": self.index, "rng": get_rng_states()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.index = state["index"]
        set_rng_states(state["rng"])


class Plain(IterableDataset):  # type: ignore[type-arg]
    """A stream that does not know how far it is."""

    def __iter__(self) -> Iterator[torch.Tensor]:
        for index in range(7):
            yield torch.tensor([index, *draw()], dtype=torch.float64)


class OwnBatches:
    """A batch sampler of the user's own, whose iterator has no state; it draws once."""

    def __iter__(self) -> Iterator[list[int]]:
        order = torch.randperm(7).tolist()
        return iter([order[:3], order[3:6], order[6:]])

    def __len__(self) -> int:
        return 3


class StatefulBatches(OwnBatches):
    """A batch sampler with a state, which is that of its pass."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.at = 0
        self.loaded = False

    def __iter__(self) -> Iterator[list[int]]:
        if not self.loaded:
            self.order, self.at = torch.randperm(7).tolist(), 0
        self.loaded = False
        while self.at < 3:
            self.at += 1
            yield self.order[3 * (self.at - 1) : 3 * self.at]

    def state_dict(self) -> dict[str, Any]:
        return {"order": self.order, "at": self.at}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.order, self.at, self.loaded = state["order"], state["at"], True


class Own:
    """Data of the user's own: an order that goes on from pass to pass, and a place in it."""

    def __init__(self, length: int = 3) -> None:
        self.length = length
        self.generator = random.Random(5)
        self.order = self.generator.sample(range(100), length)
        self.at = 0
        self.given: list[int] = []

    def __iter__(self) -> Iterator[tuple[int, float]]:
        while self.at < self.length:
            self.at += 1
            self.given.append(self.order[self.at - 1])
            yield self.given[-1], random.random()
        self.at, self.order = 0, self.generator.sample(range(100), self.length)

    def state_dict(self) -> dict[str, Any]:
        return {"order": self.order, "at": self.at, "generator": self.generator.getstate()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        version, internal, gauss = state["generator"]
        self.order, self.at = state["order"], state["at"]
        self.generator.setstate((version, tuple(internal), gauss))


class Sized(Own):
    def __len__(self) -> int:
        return self.length


class OwnIterator:
    """An iterator with a state, without an end."""

    def __init__(self) -> None:
        self.index = 0

    def __iter__(self) -> OwnIterator:
        return self

    def __next__(self) -> tuple[int, float]:
        self.index += 1
        return self.index, random.random()

    def state_dict(self) -> dict[str, Any]:
        return {"index": self.index}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.index = state["index"]


def loader(dataset: Callable[[], Any], *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: StatefulDataLoader(dataset(), *arguments, **options)


DATA: dict[str, Callable[[], Any]] = {
    "shuffled": loader(Augmented, 3, shuffle=True),
    "generator": lambda: StatefulDataLoader(Augmented(), 3, shuffle=True, generator=torch.Generator().manual_seed(1)),
    "weighted": lambda: StatefulDataLoader(Augmented(), 3, sampler=WeightedRandomSampler([1.0] * 7, 7)),
    "plain batches": lambda: StatefulDataLoader(
        Augmented(), batch_sampler=BatchSampler(RandomSampler(range(7)), 3, drop_last=False)
    ),
    "own batches": lambda: StatefulDataLoader(Augmented(), batch_sampler=OwnBatches()),
    "stateful batches": lambda: StatefulDataLoader(Augmented(), batch_sampler=StatefulBatches()),
    "single samples": loader(Augmented, batch_size=None, shuffle=True),
    "plain single samples": lambda: StatefulDataLoader(Augmented(), batch_size=None, sampler=RandomSampler(range(7))),
    "stream": loader(Stream, 3),
    "stream without numbers": loader(lambda: Stream(rng=False), 3),
    "walk": loader(Walk, 3),
    "plain stream": loader(Plain, 3),
    "own": Own,
    "sized": Sized,
    "iterator": OwnIterator,
}
WORKERS: dict[str, Callable[[], Any]] = {
    "shuffled": loader(Augmented, 3, shuffle=True, num_workers=2),
    "persistent": loader(Augmented, 3, shuffle=True, num_workers=2, persistent_workers=True),
    "rarely saved": loader(Augmented, 1, shuffle=True, num_workers=2, snapshot_every_n_steps=3),
    "own batches": lambda: StatefulDataLoader(Augmented(), batch_sampler=OwnBatches(), num_workers=2),
    "weighted": lambda: StatefulDataLoader(Augmented(), 3, sampler=WeightedRandomSampler([1.0] * 7, 7), num_workers=2),
    "stateful batches": lambda: StatefulDataLoader(Augmented(), batch_sampler=StatefulBatches(), num_workers=2),
    "lists of indices": lambda: StatefulDataLoader(
        Lists(), None, sampler=BatchSampler(RandomSampler(range(7)), 3, drop_last=False), num_workers=2
    ),
    "stream": loader(lambda: Stream(length=8), 2, num_workers=2),
    "persistent stream": loader(lambda: Stream(length=8), 2, num_workers=2, persistent_workers=True),
    "walk": loader(Walk, 2, num_workers=2),
    "plain stream": loader(Plain, 2, num_workers=2),
}


def trainer(log: Log) -> DeterministicEngine:
    def step(engine: Engine, batch: Any) -> None:
        seen = batch.tolist() if isinstance(batch, torch.Tensor) else batch
        log.append((engine.state.epoch, engine.state.iteration, seen, draw()))

    engine = DeterministicEngine(step)
    for event in (Events.GET_BATCH_STARTED, Events.EPOCH_COMPLETED, Events.DATALOADER_STOP_ITERATION):
        engine.add_event_handler(event, draw)
    return engine


def through_a_file(saved: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(saved, file)
    file.seek(0)
    return torch.load(file, weights_only=True)  # type: ignore[no-any-return]


def straight(
    data: Any, epochs: int = 3, length: int | None = None, event: Events = COMPLETE
) -> tuple[Log, dict[int, dict[str, Any]]]:
    """Run without a stop, and return what was seen and the state of each iteration."""
    torch.manual_seed(3)
    random.seed(3)
    log: Log = []
    states: dict[int, dict[str, Any]] = {}
    engine = trainer(log)

    def save(engine: Engine) -> None:
        states[engine.state.iteration] = engine.state_dict()

    engine.add_event_handler(event, save)
    # After what the receivers of the epoch's end drew, which a resumed run does not send again.
    engine.add_event_handler(Events.EPOCH_COMPLETED, save)
    engine.run(data, max_epochs=epochs, epoch_length=length)
    return log, states


def resumed(data: Any, saved: dict[str, Any], **limits: Any) -> Log:
    """Load a state in what might be another process, with other random numbers, and run to the end."""
    torch.manual_seed(99)
    random.seed(99)
    log: Log = []
    engine = trainer(log)
    engine.load_state_dict(through_a_file(saved))
    engine.run(data, **limits)
    return log


def indices(log: Log) -> list[Any]:
    """Return which samples were seen in each iteration, and not how they were changed."""
    return [(entry[1], [row[0] for row in entry[2]] if isinstance(entry[2], list) else entry[2][0]) for entry in log]


@pytest.fixture(autouse=True)
def _quiet_torchdata(caplog):
    """torchdata warns of streams without a state by its logger."""
    caplog.set_level(logging.ERROR, "torchdata")


@pytest.mark.parametrize("length", [None, 2, 5])
@pytest.mark.parametrize("kind", DATA)
def test_a_resumed_run_is_the_one_that_was_never_stopped(kind, length):
    """From each iteration and each end of an epoch on, with epochs of any length."""
    if kind == "iterator":
        length = length or 3
    log, states = straight(DATA[kind](), 3, length)
    assert len(log) == max(states)
    for iteration, saved in states.items():
        if iteration < len(log):
            assert "data" in saved
            assert log[iteration:] == resumed(DATA[kind](), saved), iteration


@pytest.mark.parametrize("kind", WORKERS)
def test_workers_are_resumed_exactly(kind):
    """What workers draw at random for samples by index, and for a stream that saves its random numbers, is the same."""
    lengths = {"stream": 4, "persistent stream": 4, "walk": 4, "plain stream": 8}
    log, states = straight(WORKERS[kind](), 2, lengths.get(kind))
    for iteration, saved in states.items():
        if iteration < len(log):
            assert log[iteration:] == resumed(WORKERS[kind](), saved), iteration


@pytest.mark.parametrize("dataset", [Augmented, Stream])
def test_nothing_is_loaded_twice(dataset):
    """A resumed run loads what was not taken, once."""
    data = StatefulDataLoader(dataset(), 2, shuffle=None)
    _, states = straight(data, 1, 4)
    again = StatefulDataLoader(dataset(), 2, shuffle=None)
    resumed(again, states[2])
    assert [4, 5, 6] == again.dataset.loaded


def test_own_data_gives_nothing_twice():
    """Data of the user's own is iterated from the place that it was brought back to."""
    data = Own()
    straight(data, 2)
    again = Own()
    _, states = straight(again, 1)
    last = Own()
    resumed(last, states[1] | {"max_epochs": 2})
    assert data.given[1:] == last.given


def test_a_loader_stays_as_it_is():
    """The engine uses the user's own object, whose state the user may save, and puts nothing in place of its parts."""
    data = DATA["shuffled"]()
    sampler = data.batch_sampler
    engine = trainer([])
    engine.run(data, max_iters=2)
    assert engine.state.dataloader is data
    assert data.batch_sampler is sampler
    bare = DATA["shuffled"]()
    bare.load_state_dict(engine.state_dict()["data"])
    assert 1 == len(list(bare))


def test_a_state_of_a_bare_loader_is_understood():
    """What a StatefulDataLoader saved without the engine gives the same order with it."""
    data = DATA["shuffled"]()
    batches = iter(data)
    next(batches)
    saved = data.state_dict()
    expected = [batch[:, 0].tolist() for batch in batches]
    other = DATA["shuffled"]()
    other.load_state_dict(saved)
    engine = DeterministicEngine(lambda engine, batch: seen.append(batch[:, 0].tolist()))
    seen: list[Any] = []
    engine.run(other, max_iters=2)
    assert expected == seen


def test_the_states_of_a_pass_do_not_change_later():
    """A saved state is a copy."""
    _, states = straight(Own(), 1)
    assert [1, 2] == [states[iteration]["data"]["at"] for iteration in (1, 2)]


def test_a_state_is_saved_only_where_it_fits_the_iteration():
    """Between getting a batch and its iteration there is none, and the state is that of the last iteration."""
    log, states = straight(DATA["shuffled"](), 1, event=Events.GET_BATCH_COMPLETED)
    assert "data" not in states[1]
    assert indices(log[1:]) == indices(resumed(DATA["shuffled"](), states[1]))


@pytest.mark.parametrize("kind", ["shuffled", "stream"])
def test_an_older_file_is_resumed_by_skipping(kind, caplog):
    """Without a state of the data it is skipped forward, with a word."""
    log, states = straight(DATA[kind](), 2, 3)
    del states[2]["data"]
    with caplog.at_level(logging.INFO):
        assert log[2:] == resumed(DATA[kind](), states[2])
    assert "StatefulDataLoader cannot go to a batch: skipping 2 of them, one by one" in caplog.messages


def test_other_data_is_skipped_in_place_of_it():
    """A state of data that has none now is of no use, and in no way."""
    _, states = straight(Sized(), 1)
    log = resumed([1, 2, 3], states[2])
    assert [3] == [entry[2] for entry in log]


@pytest.mark.parametrize("event", [Events.STARTED, Events.EPOCH_STARTED, Events.GET_BATCH_STARTED])
@pytest.mark.parametrize("kind", ["shuffled", "own", "iterator"])
def test_a_resumed_run_may_be_saved_before_its_first_batch(kind, event):
    """The state is then the one that was loaded."""
    log, states = straight(DATA[kind](), 2, 3)
    saved: list[Any] = []
    engine = trainer([])
    engine.load_state_dict(through_a_file(states[2]))
    engine.add_event_handler(event, lambda engine: saved.append(engine.state_dict()) or engine.terminate())
    if event is Events.GET_BATCH_STARTED:
        engine.remove_event_handler(draw, event)
    engine.run(DATA[kind]())
    assert log[2:] == resumed(DATA[kind](), saved[0])


@pytest.mark.parametrize("stop", ["interrupt", "fail", "fail with a batch", "max_iters"])
@pytest.mark.parametrize("kind", ["shuffled", "stream", "own", "sized", "iterator"])
@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_an_engine_goes_on_in_the_same_process(kind, stop, at):
    """Interrupted, failed or cut short, it goes on with the same batches and random numbers."""
    torch.manual_seed(3)
    random.seed(3)
    expected: Log = []
    trainer(expected).run(DATA[kind](), max_iters=8, epoch_length=4)
    torch.manual_seed(3)
    random.seed(3)
    log: Log = []
    engine, data = trainer(log), DATA[kind]()

    def halt(engine: Engine) -> None:
        if stop == "interrupt":
            engine.interrupt()
        elif "fail" in stop:
            raise OSError("the disk is full")

    with_a_batch = Events.GET_BATCH_COMPLETED(event_filter=lambda engine, done: done == at - 1)
    event = with_a_batch if stop == "fail with a batch" else Events.ITERATION_COMPLETED(once=at)
    handle = engine.add_event_handler(event, halt)
    engine.add_event_handler(Events.EXCEPTION_RAISED, lambda engine, error: None)
    engine.run(data, max_iters=at if stop == "max_iters" else 8, epoch_length=4)
    handle.remove()
    draw()
    engine.run(data, max_iters=8)
    if stop == "fail with a batch":  # at GET_BATCH_STARTED random numbers were drawn, and are drawn again
        assert indices(expected) == indices(log)
    else:
        assert expected == log


@pytest.mark.parametrize("kind", ["shuffled", "stream", "own", "iterator"])
def test_an_epoch_that_is_cut_short_is_resumed_after(kind):
    """After `terminate_epoch` the data is iterated anew, also by a run that is resumed there."""

    def run(saved: Any = None) -> tuple[Log, list[Any]]:
        torch.manual_seed(3)
        random.seed(3)
        log: Log = []
        states: list[Any] = []
        engine = trainer(log)
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.terminate_epoch())
        engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: states.append(engine.state_dict()))
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: states.append(engine.state_dict()))
        if saved is not None:
            engine.load_state_dict(through_a_file(saved))
        engine.run(DATA[kind](), max_epochs=3, epoch_length=3)
        return log, states

    log, states = run()
    assert log[2:] == run(states[0])[0]  # asked for
    assert log[2:] == run(states[1])[0]  # and done
    assert log[5:] == run(states[2])[0]


@pytest.mark.parametrize("kind", ["shuffled", "stream", "own", "iterator"])
def test_an_epoch_that_is_cut_before_its_data_is_opened_leaves_the_data_where_it_is(kind):
    """A resumed run, too, goes on from the state that the data has there."""

    def run(saved: Any = None) -> tuple[Log, list[Any]]:
        torch.manual_seed(3)
        random.seed(3)
        log: Log = []
        states: list[Any] = []
        engine = trainer(log)
        engine.add_event_handler(
            Events.GET_BATCH_STARTED, lambda engine: engine.terminate_epoch() if engine.state.epoch == 2 else None
        )
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: states.append(engine.state_dict()))
        if saved is not None:
            engine.load_state_dict(through_a_file(saved))
        engine.run(DATA[kind](), max_epochs=4, epoch_length=2)
        return log, states

    log, states = run()
    assert 6 == len(log)
    assert [entry[2] for entry in log[2:]] == [entry[2] for entry in run(states[0])[0]]


@pytest.mark.parametrize("way", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_a_copy_goes_on_at_the_same_place(way):
    """A copy between two runs brings other data to the place."""
    engine = DeterministicEngine(kept_step)
    engine.run(DATA["shuffled"](), max_iters=2)
    other = way(engine)
    assert engine.run(DATA["shuffled"](), max_iters=3).output == other.run(DATA["shuffled"](), max_iters=3).output


def kept_step(engine: Engine, batch: Any) -> Any:
    return batch.tolist(), draw()


class Broken(Sized):
    def state_dict(self) -> dict[str, Any]:
        raise OSError("no state")


class Refusing(Sized):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        raise KeyError("order")


def test_data_that_refuses_its_state_is_named():
    """The exception of the data leaves the run with a note."""
    _, states = straight(Sized(), 1)
    with pytest.raises(KeyError, match="order") as caught:
        resumed(Refusing(), states[2])
    note = "when the data, a Refusing, was to go on from the state that it had saved"
    assert note in caught.value.__notes__


def test_data_that_does_not_tell_its_state_is_named(caplog):
    """Saving fails with a note; a run that is not saved comes to its end, with a warning."""
    with pytest.raises(OSError, match="no state") as caught:
        straight(Broken(), 1)
    assert "when the data, a Broken, was to save its state" in caught.value.__notes__
    log: Log = []
    with caplog.at_level(logging.WARNING):
        trainer(log).run(Broken())
    assert 3 == len(log)
    assert "the data does not tell its state: a run that goes on will skip to it" in caplog.messages


def test_data_may_be_set_in_a_run():
    """`set_data` begins a pass over other data, which is saved and resumed as any."""
    log: Log = []
    states: list[Any] = []
    torch.manual_seed(3)
    engine = trainer(log)
    engine.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda engine: engine.set_data(DATA["shuffled"]()))
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: states.append(engine.state_dict()))
    engine.run(Own(), max_epochs=2, epoch_length=3)
    assert log[3:] == resumed(DATA["shuffled"](), states[2])


def test_a_copy_of_a_run_that_failed_with_a_batch_skips_to_its_place():
    """The batch that was got stays with the original, and the state of the data is one of after it."""
    engine = DeterministicEngine(kept_step)
    engine.add_event_handler(Events.GET_BATCH_COMPLETED(once=2), lambda engine: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        engine.run(DATA["shuffled"](), max_iters=3)
    other = copy.deepcopy(engine)
    for each in (engine, other):
        each.remove_event_handler(each.signals["get_batch_completed"].connections()[0].handler, "get_batch_completed")
    first, second = (each.run(each.state.dataloader or DATA["shuffled"]()).output[0] for each in (engine, other))
    assert [row[0] for row in first] == [row[0] for row in second]


def test_a_pass_that_has_not_begun_is_not_left():
    """An epoch that is ended before its first batch leaves the data as it was."""
    log: Log = []
    engine = trainer(log)
    engine.add_event_handler(Events.EPOCH_STARTED(once=1), lambda engine: engine.terminate_epoch())
    engine.run(Sized(), max_epochs=2)
    assert {"pass": 0, "taken": 3} == engine.state_dict()["dataflow"]
    assert 3 == len(log)
