"""Time profilers: what takes the time of a run."""

from ignite_signals.handlers.time_profilers.basic import BasicTimeProfiler
from ignite_signals.handlers.time_profilers.by_handler import HandlersTimeProfiler

__all__ = ["BasicTimeProfiler", "HandlersTimeProfiler"]
