"""JSDivergence: how far predicted and true distributions are apart, symmetric and bounded."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ignite_signals.metrics.logits import MeanOverDistributions, finite_log_softmax

__all__ = ["JSDivergence"]


class JSDivergence(MeanOverDistributions):
    """Average the Jensen-Shannon divergence of predicted and true distributions, in nats: from 0 to log 2.

    The value is the mean of `(KL(p, m) + KL(q, m)) / 2` with `m = (p + q) / 2`, where `p` is the softmax of the
    targets' logits, `q` that of the predictions', and KL the Kullback-Leibler divergence
    (https://en.wikipedia.org/wiki/Jensen%E2%80%93Shannon_divergence). Both are of shape `(N, C)` or
    `(N, C, ...)`, where each place counts as a distribution. SciPy's `jensenshannon` is the root of this.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.
        metrics_result_mode: as in `Metric`.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers.
        ValueError: their shapes differ, or are not `(N, C, ...)`.
        NotComputableError: `compute` was called before any sample was seen.

    >>> divergence = JSDivergence()
    >>> divergence.update((torch.tensor([[0.0, 1000.0]]), torch.tensor([[1000.0, 0.0]])))
    >>> round(divergence.compute(), 4)  # log 2
    0.6931
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        p, q = finite_log_softmax(y), finite_log_softmax(y_pred)
        middle = torch.logaddexp(p, q).sub_(math.log(2))
        from_p, from_q = p - middle, q - middle
        return from_p.mul_(p.exp_()).addcmul_(from_q, q.exp_()).sum() / 2
