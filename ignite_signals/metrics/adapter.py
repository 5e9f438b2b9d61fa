"""torchmetrics' metrics as metrics of an engine; torchmetrics is imported by whoever makes one, never here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from numbers import Number
from typing import Any

import torch
from torch import Tensor, nn

from ignite_signals import distributed
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.adapted_state import (
    attributes,
    joined,
    metrics_in,
    on_device,
    restore,
    snapshot,
    torchmetrics,
)
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.results import ResultMode

__all__ = ["TorchMetricsAdapter", "as_metric", "is_metric"]


def is_metric(value: object) -> bool:
    """Tell whether a value is a metric, or one of torchmetrics'.

    >>> is_metric(0.5)
    False
    """
    return isinstance(value, Metric) or _is_of_torchmetrics(value)


def as_metric(
    metric: Any,
    output_transform: Callable[[Any], Any] = unchanged,
    device: str | torch.device | None = None,
    skip_unrolling: bool | None = None,
    metrics_result_mode: ResultMode | None = None,
) -> Metric:
    """Return a metric: one of ours as it is, one of torchmetrics' adapted.

    What torchmetrics' operators have made, such as `F1Score(...) * Accuracy()`, becomes a `MetricsLambda`.

    Args:
        metric: a `Metric`, or a `Metric` or `MetricCollection` of torchmetrics, which is left alone.
        output_transform: makes of `engine.state.output` what `TorchMetricsAdapter` takes.
        device: where to accumulate; by default where the values are.
        skip_unrolling: give lists to the metric as they are, the default; False makes an update of each of their items.
        metrics_result_mode: what a mapping as value becomes in `engine.state.metrics`, "both" by default.

    Raises:
        TypeError: it is neither, or a class instead of an object.
        ValueError: it is one of ours, which has settings of its own.

    >>> import torchmetrics
    >>> from ignite_signals.engine import Engine
    >>> evaluator = Engine(lambda engine, batch: batch)
    >>> as_metric(torchmetrics.MeanSquaredError()).attach(evaluator, "mse")
    >>> evaluator.run([(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))]).metrics
    {'mse': 2.0}
    """
    settings: dict[str, Any] = {
        "device": device,
        "skip_unrolling": skip_unrolling,
        "metrics_result_mode": metrics_result_mode,
    }
    given = {name: value for name, value in settings.items() if value is not None}
    if output_transform is not unchanged:
        given["output_transform"] = output_transform
    return _adapted(metric, given, {})


def _is_of_torchmetrics(value: object) -> bool:
    package = torchmetrics()
    return package is not None and isinstance(value, package.Metric | package.MetricCollection)


def _is_composition(value: object) -> bool:
    package = torchmetrics()
    return package is not None and isinstance(value, package.metric.CompositionalMetric)


def _adapted(metric: Any, settings: Mapping[str, Any], adapters: dict[int, Metric]) -> Metric:
    if isinstance(metric, Metric):
        if settings:
            raise ValueError(f"{', '.join(settings)} must be given to {metric!r} itself, which is a metric already")
        return metric
    if _is_composition(metric):
        return _taken_apart(metric, settings, adapters)
    if id(metric) not in adapters:
        adapters[id(metric)] = TorchMetricsAdapter(metric, **settings)
    return adapters[id(metric)]


def _taken_apart(composition: Any, settings: Mapping[str, Any], adapters: dict[int, Metric]) -> Metric:
    """Return what torchmetrics' operators have made as a `MetricsLambda`.

    torchmetrics itself updates only its own metrics in it, and one that occurs twice, twice.
    """
    from ignite_signals.metrics.metrics_lambda import MetricsLambda  # it takes adapted metrics, too

    operands = [composition.metric_a]
    if composition.metric_b is not None:  # else the operator takes one
        operands.append(composition.metric_b)
    return MetricsLambda(
        _TensorFunction(composition.op),
        *(_adapted(operand, settings, adapters) if is_metric(operand) else operand for operand in operands),
    )


class _TensorFunction:
    """Call one of torch's functions with values that may be numbers."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.__name__: str = function.__name__

    def __call__(self, first: Any, *others: Any) -> Any:
        if isinstance(first, Number):
            # In float64, as Python's own numbers are.
            first = torch.tensor(first, dtype=torch.float64 if isinstance(first, float) else None)
        return self.function(first, *others)


class TorchMetricsAdapter(Metric):
    """Measure a run with a metric of torchmetrics.

    A clone of the metric measures, so that the metric itself is left alone and may be used elsewhere. What
    `update` takes becomes the arguments of the metric's own `update`:

    - a tuple or list: its items, in their order;
    - a mapping: the values under the names of the arguments; `y_pred` and `y` are the first two;
    - anything else: the one argument.

    Of several processes each has what all have seen as value, also where one has seen nothing.

    Args:
        metric: a `Metric` or `MetricCollection` of torchmetrics.
        output_transform: makes of `engine.state.output` what `update` takes.
        device: where to accumulate; by default where the values are.
        skip_unrolling: give lists to the metric as they are, instead of one update for each of their items.
        metrics_result_mode: what a mapping as value becomes in `engine.state.metrics`, as in `Metric`.

    Raises:
        TypeError: `metric` is none of torchmetrics', or a class; or an output does not fit its `update`.
        ValueError: `metric` is a collection or wrapper that holds one of our metrics, or `device` is no device.
        NotComputableError: `compute` was called before anything was seen.

    >>> import torchmetrics
    >>> f1 = TorchMetricsAdapter(torchmetrics.F1Score("multiclass", num_classes=3))
    >>> f1.update({"y_pred": torch.eye(3), "y": torch.tensor([0, 1, 1]), "loss": 0.5})
    >>> round(f1.compute(), 4)
    0.6667
    """

    required_output_keys = None
    # What members of a group share that adapt the same metric; beside, `state_dict` is our own.
    _state_dict_all_req_keys = ("_metric", "_num_updates")
    _accumulates_by = ("_identity",)
    shared_by_twins = ("adapted",)

    def __init__(
        self,
        metric: Any,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = True,
        metrics_result_mode: ResultMode = "both",
    ) -> None:
        _check(metric)
        self.adapted = metric
        self._metric = metric.clone()
        self._takers = list(_takers(metric))
        super().__init__(
            output_transform,
            device=device,
            skip_unrolling=skip_unrolling,
            metrics_result_mode=metrics_result_mode,
        )
        self._initial = attributes(self._metric)

    @property
    def _identity(self) -> int:
        return id(self.adapted)  # torchmetrics' own == makes a metric

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._name})"

    @property
    def _name(self) -> str:
        return type(self.adapted).__name__

    def renew(self) -> None:
        self._metric = self.adapted.clone()
        self.reset()

    def reset(self) -> None:
        """Forget what was seen; what a metric keeps across its own `reset` stays."""
        self._metric.reset()
        self._num_updates = 0
        self._placed = False

    def _from_mapping(self, output: Mapping[str, Any]) -> Any:
        return output

    def update(self, output: Any) -> None:
        """Take in an output: the arguments of the metric's own `update`.

        Raises:
            TypeError: they do not fit.
        """
        args, kwargs = self._arguments(output)
        if not self._placed:
            self._place(args, kwargs)
        if not self._follows_values:
            args, kwargs = on_device(self._device, args), on_device(self._device, kwargs)
        try:
            self._metric.update(*args, **kwargs)
        except TypeError as error:
            for taker in self._takers:
                _check_fit(taker, args, kwargs, output, error)
            raise
        self._num_updates += 1

    def _arguments(self, output: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if isinstance(output, Mapping):
            return self._named_arguments(output)
        return (tuple(output), {}) if isinstance(output, tuple | list) else ((output,), {})

    def _named_arguments(self, output: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        known = [_parameters(taker) for taker in self._takers]
        takes_all = any(_takes_any_keyword(parameters) for parameters in known)
        kwargs = {key: value for key, value in output.items() if takes_all or any(key in names for names in known)}
        if not {"y_pred", "y"} <= output.keys() or (not takes_all and {"y_pred", "y"} <= kwargs.keys()):
            return (), kwargs
        for name in ("y_pred", "y"):
            kwargs.pop(name, None)
        return (output["y_pred"], output["y"]), kwargs

    def _place(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Move the clone to where the first values are, or to the device that was named."""
        values = _first_tensor((*args, *kwargs.values()))
        if not self._follows_values or values is not None:
            device = values.device if values is not None and self._follows_values else self._device
            if any(metric.device != device for _, metric in metrics_in(self._metric) if hasattr(metric, "device")):
                self._metric.to(device)
        self._placed = True

    def _value(self) -> Any:
        self._require_samples()
        with joined(self._metric):
            return self._metric.compute()

    def _require_samples(self) -> None:
        updates = self._num_updates
        if self._is_shared:
            updates = sum(distributed.all_gather(updates, self._group))
        if updates == 0:
            raise NotComputableError(f"{self._name} has seen no sample: it must be updated before it is computed")

    def _unread(self) -> Any:
        return self._value()

    @as_tensor_by(_unread)
    def compute(self) -> Any:
        """Return the metric's value: numbers for what has no dimensions, and a dict for a collection.

        Raises:
            NotComputableError: nothing was seen.
        """
        return _numbers(self._value())

    @property
    def _is_shared(self) -> bool:
        """Tell whether other processes take part in the value; where one has opted out, it may be alone."""
        return distributed.get_world_size() > 1 and any(metric.sync_on_compute for metric in self._accumulating)

    @property
    def _group(self) -> Any:
        return next((metric.process_group for metric in self._accumulating if metric.process_group), None)

    @property
    def _accumulating(self) -> list[Any]:
        return [metric for _, metric in metrics_in(self._metric) if getattr(metric, "_reductions", None)]

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of what was seen, to go on from with `load_state_dict`."""
        return {"num_updates": self._num_updates, "metric": snapshot(self._metric, self._initial)}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it is not that of the same metric.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"state_dict must be a mapping, got {state_dict!r}")
        if missing := [key for key in ("num_updates", "metric") if key not in state_dict]:
            raise ValueError(f"state_dict must have the keys {missing} as well, got {list(state_dict)}")
        self.renew()
        restore(self._metric, state_dict["metric"])
        self._num_updates = state_dict["num_updates"]
        self._is_loaded = True


def _check(metric: Any) -> None:
    if not _is_of_torchmetrics(metric):
        what = f"the class {metric.__name__}; make an object of it" if isinstance(metric, type) else repr(metric)
        raise TypeError(f"metric must be a Metric, or a Metric or MetricCollection of torchmetrics, got {what}")
    for _, part in metrics_in(metric):
        if _is_composition(part) and any(isinstance(operand, Metric) for operand in (part.metric_a, part.metric_b)):
            raise ValueError(
                f"metric must hold metrics of torchmetrics only, got {type(metric).__name__} with {part!r}; "
                "measure with several metrics together by MetricGroup"
            )


def _takers(metric: nn.Module) -> Iterator[Any]:
    """Yield the metrics whose `update` says what a metric takes: those in it, where it passes its arguments on."""
    inner = list(_inner(metric))
    if inner and _passes_on(metric):
        for part in inner:
            yield from _takers(part)
    else:
        yield metric


def _inner(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if _is_of_torchmetrics(child):
            yield child
        else:
            yield from _inner(child)


def _passes_on(metric: Any) -> bool:
    kinds = [parameter.kind for parameter in _parameters(metric).values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds


def _parameters(metric: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(metric.update).parameters


def _takes_any_keyword(parameters: Mapping[str, inspect.Parameter]) -> bool:
    return any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())


def _check_fit(taker: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any, error: TypeError) -> None:
    """Say what a metric takes, where that is not what it was given."""
    signature = inspect.signature(taker.update)
    own = {
        key: value
        for key, value in kwargs.items()
        if key in signature.parameters or _takes_any_keyword(signature.parameters)
    }
    try:
        signature.bind(*args, **own)
    except TypeError:
        takes = ", ".join(
            str(parameter.replace(annotation=parameter.empty)) for parameter in signature.parameters.values()
        )
        raise TypeError(
            f"output must be the arguments ({takes}) of {type(taker).__name__}.update, got {_described(output)}; "
            "choose them with output_transform"
        ) from error


def _described(output: Any) -> str:
    if isinstance(output, Mapping):
        return f"a mapping with the keys {list(output)}"
    size = f" of {len(output)}" if isinstance(output, tuple | list) else ""
    return f"a {type(output).__name__}{size}"


def _first_tensor(value: Any) -> Tensor | None:
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, tuple | list) else ()
    return next((found for item in items if (found := _first_tensor(item)) is not None), None)


def _numbers(value: Any) -> Any:
    """Return a value with a number for each tensor without dimensions."""
    if isinstance(value, Tensor):
        return value.item() if value.ndim == 0 else value
    if isinstance(value, Mapping):
        return {key: _numbers(item) for key, item in value.items()}
    return type(value)(_numbers(item) for item in value) if type(value) in (tuple, list) else value
