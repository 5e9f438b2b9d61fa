"""How good generated images are."""

from __future__ import annotations

from ignite_signals.metrics.gan.fid import FID
from ignite_signals.metrics.gan.inception_score import InceptionScore

__all__ = ["FID", "InceptionScore"]
