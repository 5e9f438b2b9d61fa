"""What a language model's run measures."""

from __future__ import annotations

from ignite_signals.metrics.nlp.perplexity import Perplexity

__all__ = ["Perplexity"]
