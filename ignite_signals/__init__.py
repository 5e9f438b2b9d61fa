"""Run PyTorch training loops in which every event is a blinker signal."""

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
