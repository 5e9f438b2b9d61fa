"""EpochOutputStore keeps the outputs of an epoch."""

from __future__ import annotations

import copy
import io
import pickle
from typing import Any

import pytest
import torch

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import EpochOutputStore


def echo(engine: Engine, batch: Any) -> Any:
    """Return the batch, as a step."""
    return batch


def second(output: Any) -> Any:
    """Return the second part of an output."""
    return output[1]


def test_keeps_the_outputs_of_the_last_epoch() -> None:
    """Each epoch begins a new list, in the order of the iterations."""
    engine, store, seen = Engine(echo), EpochOutputStore(), []
    store.attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: seen.append(store.data))
    engine.run(iter(range(6)), max_epochs=2, epoch_length=3)

    assert [[0, 1, 2], [3, 4, 5]] == seen


def test_keeps_what_the_transform_makes() -> None:
    """output_transform chooses what is kept."""
    engine, store = Engine(echo), EpochOutputStore(second)
    store.attach(engine)
    engine.run([(1, 2), (3, 4)])

    assert [2, 4] == store.data


def test_gives_the_list_to_the_state_under_a_name() -> None:
    """At the end of an epoch the state has the list, before any other handler of that event."""
    engine, seen = Engine(echo), []
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: seen.append(engine.state.pairs))
    EpochOutputStore().attach(engine, "pairs")
    state = engine.run([1, 2])

    assert ([1, 2], [[1, 2]]) == (state.pairs, seen)


def test_the_name_may_be_that_of_the_output() -> None:
    """The state's output becomes the list, as in PyTorch-Ignite's example."""
    engine = Engine(echo)
    EpochOutputStore().attach(engine, "output")

    assert [1, 2] == engine.run([1, 2], max_epochs=2).output


@pytest.mark.parametrize("name", [None, "kept"])
def test_keeps_what_ignite_does(name: str | None) -> None:
    """The same run gives PyTorch-Ignite's list."""
    ignite, ignite_engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
    results = []
    for engine, store in (
        (ignite_engine.Engine(echo), ignite.EpochOutputStore(second)),
        (Engine(echo), EpochOutputStore(second)),
    ):
        store.attach(engine, name)
        state = engine.run([(1, 2), (3, 4), (5, 6)], max_epochs=2)
        results.append((store.data, getattr(state, "kept", None)))

    assert results[0] == results[1]


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_resumed_epoch_ends_with_all_its_outputs(cut: int) -> None:
    """Saved after any iteration and loaded by a new process, no output is missing and none is there twice."""
    saved: dict[str, Any] = {}

    def program(at: int) -> list[list[int]]:
        trainer, store, epochs = Engine(lambda engine, batch: engine.state.iteration), EpochOutputStore(), []
        store.attach(trainer)
        if saved:
            trainer.load_state_dict(saved["trainer"])
            store.load_state_dict(saved["store"])
        trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: epochs.append(store.data))

        @trainer.on(Events.ITERATION_COMPLETED(once=at))
        def save(engine: Engine) -> None:
            saved.update(trainer=trainer.state_dict(), store=copy.deepcopy(store.state_dict()))

        trainer.run(range(3), max_epochs=3)
        return epochs

    unbroken = program(cut)
    done = (cut - 1) // 3 if cut % 3 else cut // 3

    assert unbroken[done:] == program(100)


def test_a_state_of_a_finished_epoch_is_empty() -> None:
    """A checkpoint at the end of an epoch does not hold the data."""
    engine, store = Engine(echo), EpochOutputStore()
    store.attach(engine)
    engine.run([1, 2])

    assert ([1, 2], {"data": []}) == (store.data, store.state_dict())


def test_the_state_is_plain() -> None:
    """torch.load takes the state with weights_only where the outputs are plain."""
    engine, store, file = Engine(echo), EpochOutputStore(), io.BytesIO()
    store.attach(engine)
    engine.run([torch.tensor([1.0]), torch.tensor([2.0])], epoch_length=3, max_iters=2)
    torch.save(store.state_dict(), file)
    file.seek(0)

    assert {"data": [torch.tensor([1.0]), torch.tensor([2.0])]} == torch.load(file, weights_only=True)


def test_a_bad_state_changes_nothing() -> None:
    """What is no list is refused, and the data stay."""
    store = EpochOutputStore()
    store.data.append(1)
    with pytest.raises(ValueError, match=r"state_dict must have 'data', got \['outputs'\]"):
        store.load_state_dict({"outputs": []})
    with pytest.raises(TypeError, match=r"state_dict\['data'\] must be a list, got 3"):
        store.load_state_dict({"data": 3})

    assert [1] == store.data


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_a_copy_keeps_what_the_copy_of_the_engine_gives(copied: Any) -> None:
    """Copied with its engine, the store keeps a list of its own."""
    engine, store = Engine(echo), EpochOutputStore(second)
    store.attach(engine, "seconds")
    engine.run([(1, 2)])
    other_engine, other = copied((engine, store))
    other_engine.run([(3, 4)])

    assert ([2], [4], [4]) == (store.data, other.data, other_engine.state.seconds)


def test_refuses_what_is_no_name_or_function() -> None:
    """Wrong arguments are named, and nothing is attached."""
    engine = Engine(echo)
    with pytest.raises(TypeError, match="output_transform must be callable, got 3"):
        EpochOutputStore(3)  # type: ignore[arg-type]
    store = EpochOutputStore()
    with pytest.raises(TypeError, match="name must be the name of an attribute of the state, got 3"):
        store.attach(engine, 3)  # type: ignore[arg-type]

    assert not engine.has_event_handler(store.update)


def test_an_epoch_that_goes_on_keeps_its_first_part() -> None:
    """A run that is extended inside an epoch announces it again, and the outputs before are kept."""
    engine, store = Engine(lambda engine, batch: batch), EpochOutputStore()
    store.attach(engine, "outputs")
    data = list(range(6))
    engine.run(data, max_iters=3)

    assert [0, 1, 2] == store.data
    assert 6 == len(engine.run(data, max_iters=6).outputs)


def test_it_keeps_the_outputs_of_one_engine() -> None:
    """A second engine is refused, whose outputs would be among those of the first."""
    store = EpochOutputStore()
    store.attach(Engine(lambda engine, batch: batch))
    with pytest.raises(ValueError, match="engine must be the only one"):
        store.attach(Engine(lambda engine, batch: batch))
