"""What a run measures: attach a metric to an engine, find its value in `engine.state.metrics`."""

from __future__ import annotations

from ignite_signals.metrics.accumulation import VariableAccumulation
from ignite_signals.metrics.accuracy import Accuracy
from ignite_signals.metrics.average import Average
from ignite_signals.metrics.loss import Loss
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.running_average import RunningAverage
from ignite_signals.metrics.usage import (
    BatchFiltered,
    BatchWise,
    EpochWise,
    MetricUsage,
    RunningBatchWise,
    RunningEpochWise,
    SingleEpochRunningBatchWise,
)

__all__ = [
    "Accuracy",
    "Average",
    "BatchFiltered",
    "BatchWise",
    "EpochWise",
    "Loss",
    "Metric",
    "MetricUsage",
    "RunningAverage",
    "RunningBatchWise",
    "RunningEpochWise",
    "SingleEpochRunningBatchWise",
    "VariableAccumulation",
]
