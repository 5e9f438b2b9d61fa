"""Perplexity: among how many tokens a language model hesitates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.logits import as_logits, log_softmax, num_distributions
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.output import parts
from ignite_signals.metrics.streaming import Streaming
from ignite_signals.metrics.sync import agreed

__all__ = ["Perplexity"]

# A softmax is some times faster, on a CPU, where its results stay in the cache: so many numbers at once.
_CACHED = 2**17
# And where the logits of one token lie near each other in memory: then they are worth putting side by side.
_NEAR = 16

_INTEGERS = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)


class Perplexity(Streaming):
    """Raise e to the mean negative log-likelihood of the target tokens: 1 for certainty, V for an even guess.

    The value is `exp(-1 / N * sum_i log p(w_i))` over the N tokens of all sequences, so that a token counts the same in
    a short one and in a long one (https://en.wikipedia.org/wiki/Perplexity). `y_pred` holds logits over a
    vocabulary of V tokens, of shape `(N, V, T)`, in general `(N, V, ...)`; `y` the tokens' indices, of shape `(N, T)`,
    in general `(N, ...)`.

    Args:
        output_transform: makes `(y_pred, y)` of `engine.state.output`.
        device: where to sum; by default where the predictions are.
        ignore_index: the index of targets that do not count, such as padding.

    Raises:
        TypeError: `y_pred` is no tensor of real numbers, `y` none of integers, or `ignore_index` no integer.
        ValueError: their shapes do not fit; targets were neither in [0, V) nor `ignore_index`, which `compute` tells.
        NotComputableError: `compute` was called before any token was seen that counts.

    >>> perplexity = Perplexity()
    >>> perplexity.update((torch.zeros(1, 4, 3), torch.tensor([[0, 3, -100]])))
    >>> round(perplexity.compute(), 4)
    4.0
    """

    _reductions: ClassVar[dict[str, str]] = {
        "_sum": "SUM",
        "_num_tokens": "SUM",
        "_num_refused": "SUM",
        "_num_examples": "SUM",
    }
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(Streaming._accumulates_by or ()), "_ignore_index")

    _sum: Tensor
    # Those that count, and those that are out of range; on the device, since they depend on the targets.
    _num_tokens: Tensor
    _num_refused: Tensor

    def __init__(
        self,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
        ignore_index: int = -100,
    ) -> None:
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, int):
            raise TypeError(f"ignore_index must be an integer, got {ignore_index!r}")
        self._ignore_index = ignore_index
        super().__init__(output_transform, device=device)

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._sum = torch.zeros((), dtype=sum_dtype(device), device=device)
        self._num_tokens = torch.zeros((), dtype=torch.int64, device=device)
        self._num_refused = torch.zeros((), dtype=torch.int64, device=device)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y)`.

        Raises:
            TypeError: `output` is not a pair of tensors, of real numbers and of integers.
            ValueError: their shapes do not fit.
        """
        y_pred, y = parts(self, output, "(y_pred, y)", (2,))
        y_pred = as_logits(self, y_pred)
        y = self._tokens(y, y_pred)
        if not self._placed:
            self._place(y_pred)
        total, tokens, refused = self._counted(y_pred, y)
        self._sum += total if self._follows_values else total.to(self._device)
        self._num_tokens += tokens if self._follows_values else tokens.to(self._device)
        self._num_refused += refused if self._follows_values else refused.to(self._device)
        self._num_examples += num_distributions(y_pred)

    def _tokens(self, y: Any, y_pred: Tensor) -> Tensor:
        if not isinstance(y, Tensor) or y.dtype not in _INTEGERS:
            got = f"{y.dtype}" if isinstance(y, Tensor) else type(y).__name__
            raise TypeError(
                f"y must be a tensor of integers, the indices of tokens, for {type(self).__name__}, got {got}; "
                "convert it with output_transform"
            )
        shape = y_pred.shape
        if y.shape != shape[:1] + shape[2:]:
            raise ValueError(
                f"y_pred and y must be of shapes (N, V, ...) and (N, ...) for {type(self).__name__}, got "
                f"{tuple(shape)} and {tuple(y.shape)}; choose them with output_transform"
            )
        return y if y.dtype == torch.int64 else y.long()

    def _counted(self, y_pred: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the sum of the negative log-likelihoods, the number of tokens in it, and that of the refused."""
        ignored = y == self._ignore_index
        # An index out of range must not be looked up: on a GPU that ends the process.
        outside = y.clamp(0, y_pred.shape[1] - 1) != y
        skipped = outside.logical_or_(ignored)
        num_skipped = skipped.sum()
        total = self._negative_log_likelihood(y_pred, y.masked_fill(skipped, self._ignore_index))
        return total, y.numel() - num_skipped, num_skipped - ignored.sum()

    def _negative_log_likelihood(self, y_pred: Tensor, y: Tensor) -> Tensor:
        if not y_pred.is_cpu or y_pred.numel() <= 2 * _CACHED:
            return self._of_a_part(y_pred, y)
        n = y_pred.numel() // _CACHED
        parts = zip(y_pred.chunk(n), y.chunk(n), strict=True)
        return torch.stack([self._of_a_part(*part).double() for part in parts]).sum()

    def _of_a_part(self, y_pred: Tensor, y: Tensor) -> Tensor:
        if y_pred.stride(1) < _NEAR:
            y_pred, y = y_pred.movedim(1, -1).flatten(end_dim=-2), y.flatten()
        return nll_loss(log_softmax(y_pred), y, ignore_index=self._ignore_index, reduction="sum")

    def _bad_input(self) -> Tensor:
        return self._num_refused > 0

    def _complaint(self) -> str:
        return (
            f"y must hold indices from 0 up to the size of the vocabulary, or ignore_index={self._ignore_index}, for "
            f"{type(self).__name__}, got {int(self._num_refused)} others; pass the index of padding as ignore_index"
        )

    def _value(self) -> Tensor:
        return (self._sum / self._num_tokens).exp()

    @as_tensor_by(Streaming._unread)
    def compute(self) -> Any:
        """Return the perplexity, a number.

        Raises:
            NotComputableError: nothing was seen, or only what `ignore_index` leaves out.
            ValueError: targets were out of range.
        """
        with agreed(self, {"_num_tokens": "SUM", "_num_refused": "SUM"}):
            if isinstance(self._num_tokens, Tensor) and not (self._num_tokens + self._num_refused):
                raise NotComputableError(
                    f"{type(self).__name__} has seen no token but those of ignore_index={self._ignore_index}"
                )
        return super().compute()
