"""Run PyTorch training loops in which every event is a blinker signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ignite_signals.engine import (
    After,
    Before,
    Engine,
    EventEnum,
    Events,
    Every,
    FilteredEvent,
    Once,
    Predicate,
    RemovableEventHandle,
    State,
    create_supervised_evaluator,
    create_supervised_trainer,
)
from ignite_signals.engine.attachable import adapt_with

if TYPE_CHECKING:
    from ignite_signals.metrics import Metric

__all__ = [
    "After",
    "Before",
    "Engine",
    "EventEnum",
    "Events",
    "Every",
    "FilteredEvent",
    "Once",
    "Predicate",
    "RemovableEventHandle",
    "State",
    "create_supervised_evaluator",
    "create_supervised_trainer",
]

__version__ = "0.1.0"


def _as_metric(value: Any) -> Metric:
    # The engine knows no metrics, and a program that measures nothing need not import them.
    from ignite_signals.metrics.adapter import as_metric

    return as_metric(value)


adapt_with(_as_metric)
