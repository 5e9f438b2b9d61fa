"""Entropy: how undecided predictions are."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ignite_signals.metrics.logits import as_logits, finite_log_softmax, num_distributions
from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.output import parts

__all__ = ["Entropy"]


class Entropy(MeanOverSamples):
    """Average the entropy of the predicted distributions, in nats: 0 for certainty, log C for an even one.

    The value is `1 / N * sum_i sum_c -p_ic log p_ic`, where `p_i` is the softmax of the logits, `0 log 0` being 0
    (https://en.wikipedia.org/wiki/Entropy_(information_theory)). `y_pred` holds logits of shape `(N, C)` or
    `(N, C, ...)`, where each place counts as a distribution; `y` is not looked at.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.
        metrics_result_mode: as in `Metric`.

    Raises:
        TypeError: `y_pred` is no tensor of real numbers.
        ValueError: it is not of shape `(N, C, ...)`.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> entropy = Entropy()
    >>> entropy.update((torch.tensor([[0.0, 0.0], [1000.0, 0.0]]), torch.tensor([0, 1])))
    >>> round(entropy.compute(), 4)  # (log 2 + 0) / 2
    0.3466
    """

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair, or `y_pred` no tensor of real numbers.
            ValueError: `y_pred` is not of shape `(N, C, ...)`.
        """
        y_pred = as_logits(self, parts(self, output, "(y_pred, y)", (2,))[0])
        if not self._placed:
            self._place(y_pred)
        total = self._summed(y_pred, y_pred)
        self._sum -= total if self._follows_values else total.to(self._device)
        self._num_examples += num_distributions(y_pred)

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the negative of the entropies' sum."""
        logarithms = finite_log_softmax(y_pred)
        return logarithms.exp().mul_(logarithms).sum()
