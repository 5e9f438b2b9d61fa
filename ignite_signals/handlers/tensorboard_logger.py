"""TensorBoard shows what a training logs: scalars, histograms of weights and gradients, images and more."""

from __future__ import annotations

import os
import tempfile
import warnings
import weakref
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from ctypes import c_float
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat

import torch
from torch import Tensor

from ignite_signals.engine.events import split
from ignite_signals.engine.limits import stack_level
from ignite_signals.extras import extra
from ignite_signals.handlers.base_logger import (
    BaseLogger,
    BaseOptimizerParamsHandler,
    BaseOutputHandler,
    BaseWeightsHandler,
    BaseWeightsScalarHandler,
    flattened,
)
from ignite_signals.handlers.event_files import Past, past
from ignite_signals.handlers.global_step import global_step_from_engine, makes_one_pass, training_step

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.observable import AnyEvent
    from ignite_signals.engine.signals import RemovableEventHandle

__all__ = [
    "GradsHistHandler",
    "GradsScalarHandler",
    "OptimizerParamsHandler",
    "OutputHandler",
    "TensorboardLogger",
    "WeightsHistHandler",
    "WeightsScalarHandler",
    "global_step_from_engine",
]


class TensorboardLogger(BaseLogger):
    """Log a training for TensorBoard, into a folder of its own.

    All values of a training lie at the training's iteration, also those that an evaluator logs. When a run has returned
    or raised, all that was logged is on the disk.

    A training that goes on after its process was killed has no point twice: what the killed process logged of later
    iterations is marked as gone, and TensorBoard does not show it. A value that is there already is not written again.
    A training of several epochs that starts from the first iteration, before anything else has run in its process,
    takes the place of an earlier one in its folder, which may have been killed before it saved anything.

    In a run of several processes the first alone writes. In the others `writer` takes every call and does nothing. Make
    the logger when the process group is there.

    A copy of the logger, or one that was unpickled, writes a file of its own in the same folder.

    Args:
        args, kwargs: those of `torch.utils.tensorboard.SummaryWriter`: `log_dir` (by default a new folder in `runs`),
            `comment`, `purge_step`, `max_queue`, `flush_secs` (a killed process loses at most the points of so many
            seconds), `filename_suffix`.

    Raises:
        ModuleNotFoundError: the package `tensorboard` is not installed; it is an extra.
        TypeError, ValueError: `log_dir` is no path.
        OSError: `log_dir` is no folder that can be written to.

    >>> import tempfile
    >>> from ignite_signals import Engine, Events
    >>> trainer = Engine(lambda engine, batch: 1 / batch)
    >>> folder = tempfile.TemporaryDirectory()
    >>> with TensorboardLogger(log_dir=folder.name) as logger:
    ...     handle = logger.attach_output_handler(
    ...         trainer,
    ...         Events.ITERATION_COMPLETED(every=2),
    ...         tag="training",
    ...         output_transform=lambda loss: {"loss": loss},
    ...     )
    ...     state = trainer.run([1, 2, 3, 4])

    Read back as TensorBoard reads it:

    >>> from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    >>> points = EventAccumulator(folder.name).Reload().Scalars("training/loss")
    >>> [(point.step, point.value) for point in points]
    [(2, 0.5), (4, 0.25)]
    >>> folder.cleanup()
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self._args, self._kwargs = args, kwargs
        self._writer: Any = None
        # Whether any engine has run in this process, and how far the runs of each have come.
        self._has_run = False
        self._reached: weakref.WeakKeyDictionary[Engine, int] = weakref.WeakKeyDictionary()
        # The last step and value that each name had when a training went on, until it has another.
        self._there: dict[str, tuple[int, float]] = {}
        # Beginnings of the names that lie at a training's iterations, and of those, what each engine logs at its own.
        self._curves: set[str] = set()
        self._curves_of: weakref.WeakKeyDictionary[Engine, set[str]] = weakref.WeakKeyDictionary()
        _check_path(_log_dir(*args, **kwargs))
        self.writer  # noqa: B018  # now, because a folder that cannot be written to is to be known before the training

    @property
    def writer(self) -> Any:
        """The `SummaryWriter`, for images and whatever else it takes; what the logger lacks is looked up there."""
        if self._writer is None:
            made = _summary_writer if self.is_active else _SilentWriter
            self._writer = made(*self._args, **self._kwargs)
        return self._writer

    @property
    def _folder(self) -> Any:
        return _log_dir(*self._args, **self._kwargs) if self._writer is None else self._writer.get_logdir()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "writer":  # as copying asks for, before there is a writer
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.writer, name)

    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Write numbers, by name, at a step. What is no number is left out, with a warning."""
        for name, value in flattened("", values):
            if not (isinstance(value, Number) and isinstance(value, SupportsFloat)):
                _warn(f"{name!r} is not logged: TensorBoard takes numbers as scalars, got {value!r}")
            elif self.is_new(name, step, float(value)):
                self.writer.add_scalar(name, float(value), step)

    def is_new(self, name: str, step: int, value: float | None = None) -> bool:
        """Tell whether a name does not have that value at that step from before the training went on.

        That of a histogram is not looked at.
        """
        there = self._there.pop(name, None)
        return there is None or there != (step, there[1] if value is None else c_float(value).value)

    def attach(
        self, engine: Engine, log_handler: Callable[..., Any], event_name: AnyEvent, *args: Any, **kwargs: Any
    ) -> RemovableEventHandle:
        """Call `log_handler(engine, logger, event_name, ...)` at an event; see `BaseLogger.attach`."""
        handle = super().attach(engine, log_handler, event_name, *args, **kwargs)
        with suppress(ValueError):  # it surrounds them already
            engine.surround_runs(self._surround)
        if (beginning := _beginning(log_handler)) is not None:
            self._curves.add(beginning)
            if any(engine.signal(plain).counter == "iteration" for plain, _ in split(event_name)):
                self._curves_of.setdefault(engine, set()).add(beginning)
        return handle

    @contextmanager
    def _surround(self, engine: Engine) -> Iterator[None]:
        """Hide what is of later iterations before a run, and have everything on the disk after it."""
        self.engines.add(engine)  # a copy of an engine is not known to the copy of the logger
        if not self.is_active:
            yield
            return
        self._go_on(engine)
        try:
            yield
        finally:
            self._has_run, self._reached[engine] = True, training_step(engine, self.engines)
            self.writer.flush()

    def _go_on(self, engine: Engine) -> None:
        """Have TensorBoard forget what lies beyond the place from which a training goes on, or begins again."""
        if engine.outer in self.engines:
            return
        step, reached = training_step(engine, self.engines), self._reached.get(engine)
        # An evaluation begins nothing again, nor does a second training of a program: to show a point twice is a
        # nuisance, to hide a training a loss.
        if not step and (self._has_run or makes_one_pass(engine.state)):
            return
        curves = self._curves if step else self._curves_of.get(engine)
        if not curves or (step and reached is not None and reached <= step):
            return
        self.writer.flush()
        file = self.writer._get_file_writer()  # a new one, where it was closed
        has_trained = reached is not None or any(each in self._curves_of for each in self._reached)
        found = past(self._folder, step, curves, None if has_trained else Path(file.event_writer._file_name))
        self._there = found.last
        if found.mark is not None:
            _hide(file, found, found.mark)
            self.writer.flush()  # before anything of the training can fail

    def close(self) -> None:
        """Write what is left and close the file. What is logged afterwards goes to a new one."""
        if self._writer is not None:
            self._writer.close()

    def _create_output_handler(self, *args: Any, **kwargs: Any) -> OutputHandler:
        return OutputHandler(*args, **kwargs)

    def _create_opt_params_handler(self, *args: Any, **kwargs: Any) -> OptimizerParamsHandler:
        return OptimizerParamsHandler(*args, **kwargs)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(log_dir={self._folder!r})"

    def __getstate__(self) -> dict[str, Any]:
        """Copy all but the open file, and what was done with it; a copy writes into the same folder."""
        arguments = {**_named_arguments(*self._args, **self._kwargs), "log_dir": self._folder}
        arguments.pop("purge_step", None)
        mine = {"_args": (), "_kwargs": arguments, "_writer": None, "_there": {}, "_has_run": False}
        return {**super().__getstate__(), **mine, "_reached": None, "_curves_of": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._reached = weakref.WeakKeyDictionary()
        self._curves_of = weakref.WeakKeyDictionary()


class OutputHandler(BaseOutputHandler):
    """Log metrics, outputs and attributes of the state as scalars; see `BaseOutputHandler`."""


class OptimizerParamsHandler(BaseOptimizerParamsHandler):
    """Log a parameter of an optimizer, such as its rate, for each group; see `BaseOptimizerParamsHandler`."""


class WeightsScalarHandler(BaseWeightsScalarHandler):
    """Log a number for each of a model's parameters, by default its norm: see `BaseWeightsScalarHandler`.

    The names are `weights_norm/fc/bias`, with the name of the reduction. All numbers come from the device at once.

    >>> from torch import nn
    >>> model = nn.Linear(2, 1)
    >>> for weight in model.parameters():
    ...     _ = nn.init.ones_(weight)
    >>> WeightsScalarHandler(model, reduction=torch.sum).values(None)
    {'weights_sum/weight': 2.0, 'weights_sum/bias': 1.0}
    """

    kind = "weights"

    def values(self, engine: Engine) -> dict[str, float]:
        """Return the numbers by name."""
        return _reduced(self, self.kind, _weights(self))


class GradsScalarHandler(BaseWeightsScalarHandler):
    """Log a number for each gradient of a model's parameters, by default its norm: see `BaseWeightsScalarHandler`.

    The names are `grads_norm/fc/bias`. A parameter without a gradient is left out.
    """

    kind = "grads"

    def values(self, engine: Engine) -> dict[str, float]:
        """Return the numbers by name."""
        return _reduced(self, self.kind, _grads(self))


class _HistHandler(BaseWeightsHandler):
    """Log histograms."""

    def __call__(self, engine: Engine, logger: TensorboardLogger, event_name: Any) -> None:
        if not isinstance(logger, TensorboardLogger):
            raise TypeError(f"logger must be a TensorboardLogger for {type(self).__name__}, got {logger!r}")
        if logger.is_active:
            step = training_step(engine, logger.engines)
            for name, tensor in self.tensors():
                _add_histogram(logger, name, tensor, step)

    @abstractmethod
    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield what to log, by name."""


class WeightsHistHandler(_HistHandler):
    """Log a histogram of each of a model's parameters: `weights/fc/bias`; see `BaseWeightsHandler`.

    Values that are not finite are not counted.
    """

    kind = "weights"

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters by name."""
        return _named(self, self.kind, _weights(self))


class GradsHistHandler(_HistHandler):
    """Log a histogram of each gradient of a model's parameters: `grads/fc/bias`; see `BaseWeightsHandler`.

    A parameter without a gradient is left out, values that are not finite are not counted.
    """

    kind = "grads"

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the gradients by name."""
        return _named(self, self.kind, _grads(self))


class _SilentWriter:
    """Take every call that a `SummaryWriter` takes, and do nothing: for the processes that do not write."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.log_dir = _log_dir(*args, **kwargs)

    def get_logdir(self) -> Any:
        """Return the folder into which the first process writes, where that was given."""
        return self.log_dir

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_") or not hasattr(_summary_writer_class(), name):
            raise AttributeError(f"SummaryWriter has no attribute {name!r}")
        return _nothing


def _nothing(*_: Any, **__: Any) -> None:
    """Do nothing."""


def _summary_writer_class() -> Any:
    extra("tensorboard", "tensorboard", "TensorboardLogger")  # which torch's module needs
    return extra("torch.utils.tensorboard", "tensorboard", "TensorboardLogger").SummaryWriter


def _summary_writer(*args: Any, **kwargs: Any) -> Any:
    made = _summary_writer_class()
    log_dir = _log_dir(*args, **kwargs)
    if "://" not in str(log_dir):  # a folder in the cloud
        _check_folder(log_dir)
    return made(*args, **kwargs)


def _named_arguments(*args: Any, **kwargs: Any) -> dict[str, Any]:
    names = ("log_dir", "comment", "purge_step", "max_queue", "flush_secs", "filename_suffix")
    return {**dict(zip(names, args, strict=False)), **kwargs}


def _log_dir(*args: Any, **kwargs: Any) -> Any:
    return _named_arguments(*args, **kwargs).get("log_dir")


def _check_path(log_dir: Any) -> None:
    if not isinstance(log_dir, str | os.PathLike | None):
        raise TypeError(f"log_dir must be the path of a folder, got {log_dir!r}")
    if "\0" in str(log_dir):
        raise ValueError(f"log_dir must be the path of a folder, which has no null characters, got {log_dir!r}")


def _check_folder(log_dir: Any) -> None:
    """Refuse a folder that cannot be written to; `SummaryWriter` would find out in its thread."""
    folder = Path(log_dir or "runs")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        message = f"log_dir must be a folder that can be written to, got {log_dir!r}: {reason}"
        raise OSError(error.errno, message) from error


def _beginning(log_handler: object) -> str | None:
    """Return with what the names of a handler's values begin, if they lie at iterations."""
    if isinstance(log_handler, BaseOutputHandler) and log_handler.global_step_transform is None:
        return f"{log_handler.tag}/" if log_handler.tag else ""
    if isinstance(log_handler, BaseOptimizerParamsHandler):
        return "/".join(filter(None, (log_handler.tag, log_handler.param_name))) + "/"
    if isinstance(log_handler, WeightsScalarHandler | WeightsHistHandler | GradsScalarHandler | GradsHistHandler):
        return "/".join(filter(None, (log_handler.tag, log_handler.kind)))
    return None


def _hide(file: Any, found: Past, mark: int) -> None:
    """Write the mark by which TensorBoard forgets what it has read from a step on, and again what is to stay."""
    kinds = extra("tensorboard.compat.proto.event_pb2", "tensorboard", "TensorboardLogger")
    start = kinds.SessionLog(status=kinds.SessionLog.START)
    for _ in range(2):  # `tensorboard --load_fast=false` takes the first one of a folder for a beginning
        file.add_event(kinds.Event(session_log=start), mark)
    for event in found.hidden():
        file.add_event(event, walltime=event.wall_time)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=stack_level())


def _weights(handler: BaseWeightsHandler) -> Iterator[tuple[str, Tensor]]:
    for name, weight in handler.weights:
        yield name, weight.detach()


def _grads(handler: BaseWeightsHandler) -> Iterator[tuple[str, Tensor]]:
    for name, weight in handler.weights:
        if weight.grad is not None:
            yield name, weight.grad.detach()


def _named(
    handler: BaseWeightsHandler, kind: str, tensors: Iterator[tuple[str, Tensor]]
) -> Iterator[tuple[str, Tensor]]:
    prefix = f"{handler.tag}/{kind}" if handler.tag else kind
    for name, tensor in tensors:
        yield f"{prefix}/{name.replace('.', '/')}", tensor


def _reduced(handler: BaseWeightsScalarHandler, kind: str, tensors: Iterator[tuple[str, Tensor]]) -> dict[str, float]:
    reduction = getattr(handler.reduction, "__name__", type(handler.reduction).__name__)
    named = _named(handler, f"{kind}_{reduction}", tensors)
    return _fetched({name: handler.reduction(tensor) for name, tensor in named})


def _fetched(values: dict[str, Any]) -> dict[str, float]:
    """Return tensors without dimensions as numbers; those of one device wait for it once, not once each."""
    alike: dict[Any, list[str]] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            alike.setdefault((value.device, value.dtype), []).append(name)
    numbers = dict(values)
    for names in alike.values():
        numbers.update(zip(names, torch.stack([values[name] for name in names]).tolist(), strict=True))
    return numbers


def _add_histogram(logger: TensorboardLogger, name: str, tensor: Tensor, step: int) -> None:
    if not logger.is_new(name, step):
        return
    values = _finite(tensor)
    if values.numel():
        logger.writer.add_histogram(name, values.numpy(), step)
    else:
        _warn(f"{name!r} is not logged at step {step}: it has no finite value to make a histogram of")


def _finite(tensor: Tensor) -> Tensor:
    """Return the finite values, in memory and in a type that numpy has."""
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64):
        tensor = tensor.float()
    tensor = tensor.cpu()
    return tensor[tensor.isfinite()]
