"""Measures of a clustering: how close the samples of a cluster are, and how far apart the clusters."""

from __future__ import annotations

from ignite_signals.metrics.clustering.calinski_harabasz_score import CalinskiHarabaszScore
from ignite_signals.metrics.clustering.davies_bouldin_score import DaviesBouldinScore
from ignite_signals.metrics.clustering.silhouette_score import SilhouetteScore

__all__ = ["CalinskiHarabaszScore", "DaviesBouldinScore", "SilhouetteScore"]
