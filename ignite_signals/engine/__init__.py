"""The observer core: an engine, its events and signals, filters and state."""

from ignite_signals.engine.backprop_events import BackpropEvents
from ignite_signals.engine.deterministic import (
    DeterministicEngine,
    ReproducibleBatchSampler,
    keep_random_state,
    update_dataloader,
)
from ignite_signals.engine.engine import Engine
from ignite_signals.engine.events import CallableEventWithFilter, EventEnum, Events, EventsList, FilteredEvent
from ignite_signals.engine.filters import After, And, Before, Every, Filter, Not, Once, Or, Predicate
from ignite_signals.engine.observing import CallObserver, Observation, ReceiverCall
from ignite_signals.engine.signals import EventSignal, FilteredSignal, RemovableEventHandle, SignalNamespace
from ignite_signals.engine.state import State, StopReason
from ignite_signals.engine.supervised import (
    create_supervised_evaluator,
    create_supervised_trainer,
    supervised_evaluation_step,
    supervised_evaluation_step_amp,
    supervised_training_step,
    supervised_training_step_amp,
)
from ignite_signals.engine.tbptt import Tbptt_Events, create_supervised_tbptt_trainer

__all__ = [
    "After",
    "And",
    "BackpropEvents",
    "Before",
    "CallObserver",
    "CallableEventWithFilter",
    "DeterministicEngine",
    "Engine",
    "EventEnum",
    "EventSignal",
    "Events",
    "EventsList",
    "Every",
    "Filter",
    "FilteredEvent",
    "FilteredSignal",
    "Not",
    "Observation",
    "Once",
    "Or",
    "Predicate",
    "ReceiverCall",
    "RemovableEventHandle",
    "ReproducibleBatchSampler",
    "SignalNamespace",
    "State",
    "StopReason",
    "Tbptt_Events",
    "create_supervised_evaluator",
    "create_supervised_tbptt_trainer",
    "create_supervised_trainer",
    "keep_random_state",
    "supervised_evaluation_step",
    "supervised_evaluation_step_amp",
    "supervised_training_step",
    "supervised_training_step_amp",
    "update_dataloader",
]
