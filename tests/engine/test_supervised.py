"""Supervised trainers and evaluators: what a step does, what it gives, what it refuses."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import weakref
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from ignite_signals.engine import (
    DeterministicEngine,
    Engine,
    Events,
    State,
    create_supervised_evaluator,
    create_supervised_trainer,
    supervised_evaluation_step,
    supervised_evaluation_step_amp,
    supervised_training_step,
    supervised_training_step_amp,
)
from ignite_signals.metrics import Accuracy, Average, Loss

mse = nn.functional.mse_loss
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def make_data(batches: int = 5) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batches, 4, 3, generator=generator)
    return list(zip(x, x.sum(dim=2, keepdim=True), strict=True))


def make_trainer(model: nn.Module | None = None, **options: Any) -> Engine:
    model = make_model() if model is None else model
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    return create_supervised_trainer(model, sgd, options.pop("loss_fn", mse), **options)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def outputs(engine: Engine, data: Any, **limits: int) -> list[Any]:
    seen: list[Any] = []
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: seen.append(engine.state.output))
    engine.run(data, **limits)
    return seen


class SpyingSGD(torch.optim.SGD):
    """Note what is called, and after which iteration."""

    def __init__(self, parameters: Any, log: list[str]) -> None:
        super().__init__(parameters, lr=0.1)
        self.log = log

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.log.append("zero_grad")
        super().zero_grad(set_to_none)

    def step(self, closure: Any = None) -> None:
        self.log.append("step")
        super().step(closure)


# The training step


def test_a_trainer_does_what_the_plain_loop_does():
    """Three epochs give bit for bit the weights of zero_grad, forward, backward and step written out."""
    model, by_hand = make_model(), make_model()
    make_trainer(model).run(make_data(), max_epochs=3)
    sgd = torch.optim.SGD(by_hand.parameters(), lr=0.1)
    for x, y in make_data() * 3:
        sgd.zero_grad()
        mse(by_hand(x), y).backward()
        sgd.step()
    torch.testing.assert_close(weights(by_hand), weights(model), rtol=0, atol=0)


def test_the_default_output_is_the_loss_as_a_detached_tensor():
    """`state.output` is a scalar tensor that holds no graph, equal to the loss of the batch."""
    [(x, y)] = data = make_data(1)
    [output] = outputs(make_trainer(), data)
    assert isinstance(output, Tensor)
    assert (torch.Size([]), False, None) == (output.shape, output.requires_grad, output.grad_fn)
    torch.testing.assert_close(mse(make_model()(x), y).detach(), output)


WAITS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__")


@pytest.mark.parametrize("options", [{}, {"gradient_accumulation_steps": 2}, {"amp_mode": "amp"}], ids=str)
def test_a_training_iteration_reads_no_number_from_the_device(monkeypatch, options):
    """Plain, accumulating or under autocast, a trainer never turns a tensor into a Python number."""

    def wait(*_: Any) -> None:
        raise AssertionError("an iteration waited for the device")

    model = make_model()
    trainer, before = make_trainer(model, **options), weights(model)
    with monkeypatch.context() as patched:
        for name in WAITS:
            patched.setattr(Tensor, name, wait)
        trainer.run(make_data())
    assert 5 == trainer.state.iteration
    assert not torch.equal(before[0], weights(model)[0])


def test_an_evaluation_iteration_with_metrics_reads_no_number_from_the_device(monkeypatch):
    """A metric gathers on the device, and its number is read only when the epoch is over."""

    def wait(*_: Any) -> None:
        raise AssertionError("an iteration waited for the device")

    evaluator = create_supervised_evaluator(make_model(), metrics={"loss": Loss(mse)})
    with monkeypatch.context() as patched:
        # Until the epoch is over, when the metric's value is read.
        for name in WAITS:
            patched.setattr(Tensor, name, wait)
        evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=5), patched.undo)
        evaluator.run(make_data())
    assert 0 < evaluator.state.metrics["loss"]


def test_the_step_trains_in_training_mode_and_evaluates_in_evaluation_mode():
    """Trainer and evaluator of one model each set its mode and the gradients, also when their runs are nested."""
    model, modes = make_model(), []
    model.register_forward_hook(lambda module, *_: modes.append((module.training, torch.is_grad_enabled())))
    trainer, evaluator = make_trainer(model), create_supervised_evaluator(model)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda _, evaluator=evaluator: evaluator.run(make_data(1)))
    trainer.run(make_data(2))
    assert [(True, True), (False, False)] * 2 == modes


def test_prepare_batch_makes_the_pair_and_gets_the_device_by_name():
    """Batches of any form train as pairs do, once `prepare_batch(batch, device=..., non_blocking=...)` unpacks them."""
    calls = []

    def prepare(batch: dict[str, Tensor], device: Any, non_blocking: bool) -> tuple[Tensor, Tensor]:
        calls.append((device, non_blocking))
        return batch["x"], batch["y"]

    data = [{"x": x, "y": y} for x, y in make_data()]
    options = {"device": "cpu", "non_blocking": True, "prepare_batch": prepare}
    model, plain = make_model(), make_model()
    make_trainer(plain).run(make_data())
    make_trainer(model, **options).run(data)
    create_supervised_evaluator(model, **options).run(data)
    assert [("cpu", True)] * 10 == calls
    torch.testing.assert_close(weights(plain), weights(model), rtol=0, atol=0)


def test_a_batch_goes_to_the_device_without_blocking():
    """x and y are moved to `device`, so prediction and loss are there too."""
    model = make_model().to("meta")
    trainer = make_trainer(model, device="meta", non_blocking=True, output_transform=lambda *seen: seen)
    x, y, y_pred, loss = trainer.run(make_data(1)).output
    assert ["meta"] * 4 == [tensor.device.type for tensor in (x, y, y_pred, loss)]


def test_a_nested_batch_keeps_its_structure():
    """A batch may be nested: what is no tensor in it reaches the model as it was."""
    data = [({"a": torch.ones(2, 3), "names": ["p", "q"]}, torch.ones(2, 1))]
    seen = []

    def model_fn(model: nn.Module, x: dict[str, Any]) -> Any:
        seen.append(x["names"])
        return model(x["a"])

    assert torch.Size([]) == make_trainer(device="cpu", model_fn=model_fn).run(data).output.shape
    assert [["p", "q"]] == seen


def test_model_fn_and_model_transform_stand_between_x_and_the_loss():
    """`model_fn` calls the model and `model_transform` picks the prediction, in training and in evaluation."""
    options = {"model_fn": lambda model, x: (model(x + 1), "more"), "model_transform": lambda output: output[0]}
    [(x, y)] = data = make_data(1)
    expected = make_model()(x + 1).detach()
    torch.testing.assert_close(mse(expected, y), make_trainer(**options).run(data).output)
    torch.testing.assert_close(expected, create_supervised_evaluator(make_model(), **options).run(data).output[0])


def test_output_transform_of_a_trainer_gets_x_y_y_pred_and_loss():
    """`output_transform` makes the output of a trainer from the batch itself, the prediction and the loss."""
    [(x, y)] = data = make_data(1)
    output = make_trainer(output_transform=lambda x, y, y_pred, loss: {"x": x, "y": y, "p": y_pred, "l": loss})
    seen = output.run(data).output
    assert (True, True) == (seen["x"] is x, seen["y"] is y)
    torch.testing.assert_close(mse(seen["p"], y), seen["l"])


def test_metrics_of_a_trainer_are_attached_by_name():
    """`metrics={"mean": Average()}` gives the mean of the losses in `state.metrics["mean"]`."""
    state = make_trainer(metrics={"mean": Average()}).run(make_data())
    losses = outputs(make_trainer(), make_data())
    assert pytest.approx(float(torch.stack(losses).mean())) == state.metrics["mean"]


# Gradient accumulation


def test_the_optimizer_steps_on_every_so_many_iterations():
    """With 3 steps to accumulate it steps on iterations 3 and 6, whatever the length of an epoch."""
    model, log = make_model(), []
    trainer = create_supervised_trainer(model, SpyingSGD(model.parameters(), log), mse, gradient_accumulation_steps=3)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: log.append(str(trainer.state.iteration)))
    trainer.run(make_data(4), max_epochs=2)
    assert ["zero_grad", "1", "2", "step", "3", "zero_grad", "4", "5", "step", "6", "zero_grad", "7", "8"] == log


def test_accumulated_gradients_are_those_of_the_batches_taken_as_one():
    """Four batches accumulated train the model as one batch of all their rows does."""
    model, whole = make_model(), make_model()
    data = make_data(4)
    make_trainer(model, gradient_accumulation_steps=4).run(data)
    x, y = (torch.cat(parts) for parts in zip(*data, strict=True))
    make_trainer(whole).run([(x, y)])
    torch.testing.assert_close(weights(whole), weights(model))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_the_output_is_the_undivided_loss(steps):
    """The loss that is given out is that of the batch, not its share in the accumulated gradient."""
    [first, *_] = outputs(make_trainer(gradient_accumulation_steps=steps), make_data())
    x, y = make_data()[0]
    torch.testing.assert_close(mse(make_model()(x), y).detach(), first)


def test_accumulation_keeps_its_rhythm_over_an_interrupt():
    """A run interrupted between two steps and resumed ends with the weights of one that went straight on."""
    model, straight = make_model(), make_model()
    make_trainer(straight, gradient_accumulation_steps=3).run(make_data(9))
    trainer = make_trainer(model, gradient_accumulation_steps=3)
    with trainer.add_event_handler(Events.ITERATION_COMPLETED(once=4), trainer.interrupt):
        trainer.run(make_data(9))
    trainer.run()
    assert 9 == trainer.state.iteration
    torch.testing.assert_close(weights(straight), weights(model), rtol=0, atol=0)


# Autocast and the scaler


def test_autocast_computes_prediction_and_loss_in_the_type_that_was_asked_for():
    """`amp_dtype` is that type, bfloat16 on a CPU if none is given; without `amp_mode` nothing is cast."""
    types = []

    def loss_fn(y_pred: Tensor, y: Tensor) -> Tensor:
        types.append((y_pred.dtype, torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")))
        return mse(y_pred, y)

    make_trainer(loss_fn=loss_fn, amp_mode="amp").run(make_data(1))
    make_trainer(loss_fn=loss_fn, amp_mode="amp", amp_dtype=torch.float16).run(make_data(1))
    make_trainer(loss_fn=loss_fn).run(make_data(1))
    assert (torch.bfloat16, True, torch.bfloat16) == types[0]
    assert (torch.float16, True, torch.float16) == types[1]
    assert (torch.float32, False) == types[2][:2]


def test_training_in_bfloat16_comes_close_to_training_in_full_precision():
    """Autocast changes the results a little, and the weights stay float32."""
    model, exact = make_model(), make_model()
    make_trainer(exact).run(make_data(), max_epochs=2)
    make_trainer(model, amp_mode="amp", amp_dtype=torch.bfloat16).run(make_data(), max_epochs=2)
    torch.testing.assert_close(weights(exact), weights(model), rtol=0.05, atol=0.02)
    assert [torch.float32] * 4 == [parameter.dtype for parameter in model.parameters()]


def test_an_evaluator_predicts_under_autocast():
    """The prediction has the type `amp_dtype` and no gradient, the target is as it was."""
    evaluator = create_supervised_evaluator(make_model(), amp_mode="amp", amp_dtype=torch.float16)
    y_pred, y = evaluator.run(make_data(1)).output
    assert (torch.float16, torch.float32, False) == (y_pred.dtype, y.dtype, y_pred.requires_grad)


def test_the_kind_of_device_for_autocast_is_that_of_the_argument_or_else_of_the_model(monkeypatch):
    """Autocast is for `device`, for the device of the parameters if none is given, for the CPU if there are none."""
    kinds = []
    autocast = torch.autocast

    def noted(kind: str, dtype: Any) -> Any:
        kinds.append((kind, dtype))
        return autocast("cpu")

    monkeypatch.setattr(torch, "autocast", noted)
    meta = make_model().to("meta")
    on_meta = [(x.to("meta"), y.to("meta")) for x, y in make_data(1)]
    make_trainer(meta, amp_mode="amp").run(on_meta)
    make_trainer(make_model(), device=torch.device("cpu"), amp_mode="amp").run(make_data(1))
    create_supervised_evaluator(nn.Identity(), amp_mode="amp", amp_dtype=torch.float16).run(make_data(1))
    assert [("meta", None), ("cpu", None), ("cpu", torch.float16)] == kinds


def test_a_scaler_that_is_given_scales_the_loss_and_is_kept_in_the_state():
    """`state.scaler` is that very scaler; its scale grows by its settings, and the weights come out as without it."""
    model, plain = make_model(), make_model()
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=2)
    trainer = make_trainer(model, amp_mode="amp", scaler=scaler)
    make_trainer(plain, amp_mode="amp").run(make_data())
    trainer.run(make_data())
    assert scaler is trainer.state.scaler
    assert 4096.0 == trainer.state.scaler.get_scale()  # grown after each two of the five steps
    torch.testing.assert_close(weights(plain), weights(model), rtol=1e-3, atol=1e-4)


def test_a_scaler_updates_only_when_the_optimizer_steps():
    """While gradients accumulate the scale stays, so five iterations in twos update it twice."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0, growth_interval=1)
    make_trainer(amp_mode="amp", scaler=scaler, gradient_accumulation_steps=2).run(make_data(5))
    assert 8.0 == scaler.get_scale()


def test_a_scaler_leaves_out_a_step_whose_gradients_overflow():
    """Infinite gradients leave the weights as they were and lower the scale."""
    model = make_model()
    before = weights(model)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    trainer = make_trainer(
        model, amp_mode="amp", scaler=scaler, loss_fn=lambda y_pred, y: mse(y_pred, y) * float("inf")
    )
    trainer.run(make_data(1))
    torch.testing.assert_close(before, weights(model), rtol=0, atol=0)
    assert 1.0 == scaler.get_scale()


def test_scaler_true_makes_one_whose_state_can_be_saved_and_loaded():
    """`scaler=True` puts a scaler into `state.scaler`, with a `state_dict` to save and to load."""
    trainer = make_trainer(amp_mode="amp", scaler=True)
    trainer.run(make_data())
    saved = trainer.state.scaler.state_dict()
    other = make_trainer(amp_mode="amp", scaler=True)
    other.state.scaler.load_state_dict(saved | {"scale": 8.0})
    assert 5 == saved["_growth_tracker"]
    assert 8.0 == other.state.scaler.get_scale()


def test_without_a_scaler_the_state_has_none():
    """`state.scaler` is there only if a scaler was asked for."""
    assert not hasattr(make_trainer(amp_mode="amp").state, "scaler")


# Evaluation


def test_an_evaluator_gives_prediction_and_target():
    """The output of an evaluator is `(y_pred, y)`, without gradients, as metrics take it."""
    model = make_model()
    [(x, y)] = data = make_data(1)
    y_pred, target = create_supervised_evaluator(model).run(data).output
    torch.testing.assert_close(model(x).detach(), y_pred)
    assert y is target
    assert not y_pred.requires_grad


def test_an_evaluator_leaves_gradients_enabled_after_it():
    """Gradients are off only during an evaluation, not for the code that follows it."""
    create_supervised_evaluator(make_model()).run(make_data(1))
    assert torch.is_grad_enabled()


def test_output_transform_of_an_evaluator_gets_x_y_and_y_pred():
    """`output_transform` makes the output of an evaluator from the very tensors of the step, in this order."""
    [(x, y)] = data = make_data(1)
    seen = create_supervised_evaluator(nn.Identity(), output_transform=lambda *seen: seen).run(data).output
    assert [True, True, True] == [one is other for one, other in zip(seen, (x, y, x), strict=True)]


def test_one_evaluator_serves_for_several_data_sets():
    """Each run has metrics of its own, and those of the run before stay as they were."""
    accuracy = {"accuracy": Accuracy()}
    evaluator = create_supervised_evaluator(nn.Identity(), metrics=accuracy)
    logits = torch.eye(4)
    right = evaluator.run([(logits, torch.arange(4))]).metrics
    half = evaluator.run([(logits, torch.tensor([0, 1, 0, 0]))]).metrics
    assert ({"accuracy": 1.0}, {"accuracy": 0.5}) == (right, half)


# Steps of one's own engine


def test_the_step_factories_give_the_steps_of_the_ready_engines():
    """An `Engine` made with such a step trains and evaluates bit for bit as the ready one does."""
    data = make_data()
    for amp, options in (
        (False, {}),
        (True, {"amp_dtype": torch.bfloat16}),
    ):
        ready, own = make_model(), make_model()
        mode = {"amp_mode": "amp"} if amp else {}
        make_trainer(ready, gradient_accumulation_steps=2, **mode, **options).run(data)
        factory: Any = supervised_training_step_amp if amp else supervised_training_step
        sgd = torch.optim.SGD(own.parameters(), lr=0.1)
        Engine(factory(own, sgd, mse, gradient_accumulation_steps=2, **options)).run(data)
        torch.testing.assert_close(weights(ready), weights(own), rtol=0, atol=0)

        evaluation: Any = supervised_evaluation_step_amp if amp else supervised_evaluation_step
        expected = create_supervised_evaluator(ready, **mode, **options).run(data).output
        torch.testing.assert_close(expected, Engine(evaluation(own, **options)).run(data).output, rtol=0, atol=0)


def test_a_step_works_with_a_state_that_the_user_put_there():
    """A trainer runs with a `State` of the user's own, whose fields stay."""
    trainer = make_trainer()
    trainer.state = State(rank=0)
    trainer.run(make_data())
    assert (5, 0) == (trainer.state.iteration, trainer.state.rank)


# Copies


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_the_copy_of_a_trainer_trains_a_copy_of_its_model(copied):
    """A copied or unpickled trainer goes on where the first one stood, and leaves that one's model alone."""
    model, straight = make_model(), make_model()
    make_trainer(straight).run(make_data(), max_epochs=2)
    trainer = make_trainer(model)
    trainer.run(make_data())
    before = weights(model)
    twin = copied(trainer)
    twin.run(make_data(), max_epochs=2)
    torch.testing.assert_close(before, weights(model), rtol=0, atol=0)
    torch.testing.assert_close(weights(straight), weights(twin._process_function.model), rtol=0, atol=0)


def test_reference_counting_alone_frees_a_trainer_an_evaluator_and_their_model():
    """They are gone as soon as nothing refers to them, with no garbage collection."""
    model = make_model()
    trainer = make_trainer(model, metrics={"mean": Average()})
    evaluator = create_supervised_evaluator(model, metrics={"loss": Loss(mse)})
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda _, evaluator=evaluator: evaluator.run(make_data(1)))
    trainer.run(make_data(1))
    watched = [weakref.ref(gone) for gone in (trainer, evaluator, model)]
    gc.disable()
    try:
        del trainer, evaluator, model
        assert [None, None, None] == [gone() for gone in watched]
    finally:
        gc.enable()


# Bad input


BAD_OPTIONS = [
    ({"gradient_accumulation_steps": 0}, ValueError, "gradient_accumulation_steps must be a positive integer, got 0"),
    ({"gradient_accumulation_steps": 1.5}, ValueError, "gradient_accumulation_steps must be a positive .* got 1.5"),
    ({"gradient_accumulation_steps": True}, ValueError, "gradient_accumulation_steps must be .* got True"),
    ({"scaler": True}, ValueError, 'scaler must be False without autocast, got True: give amp_mode="amp"'),
    ({"scaler": torch.amp.GradScaler("cpu")}, ValueError, "scaler must be False without autocast"),
    ({"scaler": "yes", "amp_mode": "amp"}, TypeError, "scaler must have the methods scale, step, update"),
    ({"amp_mode": "apex"}, ValueError, 'amp_mode must be None or "amp", got \'apex\': use "amp"'),
    ({"amp_dtype": torch.bfloat16}, ValueError, 'amp_dtype must be None .* got torch.bfloat16: give amp_mode="amp"'),
    ({"amp_mode": "amp", "amp_dtype": torch.int8}, ValueError, "amp_dtype must be .* got torch.int8"),
    ({"amp_mode": "amp", "amp_dtype": "bf16"}, ValueError, "amp_dtype must be .* got 'bf16'"),
    ({"device": "gpu7"}, ValueError, "device must be None or a device such as 'cuda:0', got 'gpu7'"),
    ({"device": "gpu7", "amp_mode": "amp", "scaler": True}, ValueError, "device must be None or .* got 'gpu7'"),
    ({"device": 1.5}, ValueError, "device must be None or a device .* got 1.5"),
    ({"prepare_batch": 3}, TypeError, "prepare_batch must be callable, got 3"),
    ({"model_fn": None}, TypeError, "model_fn must be callable, got None"),
    ({"model_transform": None}, TypeError, "model_transform must be callable, got None"),
    ({"output_transform": None}, TypeError, "output_transform must be callable, got None"),
    ({"loss_fn": "mse"}, TypeError, "loss_fn must be callable, got 'mse'"),
    ({"metrics": [Average()]}, TypeError, "metrics must map names to metrics"),
    ({"metrics": {"mean": 3}}, TypeError, r"metrics\['mean'\] must be a metric, an object with a method attach, got 3"),
]


@pytest.mark.parametrize(("options", "error", "message"), BAD_OPTIONS)
def test_a_trainer_refuses_bad_arguments_before_anything_runs(options, error, message):
    """A bad option is an error when the trainer is made, with the value that it got and mostly the remedy."""
    with pytest.raises(error, match=message):
        make_trainer(**options)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [case for case in BAD_OPTIONS if not {"scaler", "gradient_accumulation_steps", "loss_fn"} & {*case[0]}],
)
def test_an_evaluator_refuses_bad_arguments_before_anything_runs(options, error, message):
    """What an evaluator shares with a trainer it refuses with the same words."""
    with pytest.raises(error, match=message):
        create_supervised_evaluator(make_model(), **options)


def test_a_trainer_refuses_what_is_no_model_and_no_optimizer():
    """The error names the methods that are missing and a class that has them."""
    model = make_model()
    sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"model must have the methods train, eval, parameters, as torch.nn.Module"):
        create_supervised_trainer(lambda x: x, sgd, mse)
    with pytest.raises(TypeError, match=r"optimizer must have the methods step, zero_grad, as torch.optim.SGD has"):
        create_supervised_trainer(model, 0.1, mse)


@pytest.mark.parametrize("batch", [torch.ones(()), (torch.ones(1),), tuple(torch.ones(3, 1))])
def test_a_batch_that_is_no_pair_is_named_with_the_remedy(batch):
    """A batch of another form is an error that shows it and points to `prepare_batch`."""
    with pytest.raises(ValueError, match=r"a batch must be a pair \(x, y\), got .* give prepare_batch"):
        make_trainer().run([batch])


# Compared with the peer


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_weights_and_losses_are_those_of_ignite(steps):
    """The same model on the same data learns as with ignite, loss by loss, also with accumulated gradients."""
    peer = pytest.importorskip("ignite.engine")
    results = []
    for create, events in ((peer.create_supervised_trainer, peer.Events), (create_supervised_trainer, Events)):
        model = make_model()
        adam = torch.optim.Adam(model.parameters(), lr=0.01)
        trainer = create(model, adam, mse, gradient_accumulation_steps=steps)
        losses: list[float] = []
        trainer.add_event_handler(
            events.ITERATION_COMPLETED, lambda engine, log=losses: log.append(float(engine.state.output))
        )
        trainer.run(make_data(7), max_epochs=2)
        results.append((losses, weights(model)))
    assert pytest.approx(results[0][0]) == results[1][0]
    torch.testing.assert_close(results[0][1], results[1][1])


def test_the_factories_take_what_those_of_ignite_take_in_the_same_order():
    """Our parameters begin with ignite's, so a call that is written for ignite fits here."""
    peer = pytest.importorskip("ignite.engine")
    for ours in (
        create_supervised_trainer,
        create_supervised_evaluator,
        supervised_training_step,
        supervised_training_step_amp,
        supervised_evaluation_step,
        supervised_evaluation_step_amp,
    ):
        theirs = list(inspect.signature(getattr(peer, ours.__name__)).parameters)
        assert theirs == list(inspect.signature(ours).parameters)[: len(theirs)]


# On a GPU


@needs_gpu
def test_batches_go_to_the_gpu_and_the_losses_stay_there():
    """Pinned batches are moved to the GPU, and each output is a tensor on it."""
    model = make_model().cuda()
    data = [(x.pin_memory(), y.pin_memory()) for x, y in make_data()]
    seen = outputs(make_trainer(model, device="cuda", non_blocking=True), data)
    assert ["cuda"] * 5 == [loss.device.type for loss in seen]


@needs_gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_and_a_scaler_on_the_gpu(dtype):
    """The prediction has the type that was asked for, and the scaler starts with PyTorch's usual scale."""
    model = make_model().cuda()
    noted = partial(make_trainer, model, device="cuda", amp_mode="amp", amp_dtype=dtype)
    trainer = noted(scaler=True, output_transform=lambda x, y, y_pred, loss: y_pred)
    assert dtype == trainer.run(make_data()).output.dtype
    assert 65536.0 == trainer.state.scaler.get_scale()


@needs_gpu
@pytest.mark.parametrize("options", [{}, {"amp_mode": "amp", "amp_dtype": torch.bfloat16}], ids=str)
def test_no_training_iteration_waits_for_the_gpu(options):
    """Once the data is on the GPU, a whole run passes under PyTorch's check for synchronisation."""
    model = make_model().cuda()
    trainer = make_trainer(model, **options)
    data = [(x.cuda(), y.cuda()) for x, y in make_data()]
    trainer.run(data)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.run(data)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert 5 == trainer.state.iteration


def test_a_deterministic_trainer_resumes_with_the_batches_of_a_run_that_never_stopped():
    """With `deterministic=True` the weights after a resume are, to the bit, those of one run."""
    x = torch.linspace(-1, 1, 12).unsqueeze(1)
    data = DataLoader(TensorDataset(x, 3 * x + 1), batch_size=4, shuffle=True)

    def trained(saved=None, **limits):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(1, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        trainer = create_supervised_trainer(model, optimizer, nn.functional.mse_loss, deterministic=True)
        assert isinstance(trainer, DeterministicEngine)
        objects = {"trainer": trainer, "model": model, "optimizer": optimizer}
        for name, state in (saved or {}).items():
            objects[name].load_state_dict(state)
        trainer.run(data, **limits)
        return {name: copy.deepcopy(owner.state_dict()) for name, owner in objects.items()}

    straight = trained(max_iters=8)
    resumed = trained(trained(max_iters=5), max_iters=8)
    assert straight["model"].keys() == resumed["model"].keys()
    assert all(torch.equal(value, resumed["model"][key]) for key, value in straight["model"].items())
