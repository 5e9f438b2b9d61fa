"""MutualInformation: how much a prediction tells of its input."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.entropy import Entropy
from ignite_signals.metrics.logits import as_logits, finite_log_softmax, num_distributions
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.output import parts

__all__ = ["MutualInformation"]


class MutualInformation(Entropy):
    """Measure the mutual information of inputs and predicted classes, in nats: high if each is certain and all vary.

    The value is the entropy of the mean predicted distribution less the mean entropy of each,
    `H(1 / N * sum_i p_i) - 1 / N * sum_i H(p_i)`, where `p_i` is the softmax of the logits; see
    Hu et al., "Learning Discrete Representations via Information Maximizing Self-Augmented Training" (2017),
    https://proceedings.mlr.press/v70/hu17b.html. `y_pred` holds logits of shape `(N, C)` or `(N, C, ...)`, where each
    place counts as a distribution; `y` is not looked at.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.
        metrics_result_mode: as in `Metric`.

    Raises:
        TypeError: `y_pred` is no tensor of real numbers.
        ValueError: it is not of shape `(N, C, ...)`, or the number of classes changed.
        NotComputableError: `compute` was called before any sample was seen.

    >>> information = MutualInformation()
    >>> information.update((torch.tensor([[0.0, 1000.0], [1000.0, 0.0]]), torch.tensor([0, 1])))
    >>> round(information.compute(), 4)  # log 2
    0.6931
    """

    _reductions: ClassVar[dict[str, str]] = {"_sum": "SUM", "_probabilities": "SUM", "_num_examples": "SUM"}

    _probabilities: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        super()._create(device, values)
        self._probabilities = torch.zeros(values.shape[1], dtype=sum_dtype(device), device=device)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair, or `y_pred` no tensor of real numbers.
            ValueError: `y_pred` is not of shape `(N, C, ...)`, or C changed.
        """
        y_pred = as_logits(self, parts(self, output, "(y_pred, y)", (2,))[0])
        if not self._placed:
            self._place(y_pred)
        if y_pred.shape[1] != len(self._probabilities):
            raise ValueError(
                f"y_pred must keep {len(self._probabilities)} classes until reset for {type(self).__name__}, "
                f"got {y_pred.shape[1]}"
            )
        logarithms = finite_log_softmax(y_pred)
        probabilities = logarithms.exp()
        mass = probabilities.sum(dim=[0, *range(2, y_pred.ndim)])
        total = probabilities.mul_(logarithms).sum()
        self._probabilities += mass if self._follows_values else mass.to(self._device)
        self._sum -= total if self._follows_values else total.to(self._device)
        self._num_examples += num_distributions(y_pred)

    def _value(self) -> Tensor:
        of_the_mean: Tensor = torch.special.entr(self._probabilities / self._num_examples).sum()
        # What is never negative may come out so by rounding.
        return (of_the_mean - super()._value()).clamp(min=0)
