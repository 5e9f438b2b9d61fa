"""KLDivergence: how far predicted distributions are from true ones."""

from __future__ import annotations

import torch
from torch import Tensor

from ignite_signals.metrics.logits import MeanOverDistributions, log_softmax

__all__ = ["KLDivergence"]


class KLDivergence(MeanOverDistributions):
    """Average the Kullback-Leibler divergence of the predicted distributions from the true ones, in nats.

    The value is `1 / N * sum_i sum_c p_ic log(p_ic / q_ic)`, where `p` is the softmax of the targets' logits, `q` that
    of the predictions', and `0 log 0` is 0 (https://en.wikipedia.org/wiki/Kullback%E2%80%93Leibler_divergence).
    Both are of shape `(N, C)` or `(N, C, ...)`, where each place counts as a distribution. A class that
    is possible by the targets and not by the predictions, whose logit is -inf, makes the value infinite.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.
        metrics_result_mode: as in `Metric`.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers.
        ValueError: their shapes differ, or are not `(N, C, ...)`.
        NotComputableError: `compute` was called before any sample was seen.

    >>> import torch
    >>> divergence = KLDivergence()
    >>> divergence.update((torch.tensor([[0.0, 0.0]]), torch.tensor([[1000.0, 0.0]])))
    >>> round(divergence.compute(), 4)  # log 2
    0.6931
    """

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        p = log_softmax(y)
        terms: Tensor = p - log_softmax(y_pred)
        p.exp_()
        # 0 log 0 is 0, and not NaN. This is `terms.where(p > 0, 0)`, at a tenth of the cost.
        terms = torch.ops.aten.threshold_backward(terms, p, 0)
        return terms.mul_(p).sum()
