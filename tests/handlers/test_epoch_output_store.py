"""EpochOutputStore keeps the outputs of an epoch."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
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
    done = (cut - 1) // 3  # the end of an epoch is told by the run that goes on

    assert unbroken[done:] == program(100)


def test_a_state_of_a_finished_epoch_is_empty() -> None:
    """A checkpoint at the end of an epoch does not hold the data."""
    engine, store = Engine(echo), EpochOutputStore()
    store.attach(engine)
    engine.run([1, 2])

    assert ([1, 2], {"data": []}) == (store.data, store.state_dict())


def test_the_state_is_plain(tmp_path: Path) -> None:
    """torch.load takes the state from a file with weights_only where the outputs are plain."""
    engine, store, other = Engine(echo), EpochOutputStore(), EpochOutputStore()
    store.attach(engine)
    engine.run([torch.tensor([1.0]), {"a": (torch.tensor([2.0]), None, 3)}, "b"], epoch_length=4, max_iters=3)
    torch.save(store.state_dict(), tmp_path / "store.pt")
    loaded = torch.load(tmp_path / "store.pt", weights_only=True)
    other.load_state_dict(loaded)

    assert {"data": [torch.tensor([1.0]), {"a": (torch.tensor([2.0]), None, 3)}, "b"]} == loaded
    assert loaded == other.state_dict()
    assert loaded["data"] is not other.data


def test_the_state_has_no_graph() -> None:
    """What is saved can be copied while the training goes on; what is kept has its graph."""
    engine, store = Engine(lambda engine, batch: [{"loss": batch * 2}, (batch * 3, 1)]), EpochOutputStore()
    store.attach(engine)
    engine.run([torch.tensor(1.0, requires_grad=True)], epoch_length=2, max_iters=1)
    state = copy.deepcopy(store.state_dict())

    assert {"data": [[{"loss": torch.tensor(2.0)}, (torch.tensor(3.0), 1)]]} == state
    assert not state["data"][0][0]["loss"].requires_grad
    assert store.data[0][0]["loss"].requires_grad


def test_two_stores_are_saved_under_their_names() -> None:
    """The name of the attachment tells one store's state from that of another, and None is no name."""
    engine, stores = Engine(echo), [EpochOutputStore(), EpochOutputStore()]
    before = [store.state_name for store in stores]
    stores[0].attach(engine)
    stores[1].attach(engine, "outputs")

    assert ([None, None], [None, "outputs"]) == (before, [store.state_name for store in stores])
    assert ["EpochOutputStore", "EpochOutputStore:outputs"] == list(engine.state_dict()["attached"])


@pytest.mark.parametrize("state", [None, 3, ["data"]])
def test_a_state_is_a_mapping(state: Any) -> None:
    """Anything else is refused by name, and the data stay."""
    store = EpochOutputStore()
    store.data.append(1)
    with pytest.raises(TypeError, match=r"state_dict must be a mapping, as EpochOutputStore.* returns, got "):
        store.load_state_dict(state)

    assert [1] == store.data


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
