"""What was loaded is put back where something else cannot be loaded."""

from __future__ import annotations

import copy
import functools
from typing import Any

import attrs
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import Checkpoint, EarlyStopping, EMAHandler, loading


class Counter:
    """Count; refuse a negative number, after it was taken."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: Any) -> None:
        self.value = state["value"]
        if self.value < 0:
            raise ValueError("value must not be negative")


class Stubborn(Counter):
    """Refuse its own state as well."""

    def load_state_dict(self, state: Any) -> None:
        self.value = -1
        raise ValueError("never")


class Mute:
    """Load, but save nothing."""

    value = 0

    def load_state_dict(self, state: Any) -> None:
        self.value = state["value"]


class Loader(DataLoader[Any]):
    """Be asked for nothing before it has begun, as torchdata's starts its workers then."""

    value = 0

    def state_dict(self) -> dict[str, Any]:
        raise AssertionError

    def load_state_dict(self, state: Any) -> None:
        self.value = state["value"]


def run(width: int) -> tuple[Engine, Any, Any, EMAHandler]:
    """Return an engine with two handlers that have a state, and a model; another one is averaged."""
    torch.manual_seed(width)
    model, averaged = nn.Linear(1, 1), nn.Linear(width, 1)
    trainer = Engine(lambda engine, batch: batch)
    stopping = EarlyStopping(3, lambda engine: -engine.state.epoch, trainer)
    stopping.attach(trainer, Events.EPOCH_COMPLETED)
    averaging = EMAHandler(averaged)
    averaging.attach(trainer)
    trainer.register_events("custom")
    return trainer, model, stopping, averaging


def seen(engine: Engine) -> Any:
    """Return all that an engine's attributes and its state say."""
    fields = {field.name: getattr(engine.state, field.name) for field in attrs.fields(type(engine.state))}
    own = {name: value for name, value in vars(engine).items() if name != "_waiting"}
    return copy.copy((fields | {"counters": dict(engine.state.counters)}, own, attrs.asdict(engine._place)))


@pytest.mark.parametrize("way", ["load_objects", "resume_from"])
def test_an_attached_object_that_refuses_leaves_all_as_it_was(way, tmp_path):
    """The engine and what is attached to it go back, though they were loaded before."""
    trainer, model, _, _ = run(2)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint({"model": model, "trainer": trainer}, tmp_path))
    trainer.run([0, 1], max_epochs=2)
    trainer, model, stopping, averaging = run(3)
    checkpoint = Checkpoint({"model": model, "trainer": trainer}, tmp_path)
    trainer.state.metrics["loss"] = 1
    trainer.state.mine = 2
    trainer.state.counters["custom"] = 7
    before = seen(trainer), stopping.state_dict(), copy.deepcopy(averaging.state_dict())
    weight = model.weight.clone()
    load = checkpoint.resume_from
    if way == "load_objects":
        to_load = {"trainer": trainer, "model": model}
        load = functools.partial(Checkpoint.load_objects, to_load, tmp_path / "checkpoint_4.pt")
    with pytest.raises(ValueError, match="must be of a model with the tensors of ema_model") as caught:
        load()
    assert not any("may have changed" in note for note in caught.value.__notes__)
    assert (before[0], before[1]) == (seen(trainer), stopping.state_dict())
    assert str(before[2]) == str(averaging.state_dict())
    assert (True, {"saved": []}) == (torch.equal(weight, model.weight), checkpoint.state_dict())


def test_averages_are_put_back_though_their_state_is_live():
    """What is remembered is a copy, which loading does not change."""
    trainer, _, _, averaging = run(2)
    other, _, _, _ = run(2)
    before = copy.deepcopy(averaging.ema_model.state_dict())
    saved = other.state_dict()
    for tensor in saved["attached"]["EMAHandler"]["ema_model"].values():
        tensor += 1
    with pytest.raises(ValueError, match="negative"):
        loading.load({"trainer": trainer, "counter": Counter()}, {"trainer": saved, "counter": {"value": -1}})
    assert str(before) == str(averaging.ema_model.state_dict())


def interrupted() -> Engine:
    trainer = Engine(lambda engine, batch: batch)
    trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), trainer.interrupt)
    trainer.run(range(10), max_epochs=1)
    return trainer


def finished() -> Engine:
    trainer = Engine(lambda engine, batch: batch)
    trainer.run(range(10), max_epochs=1)
    return trainer


@pytest.mark.parametrize("make", [lambda: Engine(lambda engine, batch: batch), interrupted, finished])
def test_the_next_run_is_that_of_an_engine_that_was_let_alone(make):
    """A new engine begins, one that was interrupted goes on in its data, one that is done begins again."""
    outcomes = []
    for refused in (False, True):
        trainer, batches = make(), []
        trainer.add_event_handler(
            Events.ITERATION_COMPLETED, lambda engine, to: to.append(engine.state.output), batches
        )
        if refused:
            saved = {"iteration": 7, "epoch_length": 10, "max_epochs": 3, "metrics": {"x": 1}, "place": PLACE}
            with pytest.raises(ValueError, match="negative"):
                loading.load({"trainer": trainer, "c": Counter()}, {"trainer": saved, "c": {"value": -1}})
        trainer.run(iter(range(20, 30)), max_epochs=1)
        outcomes.append((batches, trainer.state.metrics, trainer.state.epoch, trainer.state.iteration))
    assert outcomes[0] == outcomes[1]


PLACE = {"epochs": 0, "taken": 7, "output": 3}


def test_a_run_that_has_just_started_goes_on():
    """A refusal at STARTED that is dealt with changes nothing for the run."""
    trainer, refused = Engine(lambda engine, batch: batch), []

    @trainer.on(Events.STARTED)
    def resume(engine: Engine) -> None:
        saved = {"iteration": 7, "epoch_length": 10, "max_epochs": 3, "place": PLACE}
        try:
            loading.load({"trainer": engine, "c": Counter()}, {"trainer": saved, "c": {"value": -1}})
        except ValueError:
            refused.append(engine.state.iteration)

    state = trainer.run(range(4), max_epochs=2)
    assert ([0], 8, 2, 2) == (refused, state.iteration, state.epoch, state.max_epochs)


def test_objects_go_back_in_the_other_order():
    """An object that is attached and loaded by itself, too, goes back to where it was at the beginning."""
    trainer, counter = Engine(lambda engine, batch: None), Counter(5)
    trainer.register_stateful(counter)
    saved = trainer.state_dict() | {"attached": {"Counter": {"value": 6}}}
    states = {"trainer": saved, "counter": {"value": 7}, "last": {"value": -1}}
    with pytest.raises(ValueError, match="negative"):
        loading.load({"trainer": trainer, "counter": counter, "last": (last := Counter(2))}, states)
    assert (5, 2) == (counter.value, last.value)


def test_engines_that_are_attached_to_each_other_are_put_back_once():
    """An engine may be saved with another, and that with the first."""
    one, other = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)
    one.register_stateful(other)
    saved = {"iteration": 3, "epoch_length": 3, "max_epochs": 2}
    states = {"one": saved | {"attached": {"Engine": saved}}, "last": {"value": -1}}
    other.register_stateful(one)
    with pytest.raises(ValueError, match="negative"):
        loading.load({"one": one, "last": Counter()}, states)
    assert [0, 0] == [each.state.iteration for each in (one, other)]


def test_a_model_that_refuses_late_leaves_the_engine():
    """What goes before a model is put back, too, whoever refuses."""
    model = nn.Sequential(nn.BatchNorm1d(1))
    state = model.state_dict()
    del state["0.num_batches_tracked"]
    trainer = Engine(lambda engine, batch: None)
    saved = {"iteration": 3, "epoch_length": 3, "max_epochs": 2}
    with pytest.raises(RuntimeError, match="Missing key"):
        loading.load({"model": model, "trainer": trainer}, {"model": state, "trainer": saved})
    assert 0 == trainer.state.iteration


def test_what_cannot_be_put_back_is_named():
    """The notes of the error say which objects may have changed, and why; the others are put back."""
    objects = {"counter": Counter(4), "mute": Mute(), "stubborn": Stubborn(), "untouched": Counter(3)}
    with pytest.raises(ValueError, match="never") as caught:
        loading.load(objects, {name: {"value": 8} for name in objects})
    assert [
        "while 'stubborn' was loaded; give the object that the checkpoint was made of",
        "in 'stubborn', Stubborn may have changed: putting back its state failed: ValueError('never')",
        (
            "in 'mute', Mute may have changed: it could not tell its state before: "
            "AttributeError(\"'Mute' object has no attribute 'state_dict'\")"
        ),
    ] == caught.value.__notes__
    assert [4, 8, 3] == [objects[name].value for name in ("counter", "mute", "untouched")]


def test_a_loader_is_not_asked_and_goes_after_the_others():
    """Torchdata's would start its workers and draw random numbers; it is loaded when the others have been."""
    loader = Loader([1, 2])
    with pytest.raises(ValueError, match="negative"):
        loading.load({"loader": loader, "c": Counter()}, {"loader": {"value": 3}, "c": {"value": -1}})
    assert 0 == loader.value
    loading.load({"loader": loader, "c": Counter()}, {"loader": {"value": 3}, "c": {"value": 1}})
    assert 3 == loader.value
    trainer = Engine(lambda engine, batch: None)
    trainer.register_stateful(loader)
    with pytest.raises(ValueError, match="must have the keys") as caught:
        loading.load({"trainer": trainer}, {"trainer": {}})
    assert "in 'trainer', Loader may have changed: a loader is not asked for its state" in caught.value.__notes__


def test_an_interrupt_puts_back_too():
    """Ctrl-C in the middle of loading leaves no half of it."""

    class Interrupted(Counter):
        def load_state_dict(self, state: Any) -> None:
            super().load_state_dict(state)
            if self.value == 5:
                raise KeyboardInterrupt

    counter = Counter(4)
    with pytest.raises(KeyboardInterrupt):
        loading.load({"a": counter, "b": (other := Interrupted(3))}, {"a": {"value": 5}, "b": {"value": 5}})
    assert (4, 3) == (counter.value, other.value)
