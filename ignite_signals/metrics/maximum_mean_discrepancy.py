"""MaximumMeanDiscrepancy: how far two samples are from being of one distribution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.kernels import as_vectors, squared_distances, squared_lengths
from ignite_signals.metrics.mean import MeanOverSamples
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.pairs import float_pair

__all__ = ["MaximumMeanDiscrepancy"]


class MaximumMeanDiscrepancy(MeanOverSamples):
    """Measure the maximum mean discrepancy of two samples, averaged over the batches: 0 for one distribution.

    Of each batch the square is estimated without bias, as the mean of `k(x_i, x_j)` over `i != j`, plus that of
    `k(y_i, y_j)`, less twice that of `k(x_i, y_j)`, with the kernel `k(x, y) = exp(-|x - y| ** 2 / (2 var))`. The value
    is the root of the mean estimate, 0 where that is negative. See Gretton et al., "A Kernel Two-Sample Test" (2012),
    https://www.jmlr.org/papers/volume13/gretton12a/gretton12a.pdf. `x` and `y` are of one shape, `(N, ...)`; each
    sample is taken as one vector. Time and memory of an update grow with the square of N, what is kept does not.

    Args:
        var: the kernel's bandwidth, a variance.
        output_transform: makes `(x, y)` of `engine.state.output`.
        device: where to sum; by default where `x` is.
        skip_unrolling: give lists to `update` as they are.

    Raises:
        TypeError: `x` or `y` is no tensor of real numbers, or `var` no number.
        ValueError: their shapes differ or are not `(N, ...)`, a batch has a single sample, or `var` is not positive.
        NotComputableError: `compute` was called before any batch was seen.

    >>> discrepancy = MaximumMeanDiscrepancy()
    >>> discrepancy.update((torch.zeros(2, 1), torch.full((2, 1), 100.0)))
    >>> round(discrepancy.compute(), 4)  # sqrt(1 + 1 - 0)
    1.4142
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(MeanOverSamples._accumulates_by or ()), "var")

    def __init__(
        self,
        var: float = 1.0,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        if isinstance(var, bool) or not isinstance(var, int | float):
            raise TypeError(f"var must be a number, got {var!r}")
        if not var > 0:
            raise ValueError(f"var must be positive, got {var!r}")
        self.var = var
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def update(self, output: Any) -> None:
        """Take in `(x, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors of real numbers.
            ValueError: their shapes differ or are not `(N, ...)`, or N is 1.
        """
        x, y = float_pair(self, output)
        x, y = as_vectors(self, "x", x), as_vectors(self, "y", y)
        if x.dtype != y.dtype:
            x, y = x.double(), y.double()
        if len(x) < 2:
            raise ValueError(
                f"x and y must have two samples at least in each batch for {type(self).__name__}, got {len(x)}; "
                "leave a smaller last batch out, as drop_last=True of a DataLoader does"
            )
        if not self._placed:
            self._place(x)
        total = self._summed(x, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_examples += 1

    def _summed(self, x: Tensor, y: Tensor) -> Tensor:
        """Return the estimate of the squared discrepancy of a batch."""
        n, center = len(x), x.mean(dim=0)
        x, y = x - center, y - center
        p, q = squared_lengths(x), squared_lengths(y)
        # The estimate leaves out a sample with itself.
        within = self._kernel(x, x, p, p).fill_diagonal_(0).sum() + self._kernel(y, y, q, q).fill_diagonal_(0).sum()
        return within / (n * (n - 1)) - self._kernel(x, y, p, q).sum() * (2 / n**2)

    def _kernel(self, *pairs: Tensor) -> Tensor:
        return squared_distances(*pairs).mul_(-0.5 / self.var).exp_()

    def _value(self) -> Tensor:
        return super()._value().clamp(min=0).sqrt()
