"""Loss: the mean of a loss function over all samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.streaming import Streaming

__all__ = ["Loss"]


class Loss(Streaming):
    """Average a loss function over all samples.

    Batches may differ in size: each batch's mean counts as often as the batch has samples.

    Args:
        loss_fn: called with `(y_pred, y)`, and with keyword arguments where the output has them; returns
            the batch's mean, a number or a tensor of shape `()`.
        output_transform: makes `(y_pred, y)` or `(y_pred, y, kwargs)` of `engine.state.output`. A mapping has
            the keys `y_pred`, `y` and, if wanted, `criterion_kwargs`.
        batch_size: called with `y`, returns the number of samples; a tensor of shape `()` is not read.
        device: where to sum, in float64; by default where the losses are.
        skip_unrolling: give lists to `update` as they are, for a model with several outputs.

    Raises:
        TypeError: `loss_fn` or `batch_size` is not callable, or returned no number and no tensor; an output is
            of another form.
        ValueError: `loss_fn` or `batch_size` returned a tensor with dimensions.
        NotComputableError: `compute` was called before any sample was seen.

    >>> loss = Loss(torch.nn.functional.mse_loss)
    >>> loss.update((torch.tensor([1.0, 3.0]), torch.tensor([1.0, 1.0])))
    >>> loss.update((torch.tensor([5.0]), torch.tensor([1.0])))
    >>> round(loss.compute(), 4)  # (0 + 4 + 16) / 3
    6.6667
    """

    required_output_keys = ("y_pred", "y", "criterion_kwargs")
    optional_output_keys = ("criterion_kwargs",)
    _reductions: ClassVar[dict[str, str]] = {"_sum": "SUM", "_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "_functions")

    _sum: Tensor
    _num_examples: Any  # an int, or a tensor where `batch_size` returns one

    def __init__(
        self,
        loss_fn: Callable[..., Any],
        output_transform: Callable[[Any], Any] = unchanged,
        batch_size: Callable[[Any], Any] = len,
        device: str | torch.device | None = None,
        skip_unrolling: bool = False,
    ) -> None:
        for name, function in (("loss_fn", loss_fn), ("batch_size", batch_size)):
            if not callable(function):
                raise TypeError(f"{name} must be callable, got {function!r}")
            if isinstance(function, type) and issubclass(function, torch.nn.Module):
                raise TypeError(f"{name} must be a function or an object, got the class {function.__name__}; call it")
        self._loss_fn = loss_fn
        self._batch_size = batch_size
        super().__init__(output_transform, device=device, skip_unrolling=skip_unrolling)

    @property
    def _functions(self) -> tuple[Callable[..., Any], Callable[[Any], Any]]:
        return self._loss_fn, self._batch_size

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._sum = torch.zeros((), dtype=sum_dtype(device), device=device)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)` or `(y_pred, y, kwargs)`.

        Raises:
            TypeError: `output` has another form, or a function returned no number and no tensor.
            ValueError: a function returned a tensor with dimensions.
        """
        if type(output) is tuple and len(output) == 2:
            y_pred, y = output
            loss = self._loss_fn(y_pred, y)
        else:
            y_pred, y, kwargs = self._with_kwargs(output)
            loss = self._loss_fn(y_pred, y, **kwargs)
        if not isinstance(loss, Tensor) or loss.ndim:
            loss = self._scalar("loss_fn", "the batch's mean", loss, "give it reduction='mean'")
        samples = self._batch_size(y)
        if not self._placed:
            self._place(loss)
        if loss.requires_grad:
            loss = loss.detach()
        if not self._follows_values:
            loss = loss.to(self._device)
        if type(samples) is not int:
            loss, samples = self._weighted(loss, samples)
            self._sum += loss
        elif samples:  # the mean of no samples is NaN
            # One operation, in the sum's float64: `loss * samples` would overflow a half-precision loss.
            self._sum.add_(loss, alpha=samples)
        self._num_examples += samples

    def _with_kwargs(self, output: Any) -> tuple[Any, Any, Mapping[str, Any]]:
        y_pred, y, *rest = parts(self, output, "(y_pred, y) or (y_pred, y, kwargs)", (2, 3))
        kwargs = rest[0] if rest else {}
        if not isinstance(kwargs, Mapping):
            raise TypeError(
                f"the third part of an output must be the keyword arguments of loss_fn, a mapping, for "
                f"{type(self).__name__}, got {kwargs!r}; choose the parts with output_transform"
            )
        return y_pred, y, kwargs

    def _weighted(self, loss: Tensor, samples: Any) -> tuple[Tensor, Any]:
        """Multiply the loss with a number of samples that is no int, such as a count of tokens on the device."""
        if isinstance(samples, Tensor):
            # Float32 cannot count beyond 2**24.
            exact = sum_dtype(self._sum.device) if samples.is_floating_point() else torch.int64
            samples = samples.detach().to(device=self._sum.device, dtype=exact)
        weight = self._scalar("batch_size", "the number of samples", samples, "sum it up")
        weighted = loss.to(self._sum.dtype) * weight
        return weighted.masked_fill(weight == 0, 0), samples  # the mean of no samples is NaN

    def _scalar(self, name: str, what: str, value: Any, remedy: str) -> Tensor:
        if not isinstance(value, Tensor | Number):
            raise TypeError(
                f"{name} must return {what}, a number or a tensor, for {type(self).__name__}, got {value!r}; {remedy}"
            )
        scalar: Tensor = torch.as_tensor(value)
        if scalar.ndim:
            raise ValueError(
                f"{name} must return {what}, a tensor of shape (), for {type(self).__name__}, "
                f"got {tuple(scalar.shape)}; {remedy}"
            )
        return scalar

    def _value(self) -> Tensor:
        mean: Tensor = self._sum / self._num_examples
        return mean

    def _require_samples(self) -> None:
        if isinstance(self._num_examples, float) and self._num_examples == 0:
            self._num_examples = 0
        super()._require_samples()

    @as_tensor_by(Streaming._unread)
    def compute(self) -> float:
        """Return the mean loss of a sample.

        Raises:
            NotComputableError: nothing was seen.
        """
        if isinstance(self._num_examples, Tensor):  # counted on the device, and read here for the first time
            self._num_examples = self._num_examples.item()
        mean: float = super().compute()
        return mean
