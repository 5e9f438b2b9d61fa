"""MetricsLambda: a function of other metrics' values, as a metric."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from ignite_signals.metrics.adapter import as_metric, is_metric
from ignite_signals.metrics.composite import Composite, computed
from ignite_signals.metrics.device_value import as_tensor_by, device_value
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.results import ResultMode

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["MetricsLambda"]


class MetricsLambda(Composite):
    """Compute a function of other metrics' values.

    Arithmetic, indexing and a tensor's methods on metrics make one of these:
    `2 * p * r / (p + r)`. The metrics that go in are left alone: twins of them measure here, each
    once, however often it occurs, and they may be attached elsewhere or nowhere.

    Args:
        f: called with the values of `args` and `kwargs`.
        args, kwargs: metrics, torchmetrics' ones too, and anything else, which is passed on as it is.
        skip_unrolling: give lists to the metrics as they are.
        metrics_result_mode: what becomes of a mapping that `f` returns, as in `Metric`.

    Raises:
        TypeError: `f` is not callable.
        ValueError: none of the arguments is a metric.
        NotComputableError: `compute` was called before a metric that needs it has seen anything.

    >>> import torch
    >>> from ignite_signals.metrics import Precision, Recall
    >>> p, r = Precision(average="macro"), Recall(average="macro")
    >>> f1 = 2 * p * r / (p + r)
    >>> f1
    MetricsLambda(truediv(mul(mul(2, Precision), Recall), add(Precision, Recall)))
    >>> f1.update((torch.eye(3), torch.tensor([0, 1, 1])))
    >>> round(f1.compute().item(), 4)
    0.5714
    """

    shared_by_twins = ("_sources", "_call", "function")

    def __init__(
        self,
        f: Callable[..., Any],
        *args: Any,
        skip_unrolling: bool = False,
        metrics_result_mode: ResultMode = "both",
        **kwargs: Any,
    ) -> None:
        if not callable(f):
            raise TypeError(f"f must be callable, got {f!r}")
        self.function = f
        sources: list[Metric] = []
        self._call = _Call(
            f, tuple(_node(arg, sources) for arg in args), {key: _node(arg, sources) for key, arg in kwargs.items()}
        )
        if not sources:
            raise ValueError(
                f"args must hold a metric at least, by itself and not in a list, got {args!r} and {kwargs!r}"
            )
        self._sources = tuple(sources)
        super().__init__(skip_unrolling=skip_unrolling, metrics_result_mode=metrics_result_mode)

    def update(self, output: Any) -> None:
        """Take in an output, as the metrics' own `update` does."""
        for member in self._accumulating:
            member.update(output)

    def take(self, output: Any) -> None:
        """Let each metric take in an output, with its own `output_transform`."""
        for member in self._accumulating:
            member.take(output)

    def iteration_completed(self, engine: Engine) -> None:
        """Let each metric take in `engine.state.output`; connected by `attach`."""
        for member in self._accumulating:
            member.iteration_completed(engine)

    def _unread(self) -> Any:
        return self._call.value(self._values(device_value))

    @as_tensor_by(_unread)
    def compute(self) -> Any:
        """Return what the function returns.

        Raises:
            NotComputableError: a metric has seen nothing, and needs something.
        """
        return self._call.value(self._values(computed))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._call.shown(self._sources)})"


@attrs.frozen
class _Value:
    """The value of the metric at an index."""

    index: int

    def value(self, values: list[Any]) -> Any:
        return values[self.index]

    def shown(self, sources: tuple[Metric, ...]) -> str:
        source = sources[self.index]
        return type(getattr(source, "adapted", source)).__name__


@attrs.frozen
class _Constant:
    constant: Any

    def value(self, values: list[Any]) -> Any:
        return self.constant

    def shown(self, sources: tuple[Metric, ...]) -> str:
        return repr(self.constant)


@attrs.frozen
class _Call:
    """What a function is called with: nodes for the positional and for the keyword arguments."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def value(self, values: list[Any]) -> Any:
        kwargs = {key: node.value(values) for key, node in self.kwargs.items()}
        return self.function(*(node.value(values) for node in self.args), **kwargs)

    def shown(self, sources: tuple[Metric, ...]) -> str:
        shown = [node.shown(sources) for node in self.args]
        shown += [f"{key}={node.shown(sources)}" for key, node in self.kwargs.items()]
        return f"{getattr(self.function, '__name__', self.function)}({', '.join(shown)})"


def _node(argument: Any, sources: list[Metric]) -> Any:
    """Make a node of an argument, and enter the metrics that it needs into `sources`, each once."""
    if not is_metric(argument):
        return _Constant(argument)
    metric = as_metric(argument)
    # One that somebody has derived from MetricsLambda may compute in a way of its own.
    if type(metric) is not MetricsLambda or metric._skip_unrolling:
        return _Value(_entered(metric, argument, sources))
    return _moved(metric._call, [_entered(source, source, sources) for source in metric._sources])


def _entered(metric: Metric, original: Any, sources: list[Metric]) -> int:
    for index, source in enumerate(sources):
        if source is metric or getattr(source, "adapted", source) is original:
            return index
    sources.append(metric)
    return len(sources) - 1


def _moved(node: Any, indices: list[int]) -> Any:
    """Return a node of another expression with the indices that its metrics have in this one."""
    if isinstance(node, _Value):
        return _Value(indices[node.index])
    if isinstance(node, _Constant):
        return node
    kwargs = {key: _moved(argument, indices) for key, argument in node.kwargs.items()}
    return _Call(node.function, tuple(_moved(argument, indices) for argument in node.args), kwargs)
