"""How differently a run treats the subgroups of its samples."""

from __future__ import annotations

from ignite_signals.metrics.fairness.accuracy_difference import SubgroupAccuracyDifference
from ignite_signals.metrics.fairness.base import SubgroupDifference, SubgroupMetric
from ignite_signals.metrics.fairness.demographic_parity import DemographicParityDifference, SelectionRate

__all__ = [
    "DemographicParityDifference",
    "SelectionRate",
    "SubgroupAccuracyDifference",
    "SubgroupDifference",
    "SubgroupMetric",
]
