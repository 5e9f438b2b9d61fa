"""A usage says at which events a metric starts, is updated, and is computed."""

from __future__ import annotations

from typing import Any, ClassVar, TypeAlias

from ignite_signals.engine import Events
from ignite_signals.engine.events import Event, FilteredEvent

__all__ = [
    "BatchFiltered",
    "BatchWise",
    "EpochWise",
    "MetricUsage",
    "RunningBatchWise",
    "RunningEpochWise",
    "SingleEpochRunningBatchWise",
    "usage_from",
]

UsageEvent: TypeAlias = Event | FilteredEvent


class MetricUsage:
    """Choose when a metric starts, is updated and is computed.

    The usages below cover the common rhythms; give three events of your own for another one.

    Args:
        started: calls `Metric.started`, which forgets what was seen.
        completed: calls `Metric.completed`, which writes the value to `engine.state.metrics`.
        iteration_completed: calls `Metric.iteration_completed`, which takes in `engine.state.output`.

    >>> MetricUsage(Events.STARTED, Events.COMPLETED, Events.ITERATION_COMPLETED)
    MetricUsage(Events.STARTED, Events.COMPLETED, Events.ITERATION_COMPLETED)
    """

    usage_name: ClassVar[str]

    def __init__(self, started: UsageEvent, completed: UsageEvent, iteration_completed: UsageEvent) -> None:
        self.STARTED = started
        self.COMPLETED = completed
        self.ITERATION_COMPLETED = iteration_completed

    def __repr__(self) -> str:
        if hasattr(self, "usage_name"):
            return f"{type(self).__name__}()"
        return f"{type(self).__name__}({self.STARTED!r}, {self.COMPLETED!r}, {self.ITERATION_COMPLETED!r})"


class EpochWise(MetricUsage):
    """Start at EPOCH_STARTED, update at ITERATION_COMPLETED, compute at EPOCH_COMPLETED."""

    usage_name = "epoch_wise"

    def __init__(self) -> None:
        super().__init__(Events.EPOCH_STARTED, Events.EPOCH_COMPLETED, Events.ITERATION_COMPLETED)


class RunningEpochWise(EpochWise):
    """Start at STARTED, update and compute at EPOCH_COMPLETED: one update an epoch."""

    usage_name = "running_epoch_wise"

    def __init__(self) -> None:
        MetricUsage.__init__(self, Events.STARTED, Events.EPOCH_COMPLETED, Events.EPOCH_COMPLETED)


class BatchWise(MetricUsage):
    """Start at ITERATION_STARTED, update and compute at ITERATION_COMPLETED: each batch by itself."""

    usage_name = "batch_wise"

    def __init__(self) -> None:
        super().__init__(Events.ITERATION_STARTED, Events.ITERATION_COMPLETED, Events.ITERATION_COMPLETED)


class RunningBatchWise(BatchWise):
    """Start at STARTED, update and compute at ITERATION_COMPLETED: all batches of the run so far."""

    usage_name = "running_batch_wise"

    def __init__(self) -> None:
        MetricUsage.__init__(self, Events.STARTED, Events.ITERATION_COMPLETED, Events.ITERATION_COMPLETED)


class SingleEpochRunningBatchWise(BatchWise):
    """Start at EPOCH_STARTED, update and compute at ITERATION_COMPLETED: the epoch's batches so far."""

    usage_name = "single_epoch_running_batch_wise"

    def __init__(self) -> None:
        MetricUsage.__init__(self, Events.EPOCH_STARTED, Events.ITERATION_COMPLETED, Events.ITERATION_COMPLETED)


class BatchFiltered(MetricUsage):
    """Start and compute as `EpochWise` does, but update at some iterations only.

    Args:
        args, kwargs: the filter, as `Events.ITERATION_COMPLETED` takes it.

    >>> BatchFiltered(every=10)
    BatchFiltered(every=10)
    >>> BatchFiltered(every=10).ITERATION_COMPLETED
    Events.ITERATION_COMPLETED(Every(10))
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        filtered = Events.ITERATION_COMPLETED(*args, **kwargs)
        super().__init__(Events.EPOCH_STARTED, Events.EPOCH_COMPLETED, filtered)
        self._arguments = ", ".join([*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())])

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._arguments})"


_NAMED: dict[str, type[EpochWise] | type[BatchWise]] = {
    usage.usage_name: usage
    for usage in (EpochWise, RunningEpochWise, BatchWise, RunningBatchWise, SingleEpochRunningBatchWise)
}


def usage_from(usage: str | MetricUsage) -> MetricUsage:
    """Return the usage that a name stands for; a usage stands for itself.

    Raises:
        ValueError: there is no usage of that name.
        TypeError: `usage` is neither a name nor a usage.

    >>> usage_from("batch_wise")
    BatchWise()
    """
    if isinstance(usage, MetricUsage):
        return usage
    if not isinstance(usage, str):
        raise TypeError(f"usage must be a MetricUsage object or the name of one, got {usage!r}")
    if usage not in _NAMED:
        raise ValueError(f"usage must be one of {', '.join(_NAMED)}, or a MetricUsage object, got {usage!r}")
    return _NAMED[usage]()
