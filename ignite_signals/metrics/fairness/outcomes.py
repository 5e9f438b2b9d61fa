"""The base of what is a rate of outcomes: how often each occurred, in each subgroup."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.classification import Case, Classification
from ignite_signals.metrics.constants import constants
from ignite_signals.metrics.device_value import as_tensor_by
from ignite_signals.metrics.fairness.subgroups import checked_groups, labelled, positions
from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.streaming import Streaming

__all__ = ["OutcomeCounts", "RateDifference"]


class OutcomeCounts(Classification):
    """Count how often each of a few outcomes occurs; a subclass says which of them an entry has."""

    _reductions: ClassVar[dict[str, str]] = {"_counts": "SUM", "_num_examples": "SUM"}
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(Classification._accumulates_by or ()),
        "_outcome_shape",
        "_outcomes",
    )

    _counts: Tensor
    # One group, of all samples, unless a subclass has others.
    _num_groups = 1

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned.

        Raises:
            TypeError: `state_dict` is not a mapping.
            ValueError: it lacks a key, or is that of a metric with another number of groups.
        """
        counts = state_dict.get("_counts") if isinstance(state_dict, Mapping) else None
        if counts is not None and len(counts) != self._num_groups:
            raise ValueError(
                f"state_dict must be that of a {type(self).__name__} with the same groups, and have counts for "
                f"{self._num_groups}, with that of no group, got {len(counts)}"
            )
        super().load_state_dict(state_dict)

    def _create(self, device: torch.device, values: Tensor) -> None:
        self._counts = torch.zeros(self._num_groups, *self._shape, dtype=torch.int64, device=device)

    def _count(self, y_pred: Tensor, y: Tensor, groups: Tensor | None = None) -> None:
        """Count the outcomes of a batch, for samples in the groups at these positions."""
        y_pred, y, case = self._pair((y_pred, y))
        if not self._batch_size:
            return
        shape = self._outcome_shape(case)
        if not self._placed:
            self._shape = shape
            self._place(y_pred)
        if shape != self._counts.shape[1:]:
            # What was loaded does not tell its kind otherwise.
            raise ValueError(
                f"y_pred and y must stay of one kind until reset for {type(self).__name__}, got {case.kind} ones "
                f"of {case.num_classes} classes after others"
            )
        index = self._outcomes(case, y_pred, y)
        if groups is not None:
            index = index + (groups * math.prod(shape)).view(-1, *(1,) * (index.ndim - 1))
        index = index.flatten()
        if not self._follows_values:
            index = index.to(self._device)
        self._counts.view(-1).index_add_(0, index, torch.ones_like(index))
        self._num_examples += self._batch_size

    @abstractmethod
    def _outcome_shape(self, case: Case) -> tuple[int, ...]:
        """Return the shape of the counts of a group; it tells the kind, also of counts that were loaded."""

    @abstractmethod
    def _outcomes(self, case: Case, y_pred: Tensor, y: Tensor) -> Tensor:
        """Return where in the counts, if they were flat, each entry of a batch belongs: `(N, ...)`."""

    @abstractmethod
    def _rates(self, counts: Tensor) -> Tensor:
        """Return the rates `(G, K)` of counts `(G, *shape)`, NaN for a group without a sample."""


class RateDifference(OutcomeCounts):
    """Count the outcomes of each subgroup, and compute how far their rates lie apart."""

    required_output_keys = ("y_pred", "y", "group_labels")
    _accumulates_by: ClassVar[tuple[str, ...] | None] = (*(OutcomeCounts._accumulates_by or ()), "groups")

    def __init__(
        self,
        groups: Sequence[Any],
        is_multilabel: bool = False,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
    ) -> None:
        self.groups = checked_groups(groups)
        # And behind them the samples of none.
        self._num_groups = len(self.groups) + 1
        super().__init__(output_transform, is_multilabel, device)

    def update(self, output: Any) -> None:
        """Take in `(y_pred, y, group_labels)`.

        Raises:
            TypeError: `output` does not hold three tensors.
            ValueError: their shapes do not fit.
        """
        y_pred, y, group_labels = labelled(self, output)
        if not self._placed:
            self._in_order = constants(sorted(self.groups), y_pred.device)
        self._count(y_pred, y, positions(group_labels.to(y_pred.device), self._in_order))

    def _value(self) -> Tensor:
        counts = self._counts[:-1]
        rates = self._rates(counts)
        unseen = counts.flatten(1).sum(dim=1, keepdim=True) == 0
        apart = rates.masked_fill(unseen, -math.inf).amax(dim=0) - rates.masked_fill(unseen, math.inf).amin(dim=0)
        return apart.max().masked_fill((~unseen).sum() < 2, math.nan)

    @as_tensor_by(Streaming._unread)
    def compute(self) -> float:
        """Return the largest difference of two subgroups.

        Raises:
            NotComputableError: samples of two groups at least are needed.
            ValueError: values were seen that the metric does not take.
        """
        difference = float(super().compute())
        if math.isnan(difference):
            raise NotComputableError(
                f"{type(self).__name__} has seen samples of less than two of the groups {list(self.groups)}: it must "
                "be updated with samples of two at least before it is computed"
            )
        return difference
