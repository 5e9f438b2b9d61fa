"""GeometricAverage: the geometric mean of one variable."""

from __future__ import annotations

import cmath
import math
from typing import Any

from torch import Tensor

from ignite_signals.metrics.averaging import Averaging

__all__ = ["GeometricAverage"]

# Below so many values the products cost more than the logarithms that they spare.
_MANY = 4096


class GeometricAverage(Averaging):
    """Average a positive number or tensor geometrically, entry by entry.

    The value is `exp(1 / N * sum log x)`, the N-th root of the product of N samples
    (https://en.wikipedia.org/wiki/Geometric_mean), with the logarithms summed in float64; one
    zero makes it 0. A number counts as one sample, and so does a tensor of at most one dimension;
    a tensor of more dimensions is a batch of `shape[0]` samples, and the mean is of shape `shape[1:]`.

    Args:
        output_transform: makes a number or a tensor of `engine.state.output`.
        device: where to sum; by default where the outputs are.
        skip_unrolling: give lists to `update` as they are.

    Attributes:
        accumulator: the sum of the logarithms so far, which goes on changing; clone it to keep it.
        num_examples: how many samples were seen.

    Raises:
        TypeError: an output is neither a number nor a tensor.
        ValueError: the shape of an output does not fit those before; or, told by `compute`, a
            value was negative or NaN.
        NotComputableError: `compute` was called before anything was seen.

    >>> import torch
    >>> growth = GeometricAverage()
    >>> growth.update(torch.tensor([[1.0, 3.0], [4.0, 3.0]]))
    >>> growth.compute()
    tensor([2.0000, 3.0000], dtype=torch.float64)
    >>> growth.reset()
    >>> growth.update(2)
    >>> growth.update(8)
    >>> round(growth.compute(), 4)
    4.0
    """

    def _term(self, output: Tensor, batch: bool) -> Tensor:
        if output.dtype is self._wide_dtype or output.is_complex():
            logarithms = output.log()
        elif batch and output.shape[0] % 4 == 0 and output.numel() >= _MANY and not output.is_mps:
            return self._log_of_products(output)
        else:
            logarithms = output.to(self._wide_dtype).log_()
        return logarithms.sum(0) if batch else logarithms

    def _log_of_products(self, output: Tensor) -> Tensor:
        """Return the sum of the logarithms by a quarter as many, since they cost far more than products do.

        Four values of any type but float64 can be multiplied in float64 without overflow.
        """
        products = output.reshape(4, -1, *output.shape[1:]).prod(0, dtype=self._wide_dtype)
        # Two negative values must not become a positive one: this adds NaN for them, else 0.
        negative = output.amin().to(self._wide_dtype).clamp(max=0).sqrt()
        return products.log_().sum(0) + negative

    def _number_term(self, number: Any) -> Any:
        if number == 0:
            return -math.inf
        if isinstance(number, complex):
            return cmath.log(number)
        return math.log(number) if number > 0 else math.nan

    def _bad_input(self) -> Tensor:
        return self.accumulator.isnan().any()

    def _complaint(self) -> str:
        return (
            f"output must be positive for {type(self).__name__}, so that it has a logarithm, got a negative number "
            "or NaN; choose it with output_transform"
        )

    def _value(self) -> Tensor:
        return (self.accumulator / self.num_examples).exp()
