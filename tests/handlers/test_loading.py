"""Loading gives a checkpoint's states to the objects that they are of, or changes none of them."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ignite_signals.engine import Engine
from ignite_signals.exceptions import DamagedCheckpointError
from ignite_signals.handlers import Checkpoint, DiskSaver, loading


class Fussy:
    """Refuse a state of its own accord."""

    def __init__(self) -> None:
        self.value = 0

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value}

    def load_state_dict(self, state: Any) -> None:
        if not isinstance(state["value"], int):
            raise TypeError("value must be an int")
        self.value = state["value"]


class Renaming(nn.Linear):
    """Load the keys that an older version of it had."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any) -> None:
        state_dict[f"{prefix}weight"] = state_dict.pop(f"{prefix}old_weight").reshape(2, 3)
        super()._load_from_state_dict(state_dict, prefix, *args)


def network(width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Linear(3, width), nn.BatchNorm1d(width), nn.Linear(width, 2))


def trained(width: int = 4, steps: int = 2) -> dict[str, Any]:
    """Return a model, an optimizer with a state, a trainer after some iterations and more."""
    torch.manual_seed(steps)
    model = network(width)
    optimizer = torch.optim.Adam(model.parameters())

    def step(engine: Engine, batch: Any) -> None:
        model(torch.randn(5, 3)).sum().backward()
        optimizer.step()

    trainer = Engine(step)
    trainer.run(range(steps), max_epochs=1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    return {"model": model, "optimizer": optimizer, "trainer": trainer, "scheduler": scheduler, "fussy": Fussy()}


def states(objects: dict[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(loading.unwrapped(each).state_dict()) for name, each in objects.items()}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@pytest.mark.parametrize("kind", [str, Path, dict])
def test_objects_are_as_they_were_when_they_were_saved(kind, tmp_path):
    """From a path or from the states themselves; what is not asked for is left out."""
    before = trained(steps=3)
    checkpoint: Any = states(before)
    if kind is not dict:
        DiskSaver(tmp_path)(checkpoint, "x.pt")
        checkpoint = kind(tmp_path / "x.pt")
    after = trained(steps=1)
    loading.load(after, checkpoint)
    assert same(states(before), states(after))
    other = trained(steps=1)
    loading.load({"model": other["model"]}, checkpoint)
    assert same(states(before)["model"], states(other)["model"])


def test_a_single_object_may_be_loaded_from_its_own_state(tmp_path):
    """A checkpoint of one object is its state; whatever it is called."""
    model = network()
    DiskSaver(tmp_path)(model.state_dict(), "x.pt")
    other = network()
    loading.load({"any name": other}, tmp_path / "x.pt")
    assert same(model.state_dict(), other.state_dict())


@pytest.mark.parametrize("wrapped", ["saved", "loaded", "both"])
def test_a_parallel_model_is_the_model_in_it(wrapped, tmp_path):
    """What was saved of a parallel model loads into a plain one, and the other way round."""
    model, other = network(), network()
    source = nn.DataParallel(model) if wrapped != "loaded" else model
    target = nn.DataParallel(other) if wrapped != "saved" else other
    checkpoint = Checkpoint({"model": source, "fussy": Fussy()}, tmp_path)
    checkpoint(Engine(lambda engine, batch: None))
    Checkpoint.load_objects({"model": target, "fussy": Fussy()}, tmp_path / checkpoint.last_checkpoint)
    assert same(model.state_dict(), other.state_dict())


def test_a_distributed_model_is_the_model_in_it(tmp_path):
    """So it is with DistributedDataParallel."""
    model = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)
    nn.Module.__init__(model)
    model.module = inner = nn.Linear(3, 2)
    loading.load({"model": model}, {"model": {"weight": torch.ones(2, 3), "bias": torch.zeros(2)}})
    assert torch.equal(torch.ones(2, 3), inner.weight)


def without(state: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != key}


MODEL = network().state_dict()
OTHER_SHAPE = MODEL | {"0.weight": torch.ones(4, 7)}
GROUPS = torch.optim.SGD([{"params": [p], "lr": 1.0} for p in network().parameters()]).state_dict()
MUST = "checkpoint must be of such a model, got a state of 'model' that lacks"
GROUPED = "checkpoint must be of such an optimizer, got groups of"
SHAPED = "checkpoint must be of a model of this shape, got"
BUILD = "build the model as it was when it was saved"
BUILD_OPTIMIZER = "build the optimizer as it was when it was saved"

REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no model": (
        {"model": None},
        TypeError,
        "checkpoint['model'] must be a mapping, as state_dict() returns, got None",
    ),
    "a number for a model": (
        {"model": 3},
        TypeError,
        "checkpoint['model'] must be a mapping, as state_dict() returns, got 3",
    ),
    "a list for a model": (
        {"model": [1]},
        TypeError,
        "checkpoint['model'] must be a mapping, as state_dict() returns, got [1]",
    ),
    "another shape": (
        {"model": OTHER_SHAPE},
        ValueError,
        f"{SHAPED} '0.weight' of 'model' with shape (4, 7), not (4, 3); {BUILD}",
    ),
    "one number for many": (
        {"model": MODEL | {"0.bias": torch.ones(1)}},
        ValueError,
        f"{SHAPED} '0.bias' of 'model' with shape (1,), not (4,); {BUILD}",
    ),
    "a number for a tensor": (
        {"model": MODEL | {"2.bias": 3}},
        TypeError,
        "checkpoint['model']['2.bias'] must be a tensor, got 3",
    ),
    "a missing key": (
        {"model": without(MODEL, "2.bias")},
        ValueError,
        f"{MUST} '2.bias' and has nothing too much; {BUILD}, or give strict=False",
    ),
    "keys of a parallel model": (
        {"model": {f"module.{key}": value for key, value in MODEL.items()}},
        ValueError,
        (
            f"{MUST} '0.weight', '0.bias', '1.weight', '1.bias' and 4 more and has 'module.0.weight', 'module.0.bias', "
            f"'module.1.weight', 'module.1.bias' and 5 more too much; {BUILD}, or give strict=False"
        ),
    ),
    "an unexpected key": (
        {"model": MODEL | {"3.bias": torch.ones(1)}},
        ValueError,
        f"{MUST} nothing and has '3.bias' too much; {BUILD}, or give strict=False",
    ),
    "no optimizer": (
        {"optimizer": None},
        TypeError,
        "checkpoint['optimizer'] must be a mapping, as state_dict() returns, got None",
    ),
    "a model for an optimizer": (
        {"optimizer": {"weight": torch.ones(1)}},
        ValueError,
        "checkpoint['optimizer'] must be the state of an optimizer, got the keys 'weight'",
    ),
    "nothing for an optimizer": (
        {"optimizer": {}},
        ValueError,
        "checkpoint['optimizer'] must be the state of an optimizer, got the keys nothing",
    ),
    "no groups": (
        {"optimizer": {"state": {}, "param_groups": None}},
        ValueError,
        "checkpoint['optimizer'] must be the state of an optimizer, got the keys 'state', 'param_groups'",
    ),
    "more groups": (
        {"optimizer": GROUPS},
        ValueError,
        f"{GROUPED} [1, 1, 1, 1, 1, 1] parameters for 'optimizer', not [6]; {BUILD_OPTIMIZER}",
    ),
    "fewer parameters": (
        {"optimizer": torch.optim.Adam(nn.Linear(1, 1).parameters()).state_dict()},
        ValueError,
        f"{GROUPED} [2] parameters for 'optimizer', not [6]; {BUILD_OPTIMIZER}",
    ),
    "another engine": (
        {"trainer": {"iteration": 3}},
        ValueError,
        "state_dict must have the keys 'epoch_length', got ['iteration']",
    ),
    "no engine": (
        {"trainer": None},
        TypeError,
        "state_dict must be a mapping, as engine.state_dict() returns, got None",
    ),
    "an object that refuses": ({"fussy": {"value": "x"}}, TypeError, "value must be an int"),
}


@pytest.mark.parametrize("from_file", [False, True], ids=["states", "file"])
@pytest.mark.parametrize(("changed", "error", "message"), REFUSED.values(), ids=list(REFUSED))
def test_a_refused_checkpoint_changes_nothing(changed, error, message, from_file, tmp_path):
    """Whichever object refuses its state, all are as before; the error names object and key, and its note the file."""
    objects = {name: each for name, each in trained(steps=1).items() if name != "scheduler"}
    objects["trainer"].state.metrics["x"] = 1
    before = states(objects)
    checkpoint: Any = states(trained(steps=4)) | changed
    if from_file:
        DiskSaver(tmp_path)(checkpoint, "x.pt")
        checkpoint = tmp_path / "x.pt"
    # The trainer is the first to be changed: of those that refuse by themselves only one can be.
    [name] = changed
    if name == "fussy":
        del objects["trainer"]
    with pytest.raises(error) as caught:
        loading.load(objects, checkpoint)
    assert message == str(caught.value)
    assert same({name: before[name] for name in objects}, states(objects))
    assert from_file == (f"while {tmp_path / 'x.pt'} was loaded" in getattr(caught.value, "__notes__", []))


ARGUMENTS: dict[str, tuple[Any, Any, type[Exception], str]] = {
    "no objects": (None, {}, TypeError, "to_load must map names to objects, as {'model': model} does, got None"),
    "a list of objects": ([], {}, TypeError, "to_load must map names to objects, as {'model': model} does, got []"),
    "an object that cannot load": (
        {"model": 3},
        {},
        TypeError,
        "to_load['model'] must have a method load_state_dict, got 3",
    ),
    "a class": (
        {"model": Fussy},
        {},
        TypeError,
        f"to_load['model'] must have a method load_state_dict, got {Fussy!r}",
    ),
    "no checkpoint": ({"a": Fussy()}, None, TypeError, "checkpoint must be a path or a mapping of states, got None"),
    "a number": ({"a": Fussy()}, 3, TypeError, "checkpoint must be a path or a mapping of states, got 3"),
    "a list": ({"a": Fussy()}, [1, 2], TypeError, "checkpoint must be a path or a mapping of states, got [1, 2]"),
    "other objects": (
        {"a": Fussy(), "b": Fussy()},
        {"b": {"value": 1}, "c": {}},
        ValueError,
        "checkpoint must have the states of ['a'], got those of ['b', 'c']",
    ),
}


@pytest.mark.parametrize(("to_load", "checkpoint", "error", "message"), ARGUMENTS.values(), ids=list(ARGUMENTS))
def test_wrong_arguments_are_named(to_load, checkpoint, error, message):
    """The error says which argument, its value, and what it must be."""
    with pytest.raises(error) as caught:
        loading.load(to_load, checkpoint)
    assert message == str(caught.value)


def test_an_unknown_keyword_changes_nothing():
    """A misspelt argument for a model is found before anything is loaded."""
    objects = trained(steps=1)
    before = states(objects)
    with pytest.raises(TypeError, match="unexpected keyword argument 'stict'"):
        loading.load(objects, states(trained(steps=2)), stict=False)
    assert same(before, states(objects))


def test_the_error_of_a_file_is_that_of_reading_it(tmp_path):
    """A missing file, a damaged one, one that would run code."""
    with pytest.raises(FileNotFoundError):
        loading.load({"a": Fussy()}, tmp_path / "x.pt")
    (tmp_path / "x.pt").write_bytes(b"")
    with pytest.raises(DamagedCheckpointError):
        loading.load({"a": Fussy()}, str(tmp_path / "x.pt"))
    torch.save({"value": print}, tmp_path / "x.pt")
    with pytest.raises(pickle.UnpicklingError, match="holds print, which might run code"):
        loading.load({"a": Fussy()}, tmp_path / "x.pt")
    torch.save([1], tmp_path / "x.pt")
    with pytest.raises(TypeError, match=r"must be a path or a mapping of states, got \[1\]"):
        loading.load({"a": Fussy()}, tmp_path / "x.pt")


def test_a_part_of_a_model_is_loaded_where_it_is_asked_for():
    """With strict=False keys may be missing or too many; shapes must be right all the same."""
    model = network()
    state = without(MODEL, "2.bias") | {"other": torch.ones(1)}
    loading.load({"model": model, "fussy": Fussy()}, {"model": state, "fussy": {"value": 1}}, strict=False)
    assert same(without(MODEL, "2.bias"), without(model.state_dict(), "2.bias"))
    before = states({"model": model})
    with pytest.raises(ValueError, match=r"'0\.weight' of 'model' with shape"):
        loading.load({"model": model}, {"model": {"0.bias": torch.ones(4), "0.weight": torch.ones(2)}}, strict=False)
    assert same(before, states({"model": model}))


def test_a_model_that_changes_keys_as_it_loads_is_let_alone():
    """A module with a loader or a hook of its own knows what it takes."""
    state = {"old_weight": torch.ones(6), "bias": torch.zeros(2)}
    model: nn.Module = Renaming(3, 2)
    loading.load({"model": model, "f": Fussy()}, {"model": dict(state), "f": {"value": 1}})
    hooked = nn.Sequential(nn.Linear(3, 2))
    hooked[0].register_load_state_dict_pre_hook(
        lambda module, state, *_: state.update({"0.weight": state.pop("0.old_weight").reshape(2, 3)})
    )
    loading.load({"m": hooked, "f": Fussy()}, {"m": {f"0.{k}": v for k, v in state.items()}, "f": {"value": 1}})
    assert [True, True] == [torch.equal(torch.ones(2, 3), each.weight) for each in (model, hooked[0])]


def test_lazy_models_take_the_shapes_of_the_checkpoint():
    """A model that has no shape yet gets it."""
    model = nn.Sequential(nn.LazyLinear(2))
    loading.load({"model": model}, {"model": {"0.weight": torch.ones(2, 3), "0.bias": torch.zeros(2)}})
    assert torch.equal(torch.ones(2, 3), model[0].weight)


def test_old_files_of_models_load():
    """A single number had one dimension once, and batch normalisation no count."""
    model = nn.Sequential(nn.BatchNorm1d(1))
    model.register_parameter("scale", nn.Parameter(torch.tensor(0.0)))
    state = without(model.state_dict(), "0.num_batches_tracked") | {"scale": torch.ones(1)}
    loading.load({"model": model, "f": Fussy()}, {"model": state, "f": {"value": 1}})
    assert 1.0 == model.scale.item()


def test_a_count_that_a_new_file_lacks_is_an_error_of_the_model():
    """Where torch itself refuses in the end, the error is torch's, with the object's name."""
    model = nn.Sequential(nn.BatchNorm1d(1))
    state = model.state_dict()
    del state["0.num_batches_tracked"]
    with pytest.raises(RuntimeError, match="Missing key") as caught:
        loading.load({"model": model}, {"model": state})
    assert ["while 'model' was loaded; give the object that the checkpoint was made of"] == caught.value.__notes__


def test_an_optimizer_that_loads_in_its_own_way_is_let_alone():
    """An optimizer with a hook for loading knows what it takes."""
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    state = {"mine": optimizer.state_dict() | {}}
    state["mine"]["param_groups"][0]["lr"] = 0.5
    optimizer.register_load_state_dict_pre_hook(lambda optimizer, state: state["mine"])
    loading.load({"optimizer": optimizer, "f": Fussy()}, {"optimizer": state, "f": {"value": 1}})
    assert 0.5 == optimizer.param_groups[0]["lr"]


def test_it_loads_what_ignite_saved(tmp_path):
    """A checkpoint of Ignite's Checkpoint gives our objects their states."""
    handlers, engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
    before, theirs = trained(steps=3), engine.Engine(lambda engine, batch: None)
    theirs.run(range(4), max_epochs=1)
    to_save = {"model": before["model"], "optimizer": before["optimizer"], "trainer": theirs}
    saver = handlers.Checkpoint(to_save, handlers.DiskSaver(str(tmp_path)))
    saver(theirs)
    after = trained(steps=1)
    loading.load({name: after[name] for name in to_save}, tmp_path / saver.last_checkpoint)
    assert same(states(before)["optimizer"], states(after)["optimizer"])
    assert 4 == after["trainer"].state.iteration


def test_a_model_that_replaces_loading_is_let_alone():
    """A model with a `load_state_dict` of its own is not looked at before."""

    class Own(nn.Linear):
        def load_state_dict(self, state: Any, strict: bool = True) -> None:  # type: ignore[override]
            nn.init.constant_(self.weight, state["all"])

    model = Own(2, 1)
    loading.load({"model": model, "f": Fussy()}, {"model": {"all": 3.0}, "f": {"value": 1}})
    assert [[3.0, 3.0]] == model.weight.tolist()
