"""Steps are what an engine runs on each batch: prepare it, let the model predict, train or return.

A step is an object that holds what it works with, so that an engine with one can be pickled and
deep-copied together with its model and optimizer. All of them come the same way from a batch to a
prediction, in full precision or under autocast.
"""

from __future__ import annotations

import reprlib
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol, TypeAlias

import attrs
import torch
from torch import Tensor, nn

from ignite_signals.engine.accumulated_gradients import AccumulatedGradients
from ignite_signals.engine.backprop_events import BackpropEvents
from ignite_signals.engine.callables import check_callable
from ignite_signals.engine.engine import Engine
from ignite_signals.engine.integers import integer
from ignite_signals.engine.signals import EventSignal
from ignite_signals.utils import convert_tensor

__all__ = [
    "BatchStep",
    "SupervisedEvaluation",
    "SupervisedTraining",
    "call_model",
    "detached_loss",
    "device_type",
    "prediction_and_target",
    "to_device",
    "unchanged",
]

Device: TypeAlias = str | torch.device | None
LossFunction: TypeAlias = Callable[[Any, Any], Tensor]


class PrepareBatch(Protocol):
    """Make of a batch, the `device` and `non_blocking` the pair `(x, y)` on that device."""

    def __call__(self, batch: Any, /, device: Device, non_blocking: bool) -> tuple[Any, Any]: ...


# Looking up a member of an Enum takes longer than the rest of what an event costs that nobody listens to.
_BACKWARD_COMPLETED, _OPTIM_STEP_COMPLETED = BackpropEvents


def _signal(engine: Engine, event: BackpropEvents) -> EventSignal | None:
    """Return the signal of an event, or None where the engine does not have it."""
    signal = engine.signals.find(event._value_)
    return signal if signal is not None and signal.event is event else None


# What the factories do by default. Named functions, because a lambda could not be pickled.


def to_device(batch: Any, /, device: Device = None, non_blocking: bool = False) -> tuple[Any, Any]:
    """Move a batch that is a pair `(x, y)` to the device.

    Raises:
        ValueError: the batch is not a pair.
    """
    try:
        x, y = batch
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"a batch must be a pair (x, y), got {type(batch).__name__} ({error}); "
            "give prepare_batch to make a pair of it"
        ) from error
    return convert_tensor(x, device, non_blocking), convert_tensor(y, device, non_blocking)


def call_model(model: Any, x: Any) -> Any:
    """Return `model(x)`."""
    return model(x)


def unchanged(y_pred: Any) -> Any:
    """Return the prediction as it is."""
    return y_pred


def detached_loss(x: Any, y: Any, y_pred: Any, loss: Tensor) -> Tensor:
    """Return the loss as a tensor without a graph, which nobody has to wait for."""
    return loss.detach()


def prediction_and_target(x: Any, y: Any, y_pred: Any) -> tuple[Any, Any]:
    """Return `(y_pred, y)`, which metrics take."""
    return y_pred, y


# What the fields of a step may be.


def is_function(_: Any, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what cannot be called."""
    check_callable(field.name, value)


def has(*methods: str, like: str) -> Callable[[Any, attrs.Attribute[Any], object], None]:
    """Return a validator that refuses what lacks one of the methods that a step calls."""

    def check(_: Any, field: attrs.Attribute[Any], value: object) -> None:
        if not all(callable(getattr(value, method, None)) for method in methods):
            raise TypeError(
                f"{field.name} must have the methods {', '.join(methods)}, as {like} has, got {reprlib.repr(value)}"
            )

    return check


def is_positive(_: Any, field: attrs.Attribute[Any], value: object) -> None:
    """Refuse what is not a positive integer."""
    integer(field.name, value)


def is_device(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    """Refuse what is neither None nor a device of torch."""
    try:
        torch.device("cpu" if value is None else value)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"{field.name} must be None or a device such as 'cuda:0', got {value!r}") from error


def _is_float_type(_: Any, field: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not (isinstance(value, torch.dtype) and value.is_floating_point):
        raise ValueError(f"{field.name} must be None or a dtype such as torch.bfloat16, got {value!r}")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class BatchStep:
    """Hold the model, and how its batches come to the device."""

    model: nn.Module = attrs.field(validator=has("train", "eval", "parameters", like="torch.nn.Module"))
    device: Device = attrs.field(validator=is_device)
    non_blocking: bool
    prepare_batch: PrepareBatch = attrs.field(validator=is_function)

    def prepared(self, batch: Any) -> tuple[Any, Any]:
        return self.prepare_batch(batch, device=self.device, non_blocking=self.non_blocking)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class _PredictingStep(BatchStep):
    """Go from x to a prediction, under autocast where that is wanted."""

    model_transform: Callable[[Any], Any] = attrs.field(validator=is_function)
    model_fn: Callable[[Any, Any], Any] = attrs.field(validator=is_function)
    output_transform: Callable[..., Any] = attrs.field(validator=is_function)
    amp: bool = False
    amp_dtype: torch.dtype | None = attrs.field(default=None, validator=_is_float_type)

    def autocast(self) -> AbstractContextManager[Any]:
        if not self.amp:
            return nullcontext()
        return torch.autocast(device_type(self.model, self.device), dtype=self.amp_dtype)

    def predict(self, x: Any) -> Any:
        return self.model_transform(self.model_fn(self.model, x))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SupervisedTraining(_PredictingStep):
    """Train the model on one batch; the optimizer steps on every so many of them."""

    optimizer: torch.optim.Optimizer = attrs.field(validator=has("step", "zero_grad", like="torch.optim.SGD"))
    loss_fn: LossFunction = attrs.field(validator=is_function)
    gradient_accumulation_steps: int = attrs.field(validator=is_positive)
    scaler: torch.amp.GradScaler | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(has("scale", "step", "update", like="torch.amp.GradScaler")),
    )
    # What is summed up between two steps of the optimizer, which a run that is resumed needs.
    accumulated: AccumulatedGradients = attrs.field(init=False)

    @accumulated.default
    def _of_the_optimizer(self) -> AccumulatedGradients:
        return AccumulatedGradients(self.optimizer)

    @property
    def statefuls(self) -> list[Any]:
        """What is saved with an engine that has this step."""
        owned = [self.accumulated] if self.gradient_accumulation_steps > 1 else []
        return owned if self.scaler is None else [*owned, self.scaler]

    def __call__(self, engine: Engine, batch: Any) -> Any:
        # By the iteration and not by a count of its own, so that a run which is resumed keeps the rhythm.
        iteration, period = engine.state.iteration, self.gradient_accumulation_steps
        if (iteration - 1) % period == 0:
            self.optimizer.zero_grad()
        self.model.train()
        x, y = self.prepared(batch)
        with self.autocast():
            y_pred = self.predict(x)
            loss = self.loss_fn(y_pred, y)
        self.backward(loss if period == 1 else loss / period)
        self.accumulated.is_under_way = iteration % period != 0
        if iteration % period == 0:
            self.update(engine)
        return self.output_transform(x, y, y_pred, loss)

    def backward(self, loss: Tensor) -> None:
        (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]

    def update(self, engine: Engine) -> None:
        self.announce_gradients(engine)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        signal = _signal(engine, _OPTIM_STEP_COMPLETED)
        if signal is not None:
            signal.emit(engine)

    def announce_gradients(self, engine: Engine) -> None:
        signal = _signal(engine, _BACKWARD_COMPLETED)
        if signal is None:
            return
        if self.scaler is None or not signal.receivers:
            signal.emit(engine)
            return
        self.unscale(self.scaler)
        try:
            signal.emit(engine)
        except BaseException:
            # Let the scaler forget that it unscaled, or else it would refuse to do so in a run that goes on.
            if isinstance(self.scaler, torch.amp.GradScaler):
                self.scaler.update(self.scaler.get_scale())
            raise

    def unscale(self, scaler: torch.amp.GradScaler) -> None:
        """Make the gradients what handlers take them for; only a scaler that somebody needs it of must be able to."""
        if not callable(getattr(scaler, "unscale_", None)):
            raise TypeError(
                f"scaler must have the method unscale_, as torch.amp.GradScaler has, got {reprlib.repr(scaler)}: "
                f"handlers of {_BACKWARD_COMPLETED} would see scaled gradients; give another scaler, or remove them"
            )
        scaler.unscale_(self.optimizer)


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SupervisedEvaluation(_PredictingStep):
    """Let the model predict on one batch."""

    @torch.no_grad()
    def __call__(self, engine: Engine, batch: Any) -> Any:
        self.model.eval()
        x, y = self.prepared(batch)
        with self.autocast():
            y_pred = self.predict(x)
        return self.output_transform(x, y, y_pred)


def device_type(model: nn.Module, device: Device) -> str:
    """Return the kind of device, "cpu" or "cuda" for example, that the model computes on."""
    if device is not None:
        return torch.device(device).type
    parameter = next(model.parameters(), None)
    return "cpu" if parameter is None else parameter.device.type
