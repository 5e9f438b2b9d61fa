"""What a run does beside training, one behaviour a file."""

from __future__ import annotations

from ignite_signals.handlers.checkpoint import (
    BaseSaveHandler,
    Checkpoint,
    CheckpointEvents,
    DiskSaver,
    ModelCheckpoint,
)
from ignite_signals.handlers.early_stopping import EarlyStopping
from ignite_signals.handlers.ema_handler import EMAHandler
from ignite_signals.handlers.epoch_output_store import EpochOutputStore
from ignite_signals.handlers.global_step import global_step_from_engine
from ignite_signals.handlers.preemption import Preemption
from ignite_signals.handlers.resuming import resume_from
from ignite_signals.handlers.terminate_on_nan import TerminateOnNan
from ignite_signals.handlers.time_limit import TimeLimit
from ignite_signals.handlers.timing import Timer

__all__ = [
    "BaseSaveHandler",
    "Checkpoint",
    "CheckpointEvents",
    "DiskSaver",
    "EMAHandler",
    "EarlyStopping",
    "EpochOutputStore",
    "ModelCheckpoint",
    "Preemption",
    "TerminateOnNan",
    "TimeLimit",
    "Timer",
    "global_step_from_engine",
    "resume_from",
]
