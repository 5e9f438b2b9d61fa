"""EMAHandler keeps a smoothed copy of a model."""

from __future__ import annotations

import copy
import gc
import io
import pickle
import warnings
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ignite_signals.engine import Engine, Events
from ignite_signals.handlers import EMAHandler

HALVES = [torch.float16, torch.bfloat16]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def disturb(engine: Any, model: nn.Module) -> None:
    """Change all that a training step changes, in a way that the iteration decides."""
    generator = torch.Generator().manual_seed(engine.state.iteration)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean += 1.0
            module.num_batches_tracked += 1


def run(model: nn.Module, ema: Any, iterations: int = 5, engine: type = Engine, **attach: Any) -> Any:
    trainer = engine(lambda engine, batch: disturb(engine, model))
    ema.attach(trainer, **attach)
    trainer.run(range(iterations))
    return trainer


def assert_equal(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def assert_apart(one: nn.Module, other: nn.Module) -> None:
    """Show that two models share no memory, so that a change of one is none of the other."""
    places = {tensor.untyped_storage().data_ptr() for tensor in one.state_dict().values()}
    assert places.isdisjoint(tensor.untyped_storage().data_ptr() for tensor in other.state_dict().values())


@pytest.mark.parametrize("handle_buffers", ["copy", "update", "ema_train"])
@pytest.mark.parametrize("warmup", [{}, {"momentum_warmup": 0.5, "warmup_iters": 3}])
def test_it_averages_as_ignite_does(handle_buffers, warmup):
    """The average and the momentum are those of Ignite, for each way to treat buffers and with a warm-up."""
    ignite_handlers, ignite_engine = pytest.importorskip("ignite.handlers"), pytest.importorskip("ignite.engine")
    arguments = {"momentum": 0.1, "handle_buffers": handle_buffers} | warmup
    theirs = ignite_handlers.EMAHandler(network(), **arguments)
    expected = run(theirs.model, theirs, engine=ignite_engine.Engine).state.ema_momentum
    ours = EMAHandler(network(), **arguments)
    actual = run(ours.model, ours).state.ema_momentum
    assert expected == pytest.approx(actual, rel=1e-12)
    assert theirs.ema_model.training == ours.ema_model.training
    torch.testing.assert_close(theirs.ema_model.state_dict(), ours.ema_model.state_dict())


@settings(deadline=None, max_examples=50)
@given(momenta=st.lists(st.floats(0.01, 0.99), min_size=1, max_size=8), values=st.data())
def test_each_update_is_a_weighted_mean(momenta, values):
    """Whatever the momenta, an update is (1 - momentum) times the average plus momentum times the model."""
    model = nn.PReLU(init=1.0).double()
    ema, expected = EMAHandler(model), 1.0
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    for momentum in momenta:
        value = values.draw(st.floats(-10, 10))
        nn.init.constant_(model.weight, value)
        trainer.state.ema_momentum = momentum
        trainer.run([0])
        expected = (1 - momentum) * expected + momentum * value
    assert expected == pytest.approx(ema.ema_model.weight.item(), abs=1e-9)


def test_the_warm_up_is_linear_and_then_constant():
    """The first update has momentum_warmup, the one numbered warmup_iters and all later ones have momentum."""
    ema = EMAHandler(network(), momentum=0.1, momentum_warmup=0.5, warmup_iters=5)
    trainer, seen = Engine(lambda engine, batch: None), []
    ema.attach(trainer)
    assert 0.5 == trainer.state.ema_momentum
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: seen.append(engine.state.ema_momentum))
    trainer.run(range(7))
    assert [0.5, pytest.approx(0.4), pytest.approx(0.3), pytest.approx(0.2), 0.1, 0.1, 0.1] == seen


def test_the_warm_up_counts_updates():
    """With a filter, only the occurrences that update the average move the momentum on."""
    ema = EMAHandler(network(), momentum=0.1, momentum_warmup=0.3, warmup_iters=3)
    trainer = run(ema.model, ema, 4, event=Events.ITERATION_COMPLETED(every=2))
    assert (2, pytest.approx(0.2)) == (ema.updates, trainer.state.ema_momentum)


def test_a_warm_up_of_one_update_has_the_first_momentum():
    """A warm-up as short as can be is the first update."""
    ema = EMAHandler(network(), momentum=0.1, momentum_warmup=1.0, warmup_iters=1)
    trainer = run(ema.model, ema, 1)
    assert 1.0 == trainer.state.ema_momentum
    assert_equal(ema.model, ema.ema_model)


def test_training_is_the_same_with_and_without_it():
    """Weights, gradients, the optimizer's state, random numbers and modes are what they are without the average."""

    def train(average: bool) -> tuple[Any, ...]:
        model = network()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)

        def step(engine: Engine, batch: int) -> None:
            optimizer.zero_grad()
            model(torch.randn(8, 3)).square().mean().backward()
            optimizer.step()

        trainer = Engine(step)
        if average:
            EMAHandler(model, momentum=0.3).attach(trainer)
        trainer.run(range(4))
        gradients = [parameter.grad for parameter in model.parameters()]
        return model.state_dict(), gradients, optimizer.state_dict(), model.training, torch.rand(2)

    torch.testing.assert_close(train(average=False), train(average=True), rtol=0, atol=0)
    assert train(average=True)[3]


@pytest.mark.parametrize("handle_buffers", ["copy", "update", "ema_train"])
def test_nothing_is_shared_with_the_model(handle_buffers):
    """No tensor of the average lies in the memory of the model's."""
    ema = EMAHandler(network(), handle_buffers=handle_buffers)
    assert_apart(ema.model, ema.ema_model)
    run(ema.model, ema)
    assert_apart(ema.model, ema.ema_model)


def test_copied_buffers_are_those_of_the_last_update():
    """With "copy" the buffers are the model's at the update, whatever the model does to them after it."""
    ema = EMAHandler(network())
    run(ema.model, ema, 3)
    ema.model[1].running_mean.fill_(100.0)
    assert [3.0] * 4 == ema.ema_model[1].running_mean.tolist()
    assert 3 == ema.ema_model[1].num_batches_tracked


def test_averaged_buffers_leave_integers_whole():
    """With "update" floating-point buffers are averaged, and a count of batches is copied."""
    ema = EMAHandler(network(), momentum=0.5, handle_buffers="update")
    run(ema.model, ema, 2)
    assert [1.25] * 4 == ema.ema_model[1].running_mean.tolist()
    count = ema.ema_model[1].num_batches_tracked
    assert (2, torch.int64) == (count.item(), count.dtype)


def test_a_training_average_keeps_its_buffers():
    """With "ema_train" the average is in training mode and its buffers are its own."""
    ema = EMAHandler(network(), handle_buffers="ema_train")
    run(ema.model, ema)
    assert ema.ema_model.training
    assert [0.0] * 4 == ema.ema_model[1].running_mean.tolist()


def test_the_average_needs_no_gradients():
    """No parameter of the average asks for a gradient or has one, and the model's still do."""
    model = network()
    model(torch.randn(4, 3)).sum().backward()
    ema = EMAHandler(model)
    run(model, ema)
    assert {(False, None)} == {(parameter.requires_grad, parameter.grad) for parameter in ema.ema_model.parameters()}
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("dtype", HALVES)
def test_a_half_precision_average_moves(dtype):
    """A momentum whose steps are lost in the rounding of 16 bits still moves the average."""
    model = nn.PReLU(init=1.0).to(dtype)
    ema = EMAHandler(model, momentum=0.0002)
    nn.init.constant_(model.weight, 2.0)
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.run(range(3000))
    assert dtype == ema.ema_model.weight.dtype
    assert 2 - (1 - 0.0002) ** 3000 == pytest.approx(ema.ema_model.weight.item(), rel=2 * torch.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", HALVES)
def test_a_half_precision_average_takes_up_what_was_loaded_into_it(dtype):
    """Weights that are loaded into `ema_model` by hand are what the next update starts from."""
    model = nn.PReLU(init=0.0).to(dtype)
    ema = EMAHandler(model, momentum=0.5)
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.run([0])
    ema.ema_model.load_state_dict({"weight": torch.tensor([4.0])})
    trainer.run([0])
    assert 2.0 == ema.ema_model.weight.item()


def test_parameters_of_several_types_are_averaged():
    """Types may differ within a model; a complex parameter is averaged, one of integers copied."""
    model = nn.Module()
    model.a = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    model.b = nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))
    model.c = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    model.d = nn.Parameter(torch.zeros(2, dtype=torch.int32), requires_grad=False)
    ema = EMAHandler(model, momentum=0.5)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 4
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.run([0])
    assert [2, 2, 2, 4] == [parameter[0].item() for parameter in ema.ema_model.parameters()]


def test_shared_parameters_are_averaged_once():
    """Two modules that share a weight share its average."""
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[1].weight = model[0].weight
    nn.init.zeros_(model[0].weight)
    ema = EMAHandler(model, momentum=0.5)
    nn.init.constant_(model[0].weight, 4.0)
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.run([0])
    assert ema.ema_model[0].weight is ema.ema_model[1].weight
    assert [2.0] * 4 == ema.ema_model[1].weight.flatten().tolist()


class Marked(torch.Tensor):
    """A tensor of a class of its own, as sharded ones are."""

    def new_empty(self, *args: Any, **kwargs: Any) -> Marked:  # for deepcopy
        return torch.empty(*args, **kwargs).as_subclass(Marked)


def test_tensors_of_a_class_of_their_own_are_averaged():
    """A parameter that is a subclass of Tensor is averaged one by one, and keeps its class."""
    model = nn.Module()
    model.weight = nn.Parameter(torch.zeros(2).as_subclass(Marked))
    model.register_buffer("mean", torch.zeros(2).as_subclass(Marked))
    ema = EMAHandler(model, momentum=0.5)
    with torch.no_grad():
        model.weight += 4
        model.mean += 4
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.run([0])
    assert ([2.0, 2.0], [4.0, 4.0]) == (ema.ema_model.weight.tolist(), ema.ema_model.mean.tolist())
    assert isinstance(ema.ema_model.weight, Marked)


def test_one_call_averages_all_weights(monkeypatch):
    """All tensors of one type and device are averaged by one call, and copied by one."""
    calls = []

    def count(name: str) -> None:
        original = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *args, **kwargs: (calls.append(name), original(*args, **kwargs)))

    ema = EMAHandler(nn.Sequential(*[nn.BatchNorm1d(4) for _ in range(9)]))
    count("_foreach_lerp_")
    count("_foreach_copy_")
    run(ema.model, ema, 1)
    assert ["_foreach_lerp_", "_foreach_copy_", "_foreach_copy_"] == calls  # of floats and of counts


@pytest.mark.parametrize("handle_buffers", ["copy", "update"])
def test_an_update_does_not_wait_for_the_device(handle_buffers, monkeypatch):
    """No number of a tensor is read."""

    def refuse(*args: Any) -> None:
        raise AssertionError("a tensor was read")

    ema = EMAHandler(network().bfloat16(), momentum_warmup=0.5, warmup_iters=2, handle_buffers=handle_buffers)
    for name in ("item", "__bool__", "__float__", "tolist", "cpu", "numpy", "__int__"):
        monkeypatch.setattr(torch.Tensor, name, refuse)
    run(ema.model, ema, 3)
    assert 3 == ema.updates


def test_data_parallel_models_are_averaged_inside():
    """Of a DataParallel the average is one too; the module within is what is averaged."""
    model = nn.DataParallel(network())
    ema = EMAHandler(model, momentum=0.5)
    assert isinstance(ema.ema_model, nn.DataParallel)
    assert model is ema.model
    plain = EMAHandler(network(), momentum=0.5)
    run(model, ema)
    run(plain.model, plain)
    assert_equal(plain.ema_model, ema.ema_model.module)
    assert plain.state_dict().keys() == ema.state_dict().keys()
    assert plain.state_dict()["ema_model"].keys() == ema.state_dict()["ema_model"].keys()


def distributed_average(rank: int) -> tuple[bool, bool]:
    model = nn.parallel.DistributedDataParallel(network())
    ema = EMAHandler(model)
    run(model, ema, 2)
    return ema.model is model.module, isinstance(ema.ema_model, nn.parallel.DistributedDataParallel)


def test_distributed_models_are_averaged_inside(ranks):
    """Of a DistributedDataParallel the module is averaged, into a plain module."""
    assert [(True, False)] * 2 == ranks.run(distributed_average)


@pytest.mark.parametrize("dtype", [torch.float32, *HALVES])
@pytest.mark.parametrize("way", ["state_dict", "pickle", "deepcopy"])
def test_a_resumed_average_is_that_of_a_run_without_a_stop(dtype, way):
    """Saved in mid-warm-up and loaded, copied or pickled, it goes on to the same bits."""

    def fresh() -> EMAHandler:
        return EMAHandler(network().to(dtype), momentum=0.01, momentum_warmup=0.3, warmup_iters=6)

    straight, first, second = fresh(), fresh(), fresh()
    trainer = Engine(lambda engine, batch: disturb(engine, straight.model))
    straight.attach(trainer)
    trainer.run(range(4), max_epochs=2)
    cut = Engine(lambda engine, batch: disturb(engine, first.model))
    first.attach(cut)
    cut.run(range(4))
    if way == "state_dict":
        file = io.BytesIO()
        torch.save({"ema": first.state_dict(), "model": first.model.state_dict()}, file)
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        second.load_state_dict(saved["ema"])
        second.model.load_state_dict(saved["model"])
    else:
        second = copy.deepcopy(first) if way == "deepcopy" else pickle.loads(pickle.dumps(first))
        assert_apart(first.ema_model, second.ema_model)
    resumed = Engine(lambda engine, batch: disturb(engine, second.model))
    second.attach(resumed)
    resumed.load_state_dict(cut.state_dict())
    resumed.run(range(4), max_epochs=2)
    assert_equal(straight.ema_model, second.ema_model)
    assert trainer.state.ema_momentum == resumed.state.ema_momentum


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_two_handlers_share_nothing_after_loading(dtype):
    """A handler that loaded the live state of another is not moved by it."""
    first, second = (EMAHandler(network().to(dtype), momentum=0.3) for _ in range(2))
    trainer = run(first.model, first)
    second.load_state_dict(first.state_dict())
    before = copy.deepcopy(second.state_dict())
    trainer.run(range(3))
    torch.testing.assert_close(before, second.state_dict(), rtol=0, atol=0)


def test_a_momentum_that_was_set_comes_back():
    """Without a warm-up the momentum of the last update is saved, and the resumed engine has it."""
    first, second = EMAHandler(network()), EMAHandler(network())
    trainer = Engine(lambda engine, batch: None)
    first.attach(trainer)
    trainer.state.ema_momentum = 0.25
    trainer.run([0])
    resumed = Engine(lambda engine, batch: None)
    second.attach(resumed)
    second.load_state_dict(first.state_dict())
    resumed.run([0])
    assert 0.25 == resumed.state.ema_momentum
    resumed.state.ema_momentum = 0.5
    resumed.run([0])
    assert 0.5 == second.state_dict()["momentum"]


def loaded_trainer(order: str, momentum: float = 0.25) -> tuple[Engine, EMAHandler]:
    """Return a trainer whose handler has loaded a momentum, before it was attached or after that."""
    trained = EMAHandler(network(), momentum)
    ema, trainer = EMAHandler(network()), Engine(lambda engine, batch: None)
    saved = run(trained.model, trained, 1).state_dict()
    if order == "ema first":
        ema.load_state_dict(trained.state_dict())
    ema.attach(trainer)
    if order == "ema":
        ema.load_state_dict(trained.state_dict())
    if order == "trainer":
        trainer.load_state_dict(saved)
    if order == "copy":
        trainer = copy.deepcopy(trainer)
        trainer.load_state_dict(saved)
        [ema] = trainer_handlers(trainer)
    return trainer, ema


def trainer_handlers(trainer: Engine) -> list[EMAHandler]:
    connections = trainer.signals["iteration_completed"].connections()
    return [connection.handler.__self__ for connection in connections]


@pytest.mark.parametrize("order", ["ema first", "ema", "trainer", "copy"])
def test_a_loaded_momentum_is_that_of_the_next_update(order):
    """However it is loaded, the next update goes by the saved momentum, also where another was set before."""
    trainer, ema = loaded_trainer(order)
    trainer.run([0], max_epochs=2)
    assert (0.25, 0.25) == (trainer.state.ema_momentum, ema.state_dict()["momentum"])


@pytest.mark.parametrize("order", ["ema first", "ema", "trainer"])
@pytest.mark.parametrize("by_hand", [0.5, 0.0002])
def test_a_momentum_set_after_loading_wins(order, by_hand):
    """What the user sets between loading and the first update is what that update goes by, whatever it was before."""
    trainer, ema = loaded_trainer(order)
    assert 0.25 == trainer.state.ema_momentum
    trainer.state.ema_momentum = by_hand
    trainer.run([0], max_epochs=2)
    assert (by_hand, by_hand) == (trainer.state.ema_momentum, ema.state_dict()["momentum"])


def test_a_momentum_set_before_loading_loses():
    """The saved momentum takes the place of one that was set by hand earlier."""
    trained, ema, trainer = EMAHandler(network(), 0.25), EMAHandler(network()), Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.state.ema_momentum = 0.5
    ema.load_state_dict(trained.state_dict())
    assert 0.25 == trainer.run([0]).ema_momentum


@pytest.mark.parametrize("momentum", ["a", None, True, float("nan"), [0.5]])
def test_a_momentum_set_by_hand_is_a_number(momentum):
    """What is none is an error that names the attribute, and the average stays as it is."""
    ema, trainer = EMAHandler(network()), Engine(lambda engine, batch: None)
    ema.attach(trainer)
    trainer.state.ema_momentum = momentum
    with pytest.raises(ValueError, match=r"engine\.state\.ema_momentum must be a number, got "):
        trainer.run([0])
    assert 0 == ema.updates


def test_no_engine_is_kept_alive():
    """A trainer with the average is freed by reference counting, while the average lives."""
    gc.disable()
    try:
        ema = EMAHandler(network())
        gone = weakref.ref(run(ema.model, ema, 2))
        assert (None, 2) == (gone(), ema.updates)
    finally:
        gc.enable()


def test_two_averages_are_saved_under_their_names():
    """The name of the attachment tells one average's state from another's; the default name is none."""
    trainer, others = Engine(lambda engine, batch: None), Engine(lambda engine, batch: None)
    handlers = [EMAHandler(network(), momentum) for momentum in (0.1, 0.5)]
    handlers[0].attach(trainer)
    handlers[1].attach(trainer, "fast")
    assert [None, "fast"] == [handler.state_name for handler in handlers]
    assert ["EMAHandler", "EMAHandler:fast"] == list(trainer.state_dict()["attached"])
    loaded = [EMAHandler(network()), EMAHandler(network())]
    loaded[0].attach(others, "fast")
    loaded[1].attach(others)
    others.load_state_dict(trainer.state_dict())
    assert (0.1, 0.5) == (others.state.ema_momentum, others.state.fast)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("handle_buffers", ["copy", "update", "ema_train"])
def test_the_state_is_plain(dtype, handle_buffers, tmp_path):
    """torch.load takes the state from a file with weights_only, and it is unchanged."""
    arguments = {"momentum": np.float64(0.5), "handle_buffers": handle_buffers}
    first, second = (EMAHandler(network().to(dtype), **arguments) for _ in range(2))
    run(first.model, first, 3)
    torch.save(first.state_dict(), tmp_path / "ema.pt")
    loaded = torch.load(tmp_path / "ema.pt", weights_only=True)
    second.load_state_dict(loaded)
    assert {"ema_model", "momentum", "updates"} <= loaded.keys()
    torch.testing.assert_close(first.state_dict(), loaded, rtol=0, atol=0)
    torch.testing.assert_close(loaded, second.state_dict(), rtol=0, atol=0)


def test_a_state_of_another_model_is_refused():
    """Other tensors or shapes are an error that names them, and change nothing."""
    ema = EMAHandler(network())
    before = copy.deepcopy(ema.state_dict())
    other = EMAHandler(nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(4), nn.Linear(4, 2), nn.PReLU()))
    with pytest.raises(ValueError, match=r"'0\.bias', '0\.weight', '3\.weight'"):
        ema.load_state_dict(other.state_dict())
    with pytest.raises(ValueError, match="'updates'"):
        ema.load_state_dict({"ema_model": {}, "momentum": 0.1})
    for state in (None, []):
        with pytest.raises(TypeError, match="must be a mapping"):
            ema.load_state_dict(state)
    with pytest.raises(ValueError, match=r"'2\.bias'"):  # what is no tensor is not of the same shape
        ema.load_state_dict(before | {"ema_model": before["ema_model"] | {"2.bias": np.zeros(2)}})
    for momentum in ("a", True, float("nan"), 1.5, None):
        with pytest.raises(ValueError, match=r"state_dict\['momentum'\] must be a number in \[0, 1\], got "):
            ema.load_state_dict(before | {"momentum": momentum})
    with pytest.raises(ValueError, match=r"state_dict\['updates'\] must be an integer of at least 0, got -1"):
        ema.load_state_dict(before | {"updates": -1})
    with pytest.raises(TypeError, match="names to tensors"):
        ema.load_state_dict(before | {"ema_model": None})
    torch.testing.assert_close(before, ema.state_dict(), rtol=0, atol=0)


def test_two_averages_have_their_own_momentum():
    """Each handler of an engine has the momentum under its own name."""
    model = network()
    trainer = Engine(lambda engine, batch: None)
    EMAHandler(model, 0.1).attach(trainer, "slow")
    EMAHandler(model, 0.5).attach(trainer, "fast")
    state = trainer.run([0])
    assert (0.1, 0.5) == (state.slow, state.fast)


def test_an_existing_momentum_is_kept_with_a_warning():
    """An attribute that the state has is kept; `warn_if_exists=False` says that this is meant."""
    trainer = Engine(lambda engine, batch: None)
    trainer.state.ema_momentum = 0.125
    with pytest.warns(UserWarning, match="'ema_momentum' already"):
        EMAHandler(network()).attach(trainer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        EMAHandler(network()).attach(trainer, warn_if_exists=False)
    assert 0.125 == trainer.run([0]).ema_momentum


def test_a_new_state_gets_the_momentum():
    """A state that replaced the one of the attachment has the attribute from the first update on."""
    trainer = Engine(lambda engine, batch: None)
    EMAHandler(network(), 0.25).attach(trainer)
    trainer.state = type(trainer.state)()
    assert 0.25 == trainer.run([0]).ema_momentum


def test_the_handle_ends_it():
    """After its handle is removed, the average stays as it is."""
    ema = EMAHandler(network())
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer).remove()
    trainer.run(range(3))
    assert 0 == ema.updates


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: setattr(model, "2", nn.Linear(4, 3)), r"'2\.weight' of \(3, 4\)"),
        (lambda model: model.append(nn.PReLU()), r"differs in '3\.weight'"),
        (lambda model: model.to("meta"), "on meta"),
    ],
)
def test_a_model_that_was_rebuilt_is_an_error(change, message):
    """A model that has other tensors than its average is refused, not broadcast."""
    ema = EMAHandler(network())
    change(ema.model)
    trainer = Engine(lambda engine, batch: None)
    ema.attach(trainer)
    with pytest.raises(ValueError, match=message):
        trainer.run([0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 0}, "momentum must be a number in"),
        ({"momentum": 1.0}, "momentum must be a number in"),
        ({"momentum": float("nan")}, r"momentum must be a number in \(0, 1\), got nan"),
        ({"momentum": "a"}, r"momentum must be a number in \(0, 1\), got 'a'"),
        ({"momentum": True}, "momentum must be a number in"),
        ({"momentum": None}, "momentum must be a number in"),
        ({"momentum": 10**400}, "momentum must be a number in"),
        ({"momentum_warmup": "b", "warmup_iters": 5}, r"momentum_warmup must be a number in \[0, 1\], got 'b'"),
        ({"momentum_warmup": True, "warmup_iters": 5}, "momentum_warmup must be a number in"),
        ({"momentum_warmup": 0.5}, "given together"),
        ({"warmup_iters": 5}, "given together"),
        ({"momentum_warmup": 1.5, "warmup_iters": 5}, "momentum_warmup must be a number in"),
        ({"momentum_warmup": 0.5, "warmup_iters": 0}, "warmup_iters must be a positive integer, got 0"),
        ({"momentum_warmup": 0.5, "warmup_iters": 1.5}, "warmup_iters must be a positive integer, got 1.5"),
        ({"handle_buffers": "average"}, "'copy', 'update' or 'ema_train', got 'average'"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    """Each error names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        EMAHandler(network(), **arguments)


def test_what_is_no_complete_model_is_refused():
    """A function, and a model whose shapes are not known yet, have nothing to average."""
    with pytest.raises(TypeError, match=r"model must be an nn\.Module"):
        EMAHandler(len)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="'weight' is lazy"):
        EMAHandler(nn.LazyLinear(2))
    with pytest.raises(ValueError, match="name must be"):
        EMAHandler(network()).attach(Engine(lambda engine, batch: None), name="ema momentum")
