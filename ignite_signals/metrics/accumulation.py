"""The accumulations of one variable, under the name of the module that PyTorch-Ignite has them in."""

from __future__ import annotations

from ignite_signals.metrics.average import Average
from ignite_signals.metrics.geometric_average import GeometricAverage
from ignite_signals.metrics.variable_accumulation import VariableAccumulation

__all__ = ["Average", "GeometricAverage", "VariableAccumulation"]
