"""HSIC: how much two representations of the same samples depend on each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.kernels import as_vectors, squared_distances, squared_lengths
from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.pairs import wide

__all__ = ["HSIC"]

_LEAST_SAMPLES = 4


class HSIC(MeanOverSamples):
    """Measure the Hilbert-Schmidt independence criterion, averaged over the batches: 0 for independence.

    Of each batch it is estimated without bias, by equation (5) of Song et al., "Feature Selection via Dependence
    Maximization" (2012), https://jmlr.csail.mit.edu/papers/v13/song12a.html, with the kernel
    `exp(-|a - b| ** 2 / (2 sigma ** 2))`. The value is the mean estimate, 0 where that is negative. `y_pred` and `y`
    are of shapes `(N, ...)` with one N; each sample is taken as one vector. Time and memory of an update grow with the
    square of N, what is kept does not.

    Args:
        sigma_x: the bandwidth of the kernel for `y_pred`; if negative, its square is the median of the squared
            distances in the batch, or their mean where most samples are equal.
        sigma_y: the same for `y`.
        ignore_invalid_batch: leave out a batch of less than four samples, which has no estimate; False refuses it.
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `y_pred` or `y` is no tensor of real numbers, or a bandwidth no number.
        ValueError: their shapes do not fit, a batch is too small and not ignored, or a bandwidth is 0.
        NotComputableError: `compute` was called before any batch was seen that is large enough.

    >>> x = torch.tensor([[0.0], [0.0], [9.0], [9.0]])
    >>> hsic = HSIC(sigma_x=1, sigma_y=1)
    >>> hsic.update((x, x))
    >>> round(hsic.compute(), 4)
    0.6667
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(MeanOverSamples._accumulates_by or ()),
        "sigma_x",
        "sigma_y",
        "ignore_invalid_batch",
    )

    def __init__(
        self,
        sigma_x: float = -1,
        sigma_y: float = -1,
        ignore_invalid_batch: bool = True,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        for name, sigma in (("sigma_x", sigma_x), ("sigma_y", sigma_y)):
            if isinstance(sigma, bool) or not isinstance(sigma, int | float):
                raise TypeError(f"{name} must be a number, got {sigma!r}")
            if sigma == 0:
                raise ValueError(f"{name} must be positive, or negative for the median of the distances, got {sigma!r}")
        self.sigma_x = sigma_x
        self.sigma_y = sigma_y
        self.ignore_invalid_batch = ignore_invalid_batch
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors of real numbers.
            ValueError: their shapes do not fit, or the batch is too small and not ignored.
        """
        y_pred, y = self._checked(output)
        if len(y) < _LEAST_SAMPLES and self.ignore_invalid_batch:
            return
        if len(y) < _LEAST_SAMPLES:
            raise ValueError(
                f"y_pred and y must have {_LEAST_SAMPLES} samples at least in each batch for {type(self).__name__}, "
                f"got {len(y)}; ignore_invalid_batch=True leaves out smaller ones"
            )
        if not self._placed:
            self._place(y_pred)
        total = self._summed(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_examples += 1

    def _checked(self, output: Any) -> tuple[Tensor, Tensor]:
        y_pred, y = parts(self, output, "(y_pred, y)", (2,))
        if not (isinstance(y_pred, Tensor) and isinstance(y, Tensor)):
            raise TypeError(
                f"y_pred and y must be tensors for {type(self).__name__}, got {type(y_pred).__name__} and "
                f"{type(y).__name__}; convert them with output_transform"
            )
        y_pred, y = as_vectors(self, "y_pred", y_pred.detach()), as_vectors(self, "y", y.detach())
        if len(y_pred) != len(y):
            raise ValueError(
                f"y_pred and y must have as many samples as each other for {type(self).__name__}, got "
                f"{len(y_pred)} and {len(y)}"
            )
        return wide(y_pred), wide(y)

    def _summed(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the estimate of a batch."""
        n = len(y)
        k, l = _kernel(y_pred, self.sigma_x), _kernel(y, self.sigma_y)  # noqa: E741  # the paper's names
        k_rows, l_rows = k.sum(dim=1), l.sum(dim=1)
        # The trace of k @ l, and the sum of its entries, without the product: both are symmetric.
        trace = k.mul_(l).sum()
        product_sum = (k_rows * l_rows).sum()
        sums = k_rows.sum() * l_rows.sum()
        return (trace + sums / ((n - 1) * (n - 2)) - product_sum * (2 / (n - 2))) / (n * (n - 3))

    def _value(self) -> Tensor:
        return super()._value().clamp(min=0)


def _kernel(vectors: Tensor, sigma: float) -> Tensor:
    """Return the Gaussian kernel of all pairs, with zeros for a sample and itself."""
    vectors = vectors - vectors.mean(dim=0)
    lengths = squared_lengths(vectors)
    distances = squared_distances(vectors, vectors, lengths, lengths)
    distances.fill_diagonal_(0)  # what rounding left
    kernel = distances.div_(-2 * sigma**2 if sigma > 0 else -2 * _typical(distances)).exp_()
    return kernel.fill_diagonal_(0)


def _typical(distances: Tensor) -> Tensor:
    """Return the median of the distances or, where most are 0, their mean, which is 0 only if all are."""
    flat = distances.flatten()
    lower, upper = (len(flat) + 1) // 2, len(flat) // 2 + 1
    median = flat.kthvalue(lower).values
    if upper != lower:
        median = (median + flat.kthvalue(upper).values) / 2
    return torch.where(median > 0, median, distances.mean()).clamp_(min=torch.finfo(distances.dtype).tiny)
