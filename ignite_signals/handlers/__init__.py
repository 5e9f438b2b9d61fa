"""What a run does beside training, one behaviour a file."""

from __future__ import annotations

from ignite_signals.handlers.terminate_on_nan import TerminateOnNan
from ignite_signals.handlers.timing import Timer

__all__ = ["TerminateOnNan", "Timer"]
