"""MetricGroup: several metrics as one, which share what they can."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ignite_signals.metrics.adapter import as_metric
from ignite_signals.metrics.composite import Composite, computed
from ignite_signals.metrics.device_value import as_tensor_by, device_value
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.results import ResultMode

__all__ = ["MetricGroup"]


class MetricGroup(Composite):
    """Measure with several metrics together, and compute what they share once.

    Members that accumulate the same, such as `Precision`, `Recall` and `Fbeta`, or
    `MeanSquaredError` and its root, are updated once for all of them. The metrics that
    go in are left alone: twins of them measure here.

    Args:
        metrics: the members by name, torchmetrics' ones too; their values are written under these names, and
            all together, as a dict, under the name that the group is attached with.
        output_transform: makes of `engine.state.output` what the members' own transforms take.
        skip_unrolling: give lists to the members as they are.
        metrics_result_mode: "flatten" writes the members' values only, "named" the dict only.

    Raises:
        TypeError: `metrics` is not a mapping of names, or one of them no metric.
        ValueError: `metrics` is empty.
        NotComputableError: `compute` was called before a member that needs it has seen anything.

    >>> import torch
    >>> from ignite_signals.metrics import MeanSquaredError, RootMeanSquaredError
    >>> group = MetricGroup({"mse": MeanSquaredError(), "rmse": RootMeanSquaredError()})
    >>> group.update((torch.tensor([1.0, 5.0]), torch.tensor([1.0, 3.0])))
    >>> group.compute()
    {'mse': 2.0, 'rmse': 1.4142135623730951}
    """

    def __init__(
        self,
        metrics: Mapping[str, Any],
        output_transform: Callable[[Any], Any] = unchanged,
        skip_unrolling: bool = False,
        metrics_result_mode: ResultMode = "both",
    ) -> None:
        if not isinstance(metrics, Mapping):
            raise TypeError(f"metrics must map names to metrics, as {{'loss': Loss(loss_fn)}} does, got {metrics!r}")
        if not metrics:
            raise ValueError("metrics must hold a metric at least, got {}")
        if not all(isinstance(name, str) for name in metrics):
            raise TypeError(f"metrics must have names of type str, got {list(metrics)}")
        self._names = tuple(metrics)
        self._sources = tuple(as_metric(metric) for metric in metrics.values())
        super().__init__(output_transform, skip_unrolling=skip_unrolling, metrics_result_mode=metrics_result_mode)

    def _labels(self) -> list[str]:
        return list(self._names)

    @property
    def metrics(self) -> dict[str, Metric]:
        """The members by name."""
        return dict(zip(self._names, self._members, strict=True))

    def take(self, output: Any) -> None:
        """Let each member take in an output, with the group's transform before its own."""
        self.update(self._output_transform(output))

    def update(self, output: Any) -> None:
        """Let each member take in an output, with its own `output_transform`."""
        for member in self._accumulating:
            member.take(output)

    def _unread(self) -> dict[str, Any]:
        return dict(zip(self._names, self._values(device_value), strict=True))

    @as_tensor_by(_unread)
    def compute(self) -> dict[str, Any]:
        """Return the members' values by name.

        Raises:
            NotComputableError: a member has seen nothing, and needs something.
        """
        return dict(zip(self._names, self._values(computed), strict=True))

    def __repr__(self) -> str:
        members = (f"{name}={type(source).__name__}" for name, source in zip(self._names, self._sources, strict=True))
        return f"{type(self).__name__}({', '.join(members)})"
