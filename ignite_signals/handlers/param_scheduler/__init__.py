"""Schedulers of parameters: each gives one its next value whenever it is called."""

from __future__ import annotations

from ignite_signals.handlers.param_scheduler.base import BaseParamScheduler, ParamScheduler
from ignite_signals.handlers.param_scheduler.batch_size import BatchSizeScheduler
from ignite_signals.handlers.param_scheduler.concat import ConcatScheduler
from ignite_signals.handlers.param_scheduler.cyclical import (
    CosineAnnealingScheduler,
    CyclicalScheduler,
    LinearCyclicalScheduler,
)
from ignite_signals.handlers.param_scheduler.lr_scheduler import LRScheduler
from ignite_signals.handlers.param_scheduler.param_group import ParamGroupScheduler
from ignite_signals.handlers.param_scheduler.piecewise_linear import PiecewiseLinear
from ignite_signals.handlers.param_scheduler.reduce_lr_on_plateau import ReduceLROnPlateauScheduler
from ignite_signals.handlers.param_scheduler.warmup import create_lr_scheduler_with_warmup

__all__ = [
    "BaseParamScheduler",
    "BatchSizeScheduler",
    "ConcatScheduler",
    "CosineAnnealingScheduler",
    "CyclicalScheduler",
    "LRScheduler",
    "LinearCyclicalScheduler",
    "ParamGroupScheduler",
    "ParamScheduler",
    "PiecewiseLinear",
    "ReduceLROnPlateauScheduler",
    "create_lr_scheduler_with_warmup",
]
