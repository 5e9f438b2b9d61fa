"""Events between backward and step: when they are sent, and what handlers do with gradients there."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ignite_signals.engine import (
    BackpropEvents,
    DeterministicEngine,
    Engine,
    EventEnum,
    Events,
    State,
    create_supervised_evaluator,
    create_supervised_trainer,
    supervised_training_step,
    supervised_training_step_amp,
)

BACKWARD, STEPPED = BackpropEvents.BACKWARD_COMPLETED, BackpropEvents.OPTIM_STEP_COMPLETED
mse = nn.functional.mse_loss
clip_norm, clip_value = nn.utils.clip_grad_norm_, nn.utils.clip_grad_value_


def make_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))


def make_data(batches: int = 6) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batches, 4, 3, generator=generator)
    return list(zip(x, x.sum(dim=2, keepdim=True), strict=True))


def make_adam(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(model.parameters(), lr=0.05, weight_decay=0.1)


def make_trainer(model: nn.Module | None = None, **options: Any) -> Engine:
    model = make_model() if model is None else model
    return create_supervised_trainer(model, make_adam(model), options.pop("loss_fn", mse), **options)


def make_scaler(**options: Any) -> torch.amp.GradScaler:
    return torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=2, **options)


def weights(model: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in model.parameters()]


def assert_same(expected: Any, actual: Any) -> None:
    torch.testing.assert_close(expected, actual, rtol=0, atol=0)


class Clip:
    """Clip the gradients of a model, and keep their norm; a handler that can be copied with its trainer."""

    def __init__(self, model: nn.Module, how: Callable[..., Any] = clip_norm, limit: float = 0.3) -> None:
        self.model, self.how, self.limit = model, how, limit

    def __call__(self, engine: Engine) -> None:
        engine.state.gradient_norm = self.how(self.model.parameters(), self.limit)


class Spying:
    """Pass every call on to an optimizer or a scaler, and note it."""

    def __init__(self, spied: Any, log: list[str], *methods: str) -> None:
        self.spied, self.log, self.methods = spied, log, methods

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.spied, name)

        def noted(*args: Any) -> Any:
            self.log.append(name)
            # The optimizer that the scaler knows is the true one.
            return method(*(getattr(arg, "spied", arg) for arg in args))

        return noted if name in self.methods else method


def spied_trainer(log: list[str], scaler: Any = False, **options: Any) -> Engine:
    model = make_model()
    optimizer: Any = Spying(make_adam(model), log, "step", "zero_grad")
    if scaler:
        scaler = Spying(scaler, log, "unscale_", "step", "update")
        options |= {"amp_mode": "amp", "scaler": scaler}
    return create_supervised_trainer(model, optimizer, mse, **options)


def note(engine: Engine, log: list[str], *events: Any) -> None:
    for event in events:
        engine.add_event_handler(event, log.append, event.value)


# When they are sent


def test_the_events_stand_between_backward_and_step_and_after_the_step():
    """In each iteration the gradients are announced before the optimizer's step, and the step after it."""
    log: list[str] = []
    trainer = spied_trainer(log)
    note(trainer, log, BACKWARD, STEPPED, Events.ITERATION_COMPLETED)
    trainer.run(make_data(2))
    assert ["zero_grad", "backward_completed", "step", "optim_step_completed", "iteration_completed"] * 2 == log


def test_accumulated_gradients_are_announced_once_when_they_are_complete():
    """Over three iterations each event is sent once, in the third; gradients left over at the end are not announced."""
    log: list[str] = []
    trainer = spied_trainer(log, gradient_accumulation_steps=3)
    note(trainer, log, Events.ITERATION_STARTED, BACKWARD, STEPPED)
    trainer.run(make_data(4), max_epochs=2)
    start, step = "iteration_started", ["backward_completed", "step", "optim_step_completed"]
    six = [start, "zero_grad", start, start, *step] * 2
    assert [*six, start, "zero_grad", start] == log


def test_the_gradients_that_are_announced_are_those_that_the_optimizer_takes():
    """At BACKWARD_COMPLETED each parameter has the sum of the gradients of its accumulated losses, each divided."""
    model, by_hand = make_model(), make_model()
    trainer, seen = make_trainer(model, gradient_accumulation_steps=2), []
    trainer.add_event_handler(BACKWARD, lambda: seen.append([p.grad.clone() for p in model.parameters()]))
    trainer.run(make_data(2))
    for x, y in make_data(2):
        (mse(by_hand(x), y) / 2).backward()
    assert_same([[p.grad for p in by_hand.parameters()]], seen)


def test_a_scaler_unscales_before_handlers_see_the_gradients_and_updates_before_the_second_event():
    """The order is unscale, BACKWARD_COMPLETED, the scaler's step and update, OPTIM_STEP_COMPLETED."""
    log: list[str] = []
    trainer = spied_trainer(log, make_scaler())
    note(trainer, log, BACKWARD, STEPPED)
    trainer.run(make_data(2))
    assert [
        *("zero_grad", "unscale_", "backward_completed"),
        *("step", "update", "optim_step_completed"),
    ] * 2 == log


@pytest.mark.parametrize("event", [None, STEPPED, Events.ITERATION_COMPLETED])
def test_a_scaler_is_left_to_itself_where_nobody_looks_at_the_gradients(event):
    """Without a handler of BACKWARD_COMPLETED the step does not unscale, whatever else is listened to."""
    log: list[str] = []
    trainer = spied_trainer(log, make_scaler())
    if event is not None:
        trainer.add_event_handler(event, lambda: None)
    trainer.run(make_data(1))
    assert ["zero_grad", "step", "update"] == log


def test_a_step_that_the_scaler_left_out_is_announced_too():
    """Gradients that overflow reach the handlers as they are, and OPTIM_STEP_COMPLETED follows all the same."""
    model = make_model()
    before, norms = weights(model), []
    trainer = make_trainer(
        model, amp_mode="amp", scaler=make_scaler(), loss_fn=lambda y_pred, y: mse(y_pred, y) * float("inf")
    )
    trainer.add_event_handler(BACKWARD, Clip(model))
    trainer.add_event_handler(STEPPED, lambda: norms.append(trainer.state.gradient_norm.isfinite().item()))
    trainer.run(make_data(1))
    assert [False] == norms
    assert_same(before, weights(model))
    assert 2.0**9 == trainer.state.scaler.get_scale()


# Clipping


def looped_by_hand(how: Callable[..., Any], limit: float, period: int, scaler: Any) -> tuple[nn.Module, list[Any]]:
    """Train two epochs with clipping, as one would write it without an engine."""
    model, norms = make_model(), []
    adam = make_adam(model)
    for iteration, (x, y) in enumerate(make_data() * 2, 1):
        if (iteration - 1) % period == 0:
            adam.zero_grad()
        if scaler is None:
            (mse(model(x), y) / period).backward()
        else:
            with torch.autocast("cpu"):
                loss = mse(model(x), y)
            scaler.scale(loss / period).backward()
            scaler.unscale_(adam) if iteration % period == 0 else None
        if iteration % period == 0:
            norms.append(how(model.parameters(), limit))
            adam.step() if scaler is None else scaler.step(adam)
            scaler.update() if scaler else None
    return model, norms


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("period", [1, 3])
@pytest.mark.parametrize("how", [clip_norm, clip_value])
def test_a_clipping_handler_does_what_a_loop_with_clipping_does(how, period, scaled):
    """Weights, norms and scale are bit for bit those of a loop by hand, accumulated and with a scaler too."""
    limit = 0.3 if how is clip_norm else 0.05
    model, scaler, other = make_model(), make_scaler(), make_scaler()
    options = {"amp_mode": "amp", "scaler": scaler} if scaled else {}
    trainer, norms = make_trainer(model, gradient_accumulation_steps=period, **options), []
    trainer.add_event_handler(BACKWARD, Clip(model, how, limit))
    trainer.add_event_handler(STEPPED, lambda: norms.append(trainer.state.gradient_norm))
    trainer.run(make_data(), max_epochs=2)
    by_hand, expected = looped_by_hand(how, limit, period, other if scaled else None)
    assert 12 // period == len(norms)
    assert_same(weights(by_hand), weights(model))
    assert_same(expected, norms) if how is clip_norm else None
    assert other.get_scale() == scaler.get_scale()
    unclipped = make_model()
    make_trainer(unclipped, gradient_accumulation_steps=period, **options).run(make_data(), max_epochs=2)
    assert not torch.equal(weights(unclipped)[0], weights(model)[0])


@settings(deadline=None, max_examples=30)
@given(period=st.integers(1, 5), iterations=st.integers(1, 12), every=st.integers(1, 4))
def test_the_events_count_optimizer_steps(period, iterations, every):
    """Whatever is accumulated, both counts are those of optimizer steps, and filters go by them."""
    trainer, seen = make_trainer(gradient_accumulation_steps=period), []
    trainer.on(BACKWARD(every=every))(lambda engine: seen.append(engine.state.backward_completed))
    state = trainer.run(make_data(iterations))
    steps = iterations // period
    assert (steps, steps) == (state.backward_completed, state.optim_step_completed)
    assert list(range(every, steps + 1, every)) == seen


@pytest.mark.parametrize("scaled", [False, True])
def test_a_handler_drops_a_step_by_clearing_the_gradients(scaled):
    """After `zero_grad` in the second step, weights and the state of the optimizer are those of the first."""
    model = make_model()
    adam, after = make_adam(model), []
    options = {"amp_mode": "amp", "scaler": make_scaler()} if scaled else {}
    trainer = create_supervised_trainer(model, adam, mse, **options)
    trainer.add_event_handler(BACKWARD(once=2), lambda: adam.zero_grad())
    trainer.add_event_handler(
        STEPPED, lambda: after.append(copy.deepcopy((weights(model), adam.state_dict()["state"])))
    )
    trainer.run(make_data(3))
    assert_same(after[0], after[1])
    assert not torch.equal(after[1][0][0], after[2][0][0])


WAITS = ("item", "tolist", "numpy", "cpu", "__bool__", "__float__", "__int__", "__index__")


def test_clipping_and_keeping_the_norm_reads_no_number_from_the_device(monkeypatch):
    """A handler that clips and keeps the norm as a tensor never waits, and neither does the step."""

    def wait(*_: Any) -> None:
        raise AssertionError("an iteration waited for the device")

    model = make_model()
    # Not Adam, which reads the number of its steps, kept on the CPU.
    trainer = create_supervised_trainer(model, torch.optim.SGD(model.parameters(), lr=0.1), mse)
    trainer.add_event_handler(BACKWARD, Clip(model))
    with monkeypatch.context() as patched:
        for name in WAITS:
            patched.setattr(Tensor, name, wait)
        trainer.run(make_data())
    assert 0 < trainer.state.gradient_norm
    assert not trainer.state.gradient_norm.requires_grad


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_clipping_does_not_wait_for_the_gpu():
    """Once the data is on the GPU, a run that clips passes under PyTorch's check for synchronisation."""
    model = make_model().cuda()
    trainer = make_trainer(model)
    trainer.add_event_handler(BACKWARD, Clip(model))
    data = [(x.cuda(), y.cuda()) for x, y in make_data()]
    trainer.run(data)
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.run(data)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert "cuda" == trainer.state.gradient_norm.device.type


# Scalers of other makes


class Halving:
    """Scale as a GradScaler does, but never unscale before the step."""

    def scale(self, loss: Tensor) -> Tensor:
        return loss * 2

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        for parameter in optimizer.param_groups[0]["params"]:
            parameter.grad /= 2
        optimizer.step()

    def update(self) -> None:
        pass


def test_a_scaler_that_cannot_unscale_is_as_good_as_any_while_nobody_looks_at_the_gradients():
    """It trains as the plain trainer does, also with a handler of OPTIM_STEP_COMPLETED."""
    model, plain = make_model(), make_model()
    trainer = make_trainer(model, amp_mode="amp", scaler=Halving())
    trainer.add_event_handler(STEPPED, lambda: None)
    assert 6 == trainer.run(make_data()).optim_step_completed
    make_trainer(plain, amp_mode="amp").run(make_data())
    torch.testing.assert_close(weights(plain), weights(model))


def test_a_scaler_that_cannot_unscale_is_an_error_where_a_handler_looks_at_the_gradients():
    """The error comes before the handler and the step, and names what is missing, what for, and the remedy."""
    model, called = make_model(), []
    before = weights(model)
    trainer = make_trainer(model, amp_mode="amp", scaler=Halving())
    trainer.add_event_handler(BACKWARD, called.append)
    with pytest.raises(TypeError, match=r"scaler must have the method unscale_, .* got <.*BACKWARD_COMPLETED"):
        trainer.run(make_data(1))
    assert [] == called
    assert_same(before, weights(model))


def test_a_scaler_that_is_switched_off_leaves_clipping_as_it_is():
    """With `GradScaler(enabled=False)` a clipped run is bit for bit the one without a scaler."""
    results = []
    for scaler in (False, make_scaler(enabled=False)):
        model = make_model()
        trainer = make_trainer(model, amp_mode="amp", scaler=scaler)
        trainer.add_event_handler(BACKWARD, Clip(model))
        trainer.run(make_data())
        results.append(weights(model))
    assert_same(*results)


# Engines of one's own


@pytest.mark.parametrize("factory", [supervised_training_step, supervised_training_step_amp])
def test_a_step_sends_the_events_on_an_engine_that_has_them(factory):
    """One step serves for an engine with the events and for one without, and trains with both."""
    model, log = make_model(), []
    step = factory(model, make_adam(model), mse)
    without, having = Engine(step), Engine(step)
    having.register_events(*BackpropEvents)
    note(having, log, BACKWARD, STEPPED)
    before = weights(model)
    without.run(make_data(2))
    between = weights(model)
    having.run(make_data(1))
    assert ["backward_completed", "optim_step_completed"] == log
    assert not hasattr(without.state, "backward_completed")
    assert not torch.equal(before[0], between[0])
    assert not torch.equal(between[0], weights(model)[0])


def test_an_engine_may_have_one_of_the_events():
    """Only what is registered is sent."""
    model = make_model()
    engine = Engine(supervised_training_step(model, make_adam(model), mse))
    engine.register_events(STEPPED)
    engine.run(make_data(2))
    assert {"optim_step_completed": 2} == engine.state_dict()["counters"]


def test_another_event_with_the_name_of_the_signal_is_not_sent():
    """An event of the user's own that is called backward_completed is the user's to send."""

    class Mine(EventEnum):
        BACKWARD_COMPLETED = "backward_completed"

    model, called = make_model(), []
    engine = Engine(supervised_training_step(model, make_adam(model), mse))
    engine.register_events(Mine.BACKWARD_COMPLETED, "optim_step_completed")
    engine.add_event_handler(Mine.BACKWARD_COMPLETED, called.append)
    state = engine.run(make_data(2))
    assert [] == called
    assert (0, 0) == (state.backward_completed, state.optim_step_completed)


def test_an_evaluator_has_no_such_events():
    """What never computes gradients does not offer to listen for them."""
    evaluator = create_supervised_evaluator(make_model())
    assert [False, False] == [evaluator.has_registered_events(event) for event in BackpropEvents]


@pytest.mark.parametrize("deterministic", [False, True])
def test_every_supervised_trainer_has_documented_signals_for_the_events(deterministic):
    """The signals are there from the start, each with the line of its event, on a DeterministicEngine too."""
    model, twin = make_model(), make_model()
    trainer = make_trainer(model, deterministic=deterministic)
    assert deterministic == isinstance(trainer, DeterministicEngine)
    assert trainer.signals["backward_completed"] is trainer.signal(BACKWARD)
    assert "about to use them" in (trainer.signal(BACKWARD).__doc__ or "")
    assert STEPPED.__doc__ == trainer.signal(STEPPED).__doc__
    trainer.add_event_handler(BACKWARD, Clip(model))
    assert 6 == trainer.run(make_data()).optim_step_completed
    plain = make_trainer(twin)
    plain.add_event_handler(BACKWARD, Clip(twin))
    plain.run(make_data())
    assert_same(weights(twin), weights(model))


def test_what_is_given_as_a_metric_may_attach_to_the_events():
    """The events are registered before metrics are attached."""

    class NormOfGradients:
        def attach(self, engine: Engine, name: str) -> None:
            engine.add_event_handler(BACKWARD, lambda engine: engine.state.metrics.update({name: 1.0}))

    assert {"norm": 1.0} == make_trainer(metrics={"norm": NormOfGradients()}).run(make_data(1)).metrics


def test_the_events_are_counted_in_a_state_that_the_user_put_there():
    """A `State` of the user's own gets the counts, from 0."""
    trainer = make_trainer()
    trainer.run(make_data(2))
    trainer.state = State(rank=0)
    trainer.run(make_data(3))
    assert (3, 3, 0) == (trainer.state.backward_completed, trainer.state.optim_step_completed, trainer.state.rank)


# Stopping and failing


@pytest.mark.parametrize("event", list(BackpropEvents))
@pytest.mark.parametrize(("request_", "iterations"), [("terminate", 2), ("terminate_epoch", 5), ("interrupt", 2)])
def test_a_stop_requested_at_an_event_is_heeded_after_the_iteration(event, request_, iterations):
    """The optimizer still steps and the iteration is completed; then the run, or its epoch, ends."""
    trainer, log = make_trainer(), []
    trainer.add_event_handler(event(once=2), getattr(trainer, request_))
    note(trainer, log, STEPPED, Events.ITERATION_COMPLETED)
    state = trainer.run(make_data(3), max_epochs=2)
    assert iterations == state.iteration == state.optim_step_completed
    assert ["optim_step_completed", "iteration_completed"] * iterations == log


@pytest.mark.parametrize("error", [ZeroDivisionError("norm"), KeyboardInterrupt()])
def test_an_exception_of_a_handler_leaves_the_run_before_the_step(error):
    """It leaves as itself, with a note that names the event, and the weights are as they were."""
    model = make_model()
    before, trainer = weights(model), make_trainer(model)

    @trainer.on(BACKWARD)
    def fail() -> None:
        raise error

    with pytest.raises(type(error)) as raised:
        trainer.run(make_data(1))
    assert raised.value is error
    assert "of backward_completed, at count 1" in error.__notes__[0]
    assert_same(before, weights(model))
    assert (1, 0) == (trainer.state.backward_completed, trainer.state.optim_step_completed)


def test_a_run_goes_on_after_a_handler_failed_although_the_scaler_had_unscaled():
    """The scaler's scale is as it was, and the next iteration unscales again; a copy can be made at once."""
    model, scaler = make_model(), make_scaler()
    trainer = make_trainer(model, amp_mode="amp", scaler=scaler)
    trainer.add_event_handler(BACKWARD, Clip(model))

    @trainer.on(BACKWARD(once=2))
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer.run(make_data(), max_epochs=2)
    assert (2.0**10, 1) == (scaler.get_scale(), scaler.state_dict()["_growth_tracker"])
    assert 2.0**10 == pickle.loads(pickle.dumps(scaler)).get_scale()
    state = trainer.run(make_data())
    assert (12, 12, 11) == (state.iteration, state.backward_completed, state.optim_step_completed)


def test_the_error_of_a_handler_is_the_one_that_leaves_whatever_the_scaler_is():
    """A scaler of another make, which only unscales, adds no error of its own."""

    class Unscaling(Halving):
        def unscale_(self, optimizer: torch.optim.Optimizer) -> None:
            pass

    trainer = make_trainer(amp_mode="amp", scaler=Unscaling())

    @trainer.on(BACKWARD)
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trainer.run(make_data(1))
    assert (1, "failed") == (trainer.state.backward_completed, trainer.state.stop_reason)


# Keeping


def test_the_counts_are_saved_and_filters_keep_their_rhythm_after_a_resume():
    """`every=4` hits the same optimizer steps in a resumed run as in one that never stopped."""

    def ran(trainer: Engine, limit: int) -> list[int]:
        seen: list[int] = []
        with trainer.add_event_handler(BACKWARD(every=4), lambda: seen.append(trainer.state.iteration)):
            trainer.run(make_data(), max_iters=limit)
        return seen

    first, resumed = make_trainer(), make_trainer()
    start = ran(first, 6)
    saved = first.state_dict()
    assert {"backward_completed": 6, "optim_step_completed": 6} == saved["counters"]
    resumed.load_state_dict(saved)
    assert ran(make_trainer(), 18) == start + ran(resumed, 18)


def test_a_state_that_was_saved_without_the_counts_is_loaded():
    """What was saved before there were such events gives counts of 0."""
    trainer = make_trainer()
    trainer.run(make_data())
    trainer.load_state_dict({"epoch_length": 6, "iteration": 6, "max_epochs": 2})
    state = trainer.run(make_data())
    assert (12, 6, 6) == (state.iteration, state.backward_completed, state.optim_step_completed)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda engine: pickle.loads(pickle.dumps(engine))])
def test_the_copy_of_a_trainer_clips_the_gradients_of_its_own_model(copied, scaled):
    """A copied trainer goes on as one that never stopped, with counts and handlers, and leaves the first one alone."""
    options = {"amp_mode": "amp", "scaler": make_scaler()} if scaled else {}
    straight, model = make_model(), make_model()
    for_all = make_trainer(straight, **copy.deepcopy(options))
    for_all.add_event_handler(BACKWARD(every=2), Clip(straight))
    for_all.run(make_data(), max_epochs=2)
    trainer = make_trainer(model, **options)
    trainer.add_event_handler(BACKWARD(every=2), Clip(model))
    trainer.run(make_data())
    before = weights(model)
    twin = copied(trainer)
    state = twin.run(make_data(), max_epochs=2)
    assert (12, 12) == (state.backward_completed, state.optim_step_completed)
    assert_same(before, weights(model))
    assert_same(weights(straight), weights(twin._process_function.model))
    assert_same(for_all.state.gradient_norm, state.gradient_norm)


def test_a_weakly_connected_receiver_that_is_gone_is_nobody_who_listens():
    """A scaler is left to itself again once the last receiver has gone with its owner."""
    log: list[str] = []
    trainer = spied_trainer(log, make_scaler())
    clip = Clip(trainer._process_function.model)
    trainer.signal(BACKWARD).connect(clip)
    trainer.run(make_data(1))
    del clip
    trainer.run(make_data(1))
    assert ["zero_grad", "unscale_", "step", "update", "zero_grad", "step", "update"] == log


def test_reference_counting_alone_frees_a_trainer_that_clips():
    """Trainer, model and handler are gone as soon as nothing refers to them."""
    model = make_model()
    trainer, clip = make_trainer(model), Clip(model)
    trainer.add_event_handler(BACKWARD, clip)
    trainer.run(make_data(1))
    watched = [weakref.ref(gone) for gone in (trainer, clip, model)]
    gc.disable()
    try:
        del trainer, clip, model
        assert [None, None, None] == [gone() for gone in watched]
    finally:
        gc.enable()
