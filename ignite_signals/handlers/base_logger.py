"""What loggers have in common: handlers read values off a run, and a logger writes them at the training's step.

A logger for another tracker needs two methods, `log` and `close`; which values there are, when they are read, and at
which step they lie is told here.

>>> class Printing(BaseLogger):
...     def log(self, values, step):
...         print(step, dict(values))
>>> from ignite_signals.engine import Engine, Events
>>> trainer = Engine(lambda engine, batch: batch / 2)
>>> with Printing() as logger:
...     handle = logger.attach_output_handler(trainer, Events.EPOCH_COMPLETED, tag="training", output_transform=float)
...     state = trainer.run([1, 2, 3], max_epochs=2)
3 {'training/output': 1.5}
6 {'training/output': 1.5}
"""

from __future__ import annotations

import inspect
import operator
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from numbers import Number
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn

from ignite_signals.distributed import get_rank
from ignite_signals.engine.callables import Parameters, check_callable, described, label
from ignite_signals.engine.events import FilteredEvent, split
from ignite_signals.engine.limits import stack_level
from ignite_signals.engine.receivers import priority_of
from ignite_signals.engine.signals import RemovableEventHandle
from ignite_signals.handlers.checks import brief, check_engine
from ignite_signals.handlers.global_step import training_step
from ignite_signals.handlers.logged_values import flattened
from ignite_signals.handlers.param_scheduler.base import check_groups

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from ignite_signals.engine import Engine
    from ignite_signals.engine.observable import AnyEvent

__all__ = [
    "BaseHandler",
    "BaseLogger",
    "BaseOptimizerParamsHandler",
    "BaseOutputHandler",
    "BaseWeightsHandler",
    "BaseWeightsScalarHandler",
    "flattened",
]

# As the package's metrics come before the handlers of the user's own, loggers come after them.
_PRIORITY = -100


class BaseHandler(ABC):
    """Read values off a run and give them to a logger: what `BaseLogger.attach` attaches."""

    priority = _PRIORITY

    @abstractmethod
    def __call__(self, engine: Engine, logger: Any, event_name: Any) -> None:
        """Give the logger what there is at an event."""


class _ScalarsHandler(BaseHandler):
    """Give a logger values, all at one step."""

    global_step_transform: Callable[[Engine, Any], int] | None = None

    def __call__(self, engine: Engine, logger: BaseLogger, event_name: Any) -> None:
        # Elsewhere nothing is read, because to read a tensor is to wait for its device.
        if logger.is_active and (values := self.values(engine)):
            logger.log(values, self.global_step(engine, logger, event_name))

    @abstractmethod
    def values(self, engine: Engine) -> dict[str, Any]:
        """Return numbers, and other things that a logger may know how to write, by name."""

    def global_step(self, engine: Engine, logger: BaseLogger, event_name: Any) -> int:
        """Return the step at which to log: what `global_step_transform` gives, else the training's iteration."""
        if self.global_step_transform is None:
            return training_step(engine, logger.engines)
        return _checked_step(self.global_step_transform(engine, event_name), self.global_step_transform)


class BaseOutputHandler(_ScalarsHandler):
    """Log metrics, what the step returned, and attributes of the state.

    Values are numbers, strings, tensors and arrays without dimensions or with one, and dicts, lists and tuples of
    these, whose keys and indices become parts of the names: `validation/recall/3`. None is no value, and left out.
    They are read when they are logged, and at no other time.

    Args:
        tag: what the names begin with, such as "training".
        metric_names: which values of `engine.state.metrics`; "all" for all there are.
        output_transform: makes of `engine.state.output` a value, or a dict of values.
        global_step_transform: makes of `(engine, event_name)` the step, as `global_step_from_engine(trainer)` does. By
            default it is the iteration of the training, see `training_step`.
        state_attributes: which attributes of `engine.state`.

    Raises:
        TypeError: a name is no string, or a transform not callable.
        ValueError: there is nothing to log.

    >>> from ignite_signals.engine import Engine
    >>> engine = Engine(lambda engine, batch: None)
    >>> engine.state.metrics = {"accuracy": 0.75, "recall": torch.tensor([0.5, 1.0])}
    >>> BaseOutputHandler("test", metric_names="all").values(engine)
    {'test/accuracy': 0.75, 'test/recall/0': 0.5, 'test/recall/1': 1.0}
    """

    def __init__(
        self,
        tag: str,
        metric_names: str | list[str] | None = None,
        output_transform: Callable[[Any], Any] | None = None,
        global_step_transform: Callable[[Engine, Any], int] | None = None,
        state_attributes: list[str] | None = None,
    ) -> None:
        _check_tag(tag)
        if metric_names != "all":
            check_names("metric_names", metric_names, ' or "all"')
        check_names("state_attributes", state_attributes)
        for role, transform in (
            ("output_transform", output_transform),
            ("global_step_transform", global_step_transform),
        ):
            if transform is not None:
                check_callable(role, transform)
        if all(source is None for source in (metric_names, output_transform, state_attributes)):
            raise ValueError("one of metric_names, output_transform and state_attributes must be given, got none")
        self.tag = tag
        self.metric_names = metric_names
        self.output_transform = output_transform
        self.global_step_transform = global_step_transform
        self.state_attributes = state_attributes

    def values(self, engine: Engine) -> dict[str, Any]:
        """Return the values by name, which begins with the tag."""
        return _values_in(flattened(self.tag, self._values(engine)))

    def _values(self, engine: Engine) -> dict[str, Any]:
        found = dict(self._metrics(engine))
        if self.output_transform is not None:
            output = self.output_transform(engine.state.output)
            found |= output if isinstance(output, Mapping) else {"output": output}
        return found | dict(self._attributes(engine))

    def _attributes(self, engine: Engine) -> Iterator[tuple[str, Any]]:
        for name in self.state_attributes or ():
            if hasattr(engine.state, name):
                yield name, getattr(engine.state, name)
            else:
                _warn(f"state_attributes has {name!r}, which {engine!r} does not have yet")

    def _metrics(self, engine: Engine) -> Iterator[tuple[str, Any]]:
        metrics = engine.state.metrics
        for name in metrics if self.metric_names == "all" else self.metric_names or ():
            if name in metrics:
                yield name, metrics[name]
            else:
                _warn(f"metric_names has {name!r}, which is not among the metrics of {engine!r}: {list(metrics)}")


class BaseOptimizerParamsHandler(_ScalarsHandler):
    """Log a parameter of an optimizer, of each of its groups.

    Args:
        optimizer: or any object with `param_groups`.
        param_name: the parameter's key in the groups.
        tag: what the names begin with, where there are several optimizers.

    Raises:
        TypeError: the optimizer has no `param_groups`, or the tag is no string.
        ValueError: a group lacks the parameter.
    """

    def __init__(self, optimizer: Optimizer, param_name: str = "lr", tag: str | None = None) -> None:
        _check_tag(tag, optional=True)
        check_groups(optimizer, param_name, None)
        self.optimizer = optimizer
        self.param_name = param_name
        self.tag = tag

    def values(self, engine: Engine) -> dict[str, Any]:
        """Return the parameter of each group, by name."""
        groups = {f"group_{index}": group[self.param_name] for index, group in enumerate(self.optimizer.param_groups)}
        return _values_in(flattened("/".join(filter(None, (self.tag, self.param_name))), groups))


class BaseWeightsHandler(BaseHandler):
    """Log what a model's parameters are, or their gradients.

    Args:
        model: whose parameters.
        tag: what the names begin with, where there are several models.
        whitelist: names of parameters, or of submodules whose parameters are meant; or a function of a name and a
            parameter. All by default.

    Attributes:
        weights: the names and parameters that were chosen.

    Raises:
        TypeError: the model is no module, or the whitelist neither a list of names nor a function.
        ValueError: the whitelist has a name that the model does not.
    """

    def __init__(
        self,
        model: nn.Module,
        tag: str | None = None,
        whitelist: list[str] | Callable[[str, nn.Parameter], bool] | None = None,
    ) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, got {brief(model)}")
        _check_tag(tag, optional=True)
        self.model = model
        self.tag = tag
        self.weights = _chosen(model, whitelist)


class BaseWeightsScalarHandler(_ScalarsHandler, BaseWeightsHandler):
    """Log a number for each of a model's parameters, or of their gradients: its norm, for example.

    Args:
        model: whose parameters.
        reduction: makes of a tensor a number.
        tag: what the names begin with, where there are several models.
        whitelist: which parameters; see `BaseWeightsHandler`.

    Raises:
        TypeError: see `BaseWeightsHandler`; or `reduction` is not callable, or does not give a number.
        ValueError: see `BaseWeightsHandler`.
    """

    def __init__(
        self,
        model: nn.Module,
        reduction: Callable[[Tensor], float | Tensor] = torch.norm,
        tag: str | None = None,
        whitelist: list[str] | Callable[[str, nn.Parameter], bool] | None = None,
    ) -> None:
        super().__init__(model, tag, whitelist)
        check_callable("reduction", reduction)
        number = reduction(torch.ones(4, 2))
        if not (isinstance(number, Number) or (isinstance(number, Tensor) and number.ndim == 0)):
            raise TypeError(f"reduction must give a number or a tensor without dimensions, got {number!r}")
        self.reduction = reduction


class BaseLogger(ABC):
    """Write down what handlers read off runs: the base of loggers.

    A subclass has `log`, and `close` where it has something to let go of. In a run of several processes the first alone
    writes. Loggers are called after the metrics and the handlers of the user's own, before checkpoints are saved. A
    logger keeps no engine; a copy of it knows none.

    Attributes:
        engines: those whose events it has been attached to.
    """

    def __init__(self) -> None:
        # Weak, because engines keep the loggers that are attached to them.
        self.engines: weakref.WeakSet[Engine] = weakref.WeakSet()

    @abstractmethod
    def log(self, values: Mapping[str, Any], step: int) -> None:
        """Write values down, by name, at a step."""

    def close(self) -> None:  # noqa: B027  # not every logger has something to close
        """Let go of files and the like; what was logged is there to be read."""

    @property
    def is_active(self) -> bool:
        """Whether this process writes."""
        return get_rank() == 0

    def attach(
        self, engine: Engine, log_handler: Callable[..., Any], event_name: AnyEvent, *args: Any, **kwargs: Any
    ) -> RemovableEventHandle:
        """Call `log_handler(engine, logger, event_name, ...)` at an event.

        What the event sends beside the engine is not passed on, and a logger deals with no exception: an exception that
        was logged at EXCEPTION_RAISED leaves the run.

        Args:
            engine: whose event.
            log_handler: a handler of this logger, or any function.
            event_name: the event, filtered or not, or several joined by `|`; the handler is told the plain event.
            args, kwargs: passed on.

        Returns:
            A handle that removes the handler, also at the end of a `with` block.

        Raises:
            TypeError: `engine` is no engine, or the handler not callable.
            ValueError: the handler does not take what it is called with.
            UnknownEventError: the event is not registered.
        """
        check_engine(engine)
        check_callable("log_handler", log_handler)
        wanted = [(engine.signal(plain), condition) for plain, condition in split(event_name)]
        handles = []
        for signal, condition in wanted:  # all are known before any is connected
            event = signal.event if condition is None else FilteredEvent(signal.event, condition)
            given = self, signal.event, *args
            if isinstance(log_handler, BaseHandler) and signal.payload == ():
                handles.append(engine.add_event_handler(event, log_handler, *given, **kwargs))
            else:
                handles.append(engine.add_event_handler(event, _LogCall(log_handler, engine, given, kwargs)))
        self.engines.add(engine)
        return RemovableEventHandle.joined(handles)

    def attach_output_handler(
        self, engine: Engine, event_name: AnyEvent, *args: Any, **kwargs: Any
    ) -> RemovableEventHandle:
        """Log metrics, outputs and attributes of the state at an event; `args` make the `OutputHandler`."""
        return self.attach(engine, self._create_output_handler(*args, **kwargs), event_name)

    def attach_opt_params_handler(
        self, engine: Engine, event_name: AnyEvent, *args: Any, **kwargs: Any
    ) -> RemovableEventHandle:
        """Log an optimizer's parameter at an event; `args` make the `OptimizerParamsHandler`."""
        return self.attach(engine, self._create_opt_params_handler(*args, **kwargs), event_name)

    def _create_output_handler(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return BaseOutputHandler(*args, **kwargs)

    def _create_opt_params_handler(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        return BaseOptimizerParamsHandler(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        # A copy of an engine would take all that are logged with it along.
        return {name: value for name, value in vars(self).items() if name != "engines"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.engines = weakref.WeakSet()


class _LogCall:
    """Call a log handler with the engine and what it was attached with, whatever the event sends."""

    only_watches = True  # what logs an exception does not deal with it
    # How it is called itself, and not what it wraps.
    __signature__ = inspect.signature(lambda engine, *payload, **named: None)

    def __init__(
        self, handler: Callable[..., Any], engine: Engine, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        if not Parameters(handler).take((engine, *args), kwargs):
            raise ValueError(f"log_handler must take (engine, logger, event_name), got {described(handler)}")
        # A function has no priority, and is the logger's all the same.
        self.priority = priority_of(handler) if hasattr(handler, "priority") else _PRIORITY
        self.__wrapped__ = handler  # for tables and errors, which name what the user gave
        self.__qualname__ = getattr(handler, "__qualname__", type(handler).__qualname__)
        self._args, self._kwargs = args, kwargs

    def __call__(self, engine: Engine, *payload: Any, **named: Any) -> None:
        self.__wrapped__(engine, *self._args, **self._kwargs)


def _values_in(named: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in named if value is not None}


def _checked_step(step: Any, transform: Callable[..., Any]) -> int:
    try:
        return operator.index(step)
    except TypeError:
        raise TypeError(f"global_step_transform must return an integer, got {step!r} from {label(transform)}") from None


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=stack_level())


def _check_tag(tag: object, optional: bool = False) -> None:
    if not isinstance(tag, str) and not (optional and tag is None):
        raise TypeError(f"tag must be a string, got {tag!r}")


def check_names(argument: str, names: object, otherwise: str = "") -> None:
    is_list = isinstance(names, (list, tuple)) and all(isinstance(name, str) for name in names)
    if names is not None and not is_list:
        raise TypeError(f"{argument} must be a list of names{otherwise}, got {names!r}")


def _chosen(
    model: nn.Module, whitelist: Iterable[str] | Callable[[str, nn.Parameter], bool] | None
) -> list[tuple[str, nn.Parameter]]:
    named = list(model.named_parameters())
    if whitelist is None:
        return named
    if callable(whitelist):
        return [(name, weight) for name, weight in named if whitelist(name, weight)]
    is_list = isinstance(whitelist, (list, tuple, set, frozenset))
    if not is_list or not all(isinstance(name, str) for name in whitelist):
        raise TypeError(f"whitelist must be a list of names or a function of a name and a parameter, got {whitelist!r}")
    for wanted in whitelist:
        if not any(_is_part(name, wanted) for name, _ in named):
            raise ValueError(f"whitelist must have names of the model's parameters and submodules, got {wanted!r}")
    return [(name, weight) for name, weight in named if any(_is_part(name, wanted) for wanted in whitelist)]


def _is_part(name: str, of: str) -> bool:
    return name == of or name.startswith(f"{of}.")
