"""The base of the metrics that are made of means, variances and covariances."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals import distributed
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.regression.base import Regression
from ignite_signals.metrics.streaming import Streaming
from ignite_signals.metrics.sync import agreed

__all__ = ["Moments"]


class Moments(Regression):
    """Sum K variables and their products, in float64, as deviations from the first sample.

    In sums of squares about 0, a variance that is small beside the mean is lost. About the first
    sample it is not, however far off that one lies: as it is one of the N, their variance times N is at least
    an Nth of the sum. Several processes have several first samples; what they have is brought to the
    common mean before it is added up.

    The sources are Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983,
    https://doi.org/10.1080/00031305.1983.10483115.
    """

    _reductions: ClassVar[dict[str, str]] = {
        "_pivot": "SUM",
        "_sums": "SUM",
        "_products": "SUM",
        "_num_examples": "SUM",
    }

    _pivot: Tensor  # (K,), the first sample
    _sums: Tensor  # (K,), of the deviations from it
    _products: Tensor  # (K, K), the sums of products of these

    def _create(self, device: torch.device, values: Tensor) -> None:
        # The values are those of the K variables, of shape (K, N).
        dtype = sum_dtype(device)
        self._pivot = values.select(1, 0).to(device, dtype, copy=True)
        self._sums = torch.zeros(len(values), dtype=dtype, device=device)
        self._products = torch.zeros(len(values), len(values), dtype=dtype, device=device)

    def _mean(self) -> Tensor:
        """Return the means of the variables, of shape `(K,)`."""
        return self._pivot + self._sums / self._num_examples

    def _about_mean(self) -> Tensor:
        """Return the sums of products of deviations from the means, of shape `(K, K)`."""
        return self._products - torch.outer(self._sums, self._sums) / self._num_examples

    @contextmanager
    def _about_common_mean(self) -> Generator[None, None, None]:
        """Let the state be one that adds up with those of the other processes, while the block runs."""
        if distributed.get_world_size() == 1:
            yield
            return
        own = {name: getattr(self, name) for name in self._reductions}
        try:
            self._move_to_common_mean(own["_num_examples"])
            yield
        finally:
            vars(self).update(own)

    def _move_to_common_mean(self, samples: int) -> None:
        if samples:  # otherwise there is no state; but the others reduce, and wait for this process
            mean, products = self._mean(), self._about_mean()
            self._pivot = mean * samples
        with agreed(self, {"_pivot": "SUM", "_num_examples": "SUM"}):
            if not samples:
                return
            total = self._num_examples
            common = self._pivot / total
        distance = mean - common
        # Rounding alone must not make a variance of equal values.
        distance = distance.masked_fill(distance.abs() <= 4 * torch.finfo(mean.dtype).eps * common.abs(), 0)
        self._pivot = common * (samples / total)
        self._sums = torch.zeros_like(self._sums)
        self._products = products + samples * torch.outer(distance, distance)

    def _unread(self) -> Any:
        with self._about_common_mean():
            return Streaming._unread(self)

    @as_tensor_by(_unread)
    def compute(self) -> Any:
        """Return the value of what was seen, a number.

        Raises:
            NotComputableError: nothing was seen.
        """
        with self._about_common_mean():
            return super().compute()
