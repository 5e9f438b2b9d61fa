"""What compares one predicted number with one target for each sample: errors, distances and correlations."""

from __future__ import annotations

from ignite_signals.metrics.regression.canberra_metric import CanberraMetric
from ignite_signals.metrics.regression.fractional_absolute_error import FractionalAbsoluteError
from ignite_signals.metrics.regression.fractional_bias import FractionalBias
from ignite_signals.metrics.regression.geometric_mean_absolute_error import GeometricMeanAbsoluteError
from ignite_signals.metrics.regression.geometric_mean_relative_absolute_error import GeometricMeanRelativeAbsoluteError
from ignite_signals.metrics.regression.kendall_correlation import KendallRankCorrelation
from ignite_signals.metrics.regression.manhattan_distance import ManhattanDistance
from ignite_signals.metrics.regression.maximum_absolute_error import MaximumAbsoluteError
from ignite_signals.metrics.regression.mean_absolute_relative_error import MeanAbsoluteRelativeError
from ignite_signals.metrics.regression.mean_error import MeanError
from ignite_signals.metrics.regression.mean_normalized_bias import MeanNormalizedBias
from ignite_signals.metrics.regression.median_absolute_error import MedianAbsoluteError
from ignite_signals.metrics.regression.median_absolute_percentage_error import MedianAbsolutePercentageError
from ignite_signals.metrics.regression.median_relative_absolute_error import MedianRelativeAbsoluteError
from ignite_signals.metrics.regression.pearson_correlation import PearsonCorrelation
from ignite_signals.metrics.regression.r2_score import R2Score
from ignite_signals.metrics.regression.spearman_correlation import SpearmanRankCorrelation
from ignite_signals.metrics.regression.wave_hedges_distance import WaveHedgesDistance

__all__ = [
    "CanberraMetric",
    "FractionalAbsoluteError",
    "FractionalBias",
    "GeometricMeanAbsoluteError",
    "GeometricMeanRelativeAbsoluteError",
    "KendallRankCorrelation",
    "ManhattanDistance",
    "MaximumAbsoluteError",
    "MeanAbsoluteRelativeError",
    "MeanError",
    "MeanNormalizedBias",
    "MedianAbsoluteError",
    "MedianAbsolutePercentageError",
    "MedianRelativeAbsoluteError",
    "PearsonCorrelation",
    "R2Score",
    "SpearmanRankCorrelation",
    "WaveHedgesDistance",
]
