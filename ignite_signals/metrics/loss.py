"""Loss: the mean of a loss function over all examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.output import parts

__all__ = ["Loss"]


class Loss(Metric):
    """Average a loss function over all examples.

    Batches may differ in size: each batch's mean counts as often as the batch has examples.

    Args:
        loss_fn: called with `(y_pred, y)`, and with keyword arguments where the output has them; returns
            the batch's mean.
        output_transform: makes `(y_pred, y)` or `(y_pred, y, kwargs)` of `engine.state.output`. A mapping has
            the keys `y_pred`, `y` and, if wanted, `criterion_kwargs`.
        batch_size: called with `y`, returns the number of examples.
        device: where to sum; by default where the losses are.
        skip_unrolling: give lists to `update` as they are, for a model with several outputs.

    Raises:
        TypeError: `loss_fn` or `batch_size` is not callable.
        ValueError: `loss_fn` returned a tensor with dimensions.
        NotComputableError: `compute` was called before any example was seen.

    >>> loss = Loss(torch.nn.functional.mse_loss)
    >>> loss.update((torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])))
    >>> loss.update((torch.tensor([5.0]), torch.tensor([1.0])))
    >>> round(loss.compute(), 4)  # (0 + 4 + 16) / 3
    6.6667
    """

    required_output_keys = ("y_pred", "y", "criterion_kwargs")
    optional_output_keys = ("criterion_kwargs",)
    _state_dict_all_req_keys = ("_sum", "_num_examples")

    def __init__(
        self,
        loss_fn: Callable[..., Any],
        output_transform: Callable[[Any], Any] = unchanged,
        batch_size: Callable[[Any], int] = len,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        for name, function in (("loss_fn", loss_fn), ("batch_size", batch_size)):
            if not callable(function):
                raise TypeError(f"{name} must be callable, got {function!r}")
        self._loss_fn = loss_fn
        self._batch_size = batch_size
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    def reset(self) -> None:
        """Forget what was seen."""
        self._sum = torch.zeros((), dtype=self._float, device=self._device)
        self._num_examples = 0

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)` or `(y_pred, y, kwargs)`."""
        y_pred, y, *rest = parts(self, output, "(y_pred, y) or (y_pred, y, kwargs)", (2, 3))
        loss = _scalar(self._loss_fn(y_pred, y, **(rest[0] if rest else {})))
        n = self._batch_size(y)
        # One operation, in the sum's float64: `loss * n` would overflow a half-precision loss.
        self._sum = torch.add(self._sum, self._moved(loss), alpha=n)
        self._num_examples += n

    def _mean(self) -> Tensor:
        if self._num_examples == 0:
            raise NotComputableError("Loss has seen no example: it must be updated before it is computed")
        return self._sum / self._num_examples

    @as_tensor_by(_mean)
    def compute(self) -> float:
        """Return the mean loss of an example.

        Raises:
            NotComputableError: nothing was seen.
        """
        return float(self._mean().item())


def _scalar(loss: Any) -> Tensor:
    mean: Tensor = torch.as_tensor(loss).detach()
    if mean.ndim:
        raise ValueError(
            f"loss_fn must return the batch's mean, a tensor of shape (), got {tuple(mean.shape)}; "
            "give it reduction='mean'"
        )
    return mean
