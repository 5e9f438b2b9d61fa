"""The base of the regression metrics that need all outputs at once."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals import distributed
from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import Metric
from ignite_signals.metrics.regression.base import flat_pair

__all__ = ["AllOutputs", "deviations", "exact", "median"]


class AllOutputs(Metric):
    """Keep all outputs, `(N,)` or `(N, 1)` both, and compute a value of them: memory grows with the data."""

    _state_dict_all_req_keys = ("_outputs",)
    _accumulates_by: ClassVar[tuple[str, ...] | None] = ()

    _outputs: list[Tensor]  # of shape (2, N), predictions and targets

    def reset(self) -> None:
        """Forget what was seen."""
        self._outputs = []

    def update(self, output: Any) -> None:
        """Keep `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors, or they are complex.
            ValueError: their shapes do not fit.
        """
        # This copies, since the step may use the memory of its output again.
        outputs = torch.stack(flat_pair(self, output))
        self._outputs.append(outputs if self._follows_values else outputs.to(self._device))

    def _all(self) -> Tensor:
        """Return all outputs, of all processes."""
        kept = [outputs for outputs in self._outputs if outputs.numel()]
        # Those of a loaded state may have been saved from another device.
        own = torch.cat([outputs.to(kept[-1].device) for outputs in kept], dim=1) if kept else None
        gathered = [own] if distributed.get_world_size() == 1 else distributed.gather_uneven(own)
        present = [outputs for outputs in gathered if outputs is not None]
        if not present:
            raise NotComputableError(
                f"{type(self).__name__} has seen no sample: it must be updated before it is computed"
            )
        return torch.cat(present, dim=1)

    @abstractmethod
    def _value(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return the value, a tensor of shape `()`, for all samples, of shape `(N,)` both."""

    def _unread(self) -> Tensor:
        y_pred, y = self._all()
        return self._value(y_pred, y)

    @as_tensor_by(_unread)
    def compute(self) -> float:
        """Return the value for all outputs.

        Raises:
            NotComputableError: nothing was seen.
        """
        return self._unread().item()


def exact(values: Tensor) -> Tensor:
    """Return values in float64, in which formulas lose no digit that counts.

    >>> exact(torch.ones(1, dtype=torch.float16))
    tensor([1.], dtype=torch.float64)
    """
    return values.to(sum_dtype(values.device))


def deviations(values: Tensor) -> Tensor:
    """Return values less their mean; exactly 0 where all are equal.

    >>> deviations(torch.tensor([1.0, 2.0, 6.0]))
    tensor([-2., -1.,  3.])
    """
    values = values - values[:1]
    return values - values.mean()


def median(values: Tensor) -> Tensor:
    """Return the median as NumPy does: of an even number the mean of the two in the middle; NaN if one is.

    >>> median(torch.tensor([4.0, 1.0, 2.0, 9.0]))
    tensor(3.)
    """
    ordered = values.sort().values  # with NaN at the end
    middle = (ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2
    return middle.masked_fill(ordered[-1].isnan(), torch.nan)
