"""Measures of recommendations: what the first of a user's ranked items are worth."""

from __future__ import annotations

from ignite_signals.metrics.rec_sys.hitrate import HitRate
from ignite_signals.metrics.rec_sys.ndcg import NDCG

__all__ = ["NDCG", "HitRate"]
