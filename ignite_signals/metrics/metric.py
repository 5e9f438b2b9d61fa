"""The base of every metric: what is seen of a run, and when."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.engine import Engine, Events
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics import attachment
from ignite_signals.metrics.arithmetic import Arithmetic
from ignite_signals.metrics.device_value import device_value
from ignite_signals.metrics.output import is_unrollable, unroll
from ignite_signals.metrics.results import ResultMode, check_result_mode, read, write
from ignite_signals.metrics.sync import reinit__is_reduced, sync_all_reduce
from ignite_signals.metrics.usage import (
    BatchFiltered,
    BatchWise,
    EpochWise,
    MetricUsage,
    RunningBatchWise,
    RunningEpochWise,
    SingleEpochRunningBatchWise,
    UsageEvent,
    usage_from,
)

__all__ = [
    "BatchFiltered",
    "BatchWise",
    "EpochWise",
    "Metric",
    "MetricUsage",
    "RunningBatchWise",
    "RunningEpochWise",
    "SingleEpochRunningBatchWise",
    "reinit__is_reduced",
    "sync_all_reduce",
]


def unchanged(output: Any) -> Any:
    """Return the output as it is; a function with a name, so that metrics can be pickled."""
    return output


class Metric(Arithmetic, ABC):
    """Measure something of a run: subclass it and write `reset`, `update` and `compute`.

    `attach` connects the three to an engine's events. A metric computes before user handlers of
    the same event, in whatever order they were attached, and holds no reference to the engine. What
    is made of metrics by arithmetic, indexing or a tensor's methods is a metric, too.

    Args:
        output_transform: makes of `engine.state.output` what `update` takes, `(y_pred, y)` for most.
        device: where to accumulate; by default where the values are, so that no update waits for a copy.
        skip_unrolling: give lists to `update` as they are, instead of one call for each of their items.
        metrics_result_mode: what a mapping as value becomes in `engine.state.metrics`: "flatten" writes its
            items, "named" the mapping under the metric's name, "both" both.

    Attributes:
        required_output_keys: the keys to take, in this order, from an output that is a mapping.
        optional_output_keys: those of them that a mapping may lack.
        shared_by_twins: the attributes that an attachment beside the first shares with the metric; of others it
            has copies, but for functions, models and optimizers.

    Raises:
        TypeError: `output_transform` is not callable.
        ValueError: `device` is no device, or `metrics_result_mode` none of the three.

    >>> from ignite_signals.engine import Engine
    >>> class Largest(Metric):
    ...     required_output_keys = None
    ...
    ...     def reset(self):
    ...         self.largest = torch.tensor(float("-inf"))
    ...
    ...     def update(self, output):
    ...         self.largest = torch.maximum(self.largest, output.max())
    ...
    ...     def compute(self):
    ...         return self.largest
    >>> evaluator = Engine(lambda engine, batch: batch)
    >>> Largest().attach(evaluator, "largest")
    >>> evaluator.run([torch.tensor([1.0, 7.0]), torch.tensor([3.0])]).metrics
    {'largest': 7.0}
    """

    required_output_keys: Sequence[str] | None = ("y_pred", "y")
    optional_output_keys: ClassVar[Sequence[str]] = ()

    # The metric that this one accumulates for, and the engine that it does so for itself; see `attachment`.
    twin_of: Metric | None = None
    home: attachment.Home | None = None

    # The first name that it was attached with, under which its state is saved with the engine's.
    state_name: str | None = None

    # The attributes that a twin of a metric, which accumulates by itself, does not copy.
    shared_by_twins: ClassVar[tuple[str, ...]] = ()

    # For each name the keys under which a value was written that nobody has read.
    _unread_keys: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    # Whether `load_state_dict` has brought a state to go on from, which the next start must not forget.
    _is_loaded = False

    # Read by `Engine.add_event_handler`: larger is called first, and user handlers have 0.
    priority = 100

    # The attributes that `state_dict` saves; PyTorch-Ignite's name, which users' metrics declare.
    _state_dict_all_req_keys: tuple[str, ...] = ()

    # The methods and settings by which a metric accumulates, beside `reset` and `update`. Those of a
    # `MetricGroup` that are equal in all of them share what they accumulate; None shares with nobody.
    # A class outside of this package says so itself: what it inherits may not tell of what it changes.
    _accumulates_by: ClassVar[tuple[str, ...] | None] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "_accumulates_by" not in vars(cls) and cls.__module__.partition(".")[0] != __name__.partition(".")[0]:
            cls._accumulates_by = None

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
        metrics_result_mode: ResultMode = "both",
    ) -> None:
        if not callable(output_transform):
            raise TypeError(f"output_transform must be callable, got {output_transform!r}")
        check_result_mode(metrics_result_mode)
        self._output_transform = output_transform
        self._follows_values = device is None
        self._device = _device("cpu" if device is None else device)
        self._skip_unrolling = skip_unrolling
        self._metrics_result_mode = metrics_result_mode
        self.reset()

    @abstractmethod
    def reset(self) -> None:
        """Forget what was seen, before an epoch begins."""
        self._is_loaded = False

    @abstractmethod
    def update(self, output: Any) -> None:
        """Take in the output for one batch.

        Args:
            output: what `output_transform` returned, `(y_pred, y)` for most metrics.
        """

    @abstractmethod
    def compute(self) -> Any:
        """Return the value of what was seen: a number, a tensor, or a mapping of them.

        Raises:
            NotComputableError: nothing was seen.
        """

    def renew(self) -> None:
        """Forget what was seen, and what outlives `reset`, as a twin that begins does."""
        self.reset()

    def started(self, engine: Engine) -> None:
        """Start anew, unless the run goes on in mid-window from what was loaded; connected by `attach`."""
        if not (self._is_loaded and _goes_on(engine)):
            self.reset()
        self._is_loaded = False

    def iteration_completed(self, engine: Engine) -> None:
        """Take in `engine.state.output`; connected by `attach`.

        A mapping gives the values of `required_output_keys`. Lists of tensors or numbers, such as
        `([y_pred_1, y_pred_2], [y_1, y_2])`, give one update for each item.

        Raises:
            ValueError: the output is a mapping without a required key.
            TypeError: the output is a mapping, and the metric takes none.
        """
        self.take(engine.state.output)

    def take(self, output: Any) -> None:
        """Take in an output as `engine.state.output` has it, before `output_transform`.

        Raises:
            ValueError: the output is a mapping without a required key.
            TypeError: the output is a mapping, and the metric takes none.
        """
        self._is_loaded = False  # what was loaded is being gone on from
        output = self._output_transform(output)
        if isinstance(output, Mapping):
            output = self._from_mapping(output)
        if not self._skip_unrolling and is_unrollable(output):
            for item in unroll(output):
                self.update(item)
        else:
            self.update(output)

    def _from_mapping(self, output: Mapping[str, Any]) -> tuple[Any, ...]:
        keys = self.required_output_keys
        if keys is None:
            raise TypeError(
                f"{type(self).__name__} does not take a mapping, got one with the keys {list(output)}; "
                "choose a value with output_transform"
            )
        if missing := [key for key in keys if key not in output and key not in self.optional_output_keys]:
            raise ValueError(
                f"the output of the engine lacks {missing}, which {type(self).__name__} needs; it has "
                f"{list(output)}; rename with output_transform, or set required_output_keys"
            )
        return tuple(output[key] for key in keys if key in output)

    def completed(self, engine: Engine, name: str) -> None:
        """Write the value to `engine.state.metrics`; connected by `attach`.

        At the end of an epoch a tensor without dimensions becomes a Python number, and any other
        moves to the CPU. At an iteration tensors stay on their device, detached, so that nobody
        waits for it until somebody reads the number, or the epoch ends. An epoch for which the data
        had no batch has no value.

        Raises:
            NotComputableError: nothing was seen.
            TypeError: the value is a metric or a function.
            ValueError: the value is a mapping that has `name` as a key, and both would be written.
        """
        at_once = engine.last_event_name not in attachment.EVERY_ITERATION
        try:
            value = self.compute() if at_once else device_value(self)
        except NotComputableError:
            if engine.state.stop_reason == "exhausted":  # an epoch for which the data had no batch
                return
            raise
        self._write(engine, name, value, at_once)

    def settled(self, engine: Engine, name: str) -> None:
        """Read what iterations have written, when the epoch or the run ends; connected by `attach`.

        Raises:
            ValueError: an iteration's values were not what the metric takes.
        """
        complaints = self.refused()
        self.forget_refused()
        if complaints:
            raise ValueError(f"a value of this window is NaN: {complaints[0]}")
        read(engine.state.metrics, self._unread_keys.get(name, ()))

    def refused(self) -> list[str]:
        """Return what was wrong where a value that was written unread is NaN because of what was seen."""
        return []

    def forget_refused(self) -> None:
        """Forget what was refused, before a run begins and when it was told; connected by `attach`."""
        return  # nothing is refused here

    def _write(self, engine: Engine, name: str, value: Any, at_once: bool) -> None:
        if callable(value) or isinstance(value, Metric):
            raise TypeError(
                f"the value of {type(self).__name__} must be a number, a tensor or a mapping of them, got {value!r}; "
                "an attribute that the metric lacks is a metric of the tensor's attribute"
            )
        keys = write(engine.state.metrics, name, value, at_once, self._metrics_result_mode)
        if not at_once and self._unread_keys.get(name) != keys:
            self._unread_keys = {**self._unread_keys, name: keys}

    def attach(self, engine: Engine, name: str, usage: str | MetricUsage | None = None) -> None:
        """Measure an engine's runs and write the value to `engine.state.metrics[name]`.

        Each attachment, an engine with a usage, accumulates by itself: the first one in this object, each
        further one in a twin with the same settings. So one metric can serve a trainer and an
        evaluator that runs inside it. A second name for an attachment adds only the name.

        Args:
            engine: whose runs to measure.
            name: the key in `engine.state.metrics`.
            usage: when to start, update and compute; by default `EpochWise()`. A usage, or its `usage_name`.

        Raises:
            TypeError: `name` is not a str, or `usage` neither a usage nor a name.
            ValueError: no usage has that name.
        """
        if not isinstance(name, str):
            raise TypeError(f"name must be a str, got {name!r}")
        if not isinstance(engine, Engine):
            raise TypeError(f"engine must be an Engine of ignite_signals, got {engine!r}")
        attachment.attach(self, engine, name, self._usage(usage))

    def detach(self, engine: Engine, usage: str | MetricUsage | None = None) -> None:
        """Stop measuring an engine's runs, under every name that was attached with this usage.

        Other attachments of the metric stay. A metric that is not attached is left as it is.
        """
        attachment.detach(self, engine, self._usage(usage))

    def is_attached(self, engine: Engine, usage: str | MetricUsage | None = None) -> bool:
        """Tell whether the metric measures this engine's runs with this usage."""
        return attachment.accumulator(self, engine, self._usage(usage)) is not None

    def attached_to(self, engine: Engine, usage: str | MetricUsage | None = None) -> Metric:
        """Return what accumulates for this metric on an engine: the metric itself, or a twin of it.

        Its `state_dict` is that of the attachment.

        Raises:
            ValueError: the metric is not attached to the engine with this usage.
        """
        found = attachment.accumulator(self, engine, self._usage(usage))
        if found is None:
            raise ValueError(f"engine must be one that {self!r} is attached to with this usage, got {engine!r}")
        return found

    def keep_lists(self) -> None:
        """Give lists to `update` as they are from now on."""
        self._skip_unrolling = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(_settings(self))})"

    def _usage(self, usage: str | MetricUsage | None) -> MetricUsage:
        return EpochWise() if usage is None else usage_from(usage)

    def handlers(self, usage: MetricUsage) -> list[tuple[UsageEvent, Callable[[Engine], None]]]:
        """Return what an attachment connects beside `completed`: the event and the method for each."""
        return [(usage.STARTED, self.started), (usage.ITERATION_COMPLETED, self.iteration_completed)]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what was seen, to go on from with `load_state_dict`."""
        return {key: _saved(getattr(self, key)) for key in self._state_dict_all_req_keys}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        An engine that is resumed in mid-epoch announces the epoch again, for which a metric resets. One
        that was loaded before goes on instead.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, got {state_dict!r}")
        if missing := [key for key in self._state_dict_all_req_keys if key not in state_dict]:
            raise ValueError(f"state_dict must have the keys {missing} as well, got {list(state_dict)}")
        for key in self._state_dict_all_req_keys:
            self._load(key, state_dict[key])
        self._is_loaded = True

    def _load(self, key: str, value: Any) -> None:
        if isinstance(own := getattr(self, key), Metric):
            own.load_state_dict(value)
        else:
            value = _saved(value)
            setattr(self, key, self._moved(value) if isinstance(value, Tensor) else value)

    def _moved(self, value: Tensor) -> Tensor:
        """Return a tensor on the device where the metric accumulates."""
        # MPS has no float64, in which sums are kept; so without a device named, they are kept on the CPU.
        return value if self._follows_values and not value.is_mps else value.to(self._device)


def _goes_on(engine: Engine) -> bool:
    """Tell whether the event that is sent announces anew what has begun before: a run, or an epoch."""
    state = engine.state
    if engine.last_event_name == Events.STARTED:
        return state.iteration > 0
    return engine.last_event_name == Events.EPOCH_STARTED and engine.epoch_position > 0


def _settings(metric: Metric) -> Iterator[str]:
    """Yield the arguments of a metric that are not the defaults, as far as they are kept by their names."""
    for name, parameter in inspect.signature(type(metric).__init__).parameters.items():
        kept = vars(metric).get(name, vars(metric).get(f"_{name}", parameter.default))
        if kept is parameter.default or (name == "device" and metric._follows_values):
            continue
        shown = f"tensor of shape {tuple(kept.shape)}" if isinstance(kept, Tensor) else _shown(kept)
        if shown != _shown(parameter.default):
            yield f"{name}={shown}"


def _shown(value: Any) -> str:
    return getattr(value, "__name__", None) or repr(value)


def _device(device: str | torch.device) -> torch.device:
    try:
        return torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device must be a torch.device, or a name like 'cpu' or 'cuda:0', got {device!r}") from error


def _saved(value: Any) -> Any:
    if isinstance(value, Metric):
        return value.state_dict()
    return value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
