"""What a run does beside training, one behaviour a file."""

from __future__ import annotations

from ignite_signals.handlers.checkpoint import (
    BaseSaveHandler,
    Checkpoint,
    CheckpointEvents,
    DiskSaver,
    ModelCheckpoint,
)
from ignite_signals.handlers.csv_logger import CSVLogger
from ignite_signals.handlers.early_stopping import EarlyStopping
from ignite_signals.handlers.ema_handler import EMAHandler
from ignite_signals.handlers.epoch_output_store import EpochOutputStore
from ignite_signals.handlers.fbresearch_logger import FBResearchLogger
from ignite_signals.handlers.global_step import global_step_from_engine
from ignite_signals.handlers.json_lines_logger import JSONLinesLogger
from ignite_signals.handlers.lr_finder import FastaiLRFinder
from ignite_signals.handlers.param_scheduler import (
    BaseParamScheduler,
    BatchSizeScheduler,
    ConcatScheduler,
    CosineAnnealingScheduler,
    CyclicalScheduler,
    LinearCyclicalScheduler,
    LRScheduler,
    ParamGroupScheduler,
    ParamScheduler,
    PiecewiseLinear,
    ReduceLROnPlateauScheduler,
    create_lr_scheduler_with_warmup,
)
from ignite_signals.handlers.preemption import Preemption
from ignite_signals.handlers.resuming import resume_from
from ignite_signals.handlers.state_param_scheduler import (
    ExpStateScheduler,
    LambdaStateScheduler,
    MultiStepStateScheduler,
    PiecewiseLinearStateScheduler,
    StateParamScheduler,
    StepStateScheduler,
)
from ignite_signals.handlers.tensorboard_logger import TensorboardLogger
from ignite_signals.handlers.terminate_on_nan import TerminateOnNan
from ignite_signals.handlers.time_limit import TimeLimit
from ignite_signals.handlers.time_profilers import BasicTimeProfiler, HandlersTimeProfiler
from ignite_signals.handlers.timing import Timer
from ignite_signals.handlers.tqdm_logger import ProgressBar

__all__ = [
    "BaseParamScheduler",
    "BaseSaveHandler",
    "BasicTimeProfiler",
    "BatchSizeScheduler",
    "CSVLogger",
    "Checkpoint",
    "CheckpointEvents",
    "ConcatScheduler",
    "CosineAnnealingScheduler",
    "CyclicalScheduler",
    "DiskSaver",
    "EMAHandler",
    "EarlyStopping",
    "EpochOutputStore",
    "ExpStateScheduler",
    "FBResearchLogger",
    "FastaiLRFinder",
    "HandlersTimeProfiler",
    "JSONLinesLogger",
    "LRScheduler",
    "LambdaStateScheduler",
    "LinearCyclicalScheduler",
    "ModelCheckpoint",
    "MultiStepStateScheduler",
    "ParamGroupScheduler",
    "ParamScheduler",
    "PiecewiseLinear",
    "PiecewiseLinearStateScheduler",
    "Preemption",
    "ProgressBar",
    "ReduceLROnPlateauScheduler",
    "StateParamScheduler",
    "StepStateScheduler",
    "TensorboardLogger",
    "TerminateOnNan",
    "TimeLimit",
    "Timer",
    "create_lr_scheduler_with_warmup",
    "global_step_from_engine",
    "resume_from",
]
