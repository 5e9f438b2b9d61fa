"""Supervised engines: one that trains a model on pairs `(x, y)`, and one that evaluates it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs
import torch
from torch import Tensor, nn

from ignite_signals.engine.attachable import attachable
from ignite_signals.engine.backprop_events import BackpropEvents
from ignite_signals.engine.deterministic import DeterministicEngine
from ignite_signals.engine.engine import Engine
from ignite_signals.engine.steps import (
    Device,
    LossFunction,
    PrepareBatch,
    SupervisedEvaluation,
    SupervisedTraining,
    call_model,
    detached_loss,
    device_type,
    prediction_and_target,
    to_device,
    unchanged,
)

__all__ = [
    "create_supervised_evaluator",
    "create_supervised_trainer",
    "supervised_evaluation_step",
    "supervised_evaluation_step_amp",
    "supervised_training_step",
    "supervised_training_step_amp",
]


StepFunction: TypeAlias = Callable[[Engine, Any], Any]


def supervised_training_step(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
    model_transform: Callable[[Any], Any] = unchanged,
    output_transform: Callable[[Any, Any, Any, Tensor], Any] = detached_loss,
    gradient_accumulation_steps: int = 1,
    model_fn: Callable[[Any, Any], Any] = call_model,
) -> StepFunction:
    """Return the step of a supervised trainer, for an `Engine` of your own.

    The arguments and the errors are those of `create_supervised_trainer`.

    >>> from ignite_signals.engine import Engine
    >>> model = nn.Linear(3, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = Engine(supervised_training_step(model, sgd, nn.functional.mse_loss))
    >>> trainer.run([(torch.ones(4, 3), torch.ones(4, 1))]).output.shape
    torch.Size([])
    """
    return SupervisedTraining(
        model=model,
        optimizer=optimizer,
        loss_fn=loss_fn,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
        model_transform=model_transform,
        output_transform=output_transform,
        gradient_accumulation_steps=gradient_accumulation_steps,
        model_fn=model_fn,
    )


def supervised_training_step_amp(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
    model_transform: Callable[[Any], Any] = unchanged,
    output_transform: Callable[[Any, Any, Any, Tensor], Any] = detached_loss,
    scaler: torch.amp.GradScaler | None = None,
    gradient_accumulation_steps: int = 1,
    model_fn: Callable[[Any, Any], Any] = call_model,
    amp_dtype: torch.dtype | None = None,
) -> StepFunction:
    """Return the step of a supervised trainer under autocast, for an `Engine` of your own.

    The arguments and the errors are those of `create_supervised_trainer`.

    >>> from ignite_signals.engine import Engine
    >>> model = nn.Linear(3, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> def predicted(x, y, y_pred, loss):
    ...     return y_pred.detach()
    >>> step = supervised_training_step_amp(model, sgd, nn.functional.mse_loss, output_transform=predicted)
    >>> Engine(step).run([(torch.ones(4, 3), torch.ones(4, 1))]).output.dtype
    torch.bfloat16
    """
    return SupervisedTraining(
        model=model,
        optimizer=optimizer,
        loss_fn=loss_fn,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
        model_transform=model_transform,
        output_transform=output_transform,
        gradient_accumulation_steps=gradient_accumulation_steps,
        model_fn=model_fn,
        amp=True,
        amp_dtype=amp_dtype,
        scaler=scaler,
    )


def create_supervised_trainer(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_fn: LossFunction,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
    model_transform: Callable[[Any], Any] = unchanged,
    output_transform: Callable[[Any, Any, Any, Tensor], Any] = detached_loss,
    deterministic: bool = False,
    amp_mode: str | None = None,
    scaler: bool | torch.amp.GradScaler = False,
    gradient_accumulation_steps: int = 1,
    model_fn: Callable[[Any, Any], Any] = call_model,
    metrics: Mapping[str, Any] | None = None,
    amp_dtype: torch.dtype | None = None,
) -> Engine:
    """Return an engine that trains a model on batches `(x, y)`.

    `engine.state.output` is the loss, a tensor of shape `()` that is detached and stays on its
    device: reading the number of every loss would make every iteration wait for the device.

    The engine has the events of `BackpropEvents` beside its own, so that a handler may clip or
    measure the gradients before the optimizer uses them.

    Args:
        model: the model; move it to its device before the optimizer is made.
        optimizer: what updates it.
        loss_fn: called as `loss_fn(y_pred, y)`, returns a tensor of shape `()`.
        device: where the batches go; None leaves them where they are.
        non_blocking: do not wait for a copy from pinned memory to a GPU.
        prepare_batch: called as `prepare_batch(batch, device=device, non_blocking=non_blocking)`,
            returns the pair `(x, y)`; by default the batch is that pair.
        model_transform: makes of what the model returned what the loss takes.
        output_transform: makes of `(x, y, y_pred, loss)` the engine's output.
        deterministic: return a `DeterministicEngine`, which resumes with the batches and the random numbers
            of a run that never stopped.
        amp_mode: "amp" computes prediction and loss under `torch.autocast`, on the kind of device
            that `device` names or else that the model is on.
        scaler: a `torch.amp.GradScaler` against gradients that vanish in float16, or True to make
            one; it is then `engine.state.scaler`, where its state can be saved and loaded. It unscales
            the gradients ahead of BACKWARD_COMPLETED where anything is connected to that.
        gradient_accumulation_steps: how many iterations the gradients are summed over before the
            optimizer steps. Each loss is divided by it for that; the output is the undivided loss.
        model_fn: called as `model_fn(model, x)`, for a model that takes `x` in another form.
        metrics: what to attach, by name, torchmetrics' metrics too; they see the engine's output.
        amp_dtype: the type to compute in; by default what autocast takes on the device.

    Raises:
        TypeError: an argument is not callable, or lacks a method that the step calls.
        ValueError: a number, device or dtype is out of range, a scaler or dtype is given without
            `amp_mode="amp"`, or a mode is asked for that there is not.

    Example:

    >>> from ignite_signals import Events
    >>> seed = torch.manual_seed(0)
    >>> model = nn.Linear(1, 1)
    >>> sgd = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> trainer = create_supervised_trainer(model, sgd, nn.functional.mse_loss)
    >>> @trainer.on(Events.EPOCH_COMPLETED(every=50))
    ... def show(engine):
    ...     print(engine.state.epoch, round(float(engine.state.output), 3))
    >>> x = torch.linspace(-1, 1, 20).unsqueeze(1)
    >>> state = trainer.run([(x, 3 * x + 1)], max_epochs=100)
    50 0.002
    100 0.0
    """
    _check_modes(amp_mode, amp_dtype)
    step = SupervisedTraining(
        model=model,
        optimizer=optimizer,
        loss_fn=loss_fn,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
        model_transform=model_transform,
        output_transform=output_transform,
        gradient_accumulation_steps=gradient_accumulation_steps,
        model_fn=model_fn,
        amp=amp_mode == "amp",
        amp_dtype=amp_dtype,
    )
    # Only now, when model and device have passed, can they say what kind of scaler to make.
    step = attrs.evolve(step, scaler=_scaler(scaler, amp_mode, model, device))
    trainer = DeterministicEngine(step) if deterministic else Engine(step)
    trainer.register_events(*BackpropEvents)
    _with_metrics(trainer, metrics)
    if step.scaler is not None:
        trainer.state.scaler = step.scaler
    return trainer


def supervised_evaluation_step(
    model: nn.Module,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
    model_transform: Callable[[Any], Any] = unchanged,
    output_transform: Callable[[Any, Any, Any], Any] = prediction_and_target,
    model_fn: Callable[[Any, Any], Any] = call_model,
) -> StepFunction:
    """Return the step of a supervised evaluator, for an `Engine` of your own.

    The arguments and the errors are those of `create_supervised_evaluator`.

    >>> from ignite_signals.engine import Engine
    >>> evaluator = Engine(supervised_evaluation_step(nn.Identity()))
    >>> evaluator.run([(torch.tensor([0.5]), torch.tensor([1.0]))]).output
    (tensor([0.5000]), tensor([1.]))
    """
    return SupervisedEvaluation(
        model=model,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
        model_transform=model_transform,
        output_transform=output_transform,
        model_fn=model_fn,
    )


def supervised_evaluation_step_amp(
    model: nn.Module,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
    model_transform: Callable[[Any], Any] = unchanged,
    output_transform: Callable[[Any, Any, Any], Any] = prediction_and_target,
    model_fn: Callable[[Any, Any], Any] = call_model,
    amp_dtype: torch.dtype | None = None,
) -> StepFunction:
    """Return the step of a supervised evaluator under autocast, for an `Engine` of your own.

    The arguments and the errors are those of `create_supervised_evaluator`.

    >>> from ignite_signals.engine import Engine
    >>> evaluator = Engine(supervised_evaluation_step_amp(nn.Linear(3, 1), amp_dtype=torch.bfloat16))
    >>> evaluator.run([(torch.ones(4, 3), torch.ones(4, 1))]).output[0].dtype
    torch.bfloat16
    """
    return SupervisedEvaluation(
        model=model,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
        model_transform=model_transform,
        output_transform=output_transform,
        model_fn=model_fn,
        amp=True,
        amp_dtype=amp_dtype,
    )


def create_supervised_evaluator(
    model: nn.Module,
    metrics: Mapping[str, Any] | None = None,
    device: Device = None,
    non_blocking: bool = False,
    prepare_batch: PrepareBatch = to_device,
    model_transform: Callable[[Any], Any] = unchanged,
    output_transform: Callable[[Any, Any, Any], Any] = prediction_and_target,
    amp_mode: str | None = None,
    model_fn: Callable[[Any, Any], Any] = call_model,
    amp_dtype: torch.dtype | None = None,
) -> Engine:
    """Return an engine that lets a model predict on batches `(x, y)`, without gradients.

    `engine.state.output` is `(y_pred, y)`, which metrics take. One evaluator serves for several
    data sets: each run has a fresh `engine.state.metrics`.

    Args:
        model: the model, which is set to evaluation mode for each batch.
        metrics: what to attach, by name, torchmetrics' metrics too.
        device: where the batches go; None leaves them where they are.
        non_blocking: do not wait for a copy from pinned memory to a GPU.
        prepare_batch: called as `prepare_batch(batch, device=device, non_blocking=non_blocking)`,
            returns the pair `(x, y)`; by default the batch is that pair.
        model_transform: makes of what the model returned the prediction.
        output_transform: makes of `(x, y, y_pred)` the engine's output.
        amp_mode: "amp" predicts under `torch.autocast`, on the kind of device that `device` names or
            else that the model is on.
        model_fn: called as `model_fn(model, x)`, for a model that takes `x` in another form.
        amp_dtype: the type to compute in; by default what autocast takes on the device.

    Raises:
        TypeError: an argument is not callable, or lacks a method that is called.
        ValueError: a device or dtype is not one, a dtype is given without `amp_mode="amp"`, or a mode
            is asked for that there is not.

    >>> from ignite_signals.metrics import Accuracy
    >>> evaluator = create_supervised_evaluator(nn.Identity(), metrics={"accuracy": Accuracy()})
    >>> train = evaluator.run([(torch.eye(2), torch.tensor([0, 1]))]).metrics
    >>> test = evaluator.run([(torch.eye(2), torch.tensor([0, 0]))]).metrics
    >>> train, test
    ({'accuracy': 1.0}, {'accuracy': 0.5})
    """
    _check_modes(amp_mode, amp_dtype)
    step = SupervisedEvaluation(
        model=model,
        device=device,
        non_blocking=non_blocking,
        prepare_batch=prepare_batch,
        model_transform=model_transform,
        output_transform=output_transform,
        model_fn=model_fn,
        amp=amp_mode == "amp",
        amp_dtype=amp_dtype,
    )
    return _with_metrics(Engine(step), metrics)


def _check_modes(amp_mode: str | None, amp_dtype: torch.dtype | None) -> None:
    if amp_mode not in (None, "amp"):
        raise ValueError(
            f'amp_mode must be None or "amp", got {amp_mode!r}: use "amp", which is torch.autocast on any device'
        )
    if amp_mode is None and amp_dtype is not None:
        raise ValueError(f'amp_dtype must be None without autocast, got {amp_dtype}: give amp_mode="amp" with it')


def _scaler(
    scaler: bool | torch.amp.GradScaler, amp_mode: str | None, model: nn.Module, device: Device
) -> torch.amp.GradScaler | None:
    if scaler is False or scaler is None:
        return None
    if amp_mode is None:
        raise ValueError(f'scaler must be False without autocast, got {scaler!r}: give amp_mode="amp" with it')
    return torch.amp.GradScaler(device_type(model, device)) if scaler is True else scaler


def _with_metrics(engine: Engine, metrics: Mapping[str, Any] | None) -> Engine:
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"metrics must map names to metrics, as {{'accuracy': Accuracy()}} does, got {metrics!r}")
    for name, metric in (metrics or {}).items():
        attachable(metric, name).attach(engine, name)
    return engine
