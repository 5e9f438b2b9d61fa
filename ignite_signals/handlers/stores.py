"""What keeps outputs, under the name that PyTorch-Ignite gives the module."""

from __future__ import annotations

from ignite_signals.handlers.epoch_output_store import EpochOutputStore

__all__ = ["EpochOutputStore"]
