"""SubgroupMetric and SubgroupDifference: any metric, for each subgroup of the samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.adapter import as_metric
from ignite_signals.metrics.fairness.subgroups import checked_groups, labelled
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.metric import Metric, unchanged
from ignite_signals.metrics.twin import twin

__all__ = ["SubgroupDifference", "SubgroupMetric"]


class _Subgroups(Metric):
    """Keep all outputs, and let a metric of each subgroup take in its own ones when it is computed.

    To tell the subgroups apart means to read the labels, for which an update would wait.
    """

    required_output_keys = ("y_pred", "y", "group_labels")
    _state_dict_all_req_keys = ("_kept",)

    def __init__(
        self,
        base_metric: Metric,
        groups: Sequence[Any],
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
    ) -> None:
        self.groups = checked_groups(groups)
        base_metric = as_metric(base_metric)
        self._metrics = {group: twin(base_metric) for group in self.groups}
        super().__init__(output_transform, device=device)

    def reset(self) -> None:
        """Forget what was seen."""
        self._kept: list[tuple[Tensor, ...]] = []

    def update(self, output: Any) -> None:
        """Keep `(y_pred, y, group_labels)`.

        Raises:
            TypeError: `output` does not hold three tensors.
            ValueError: they differ in their number of samples, or the labels are not of shape `(N,)`.
        """
        # A copy, since the step may use the memory of its output again.
        self._kept.append(tuple(self._moved(part.detach().clone()) for part in labelled(self, output)))

    def _values(self) -> dict[Any, Any]:
        """Return the values of the subgroups that were seen, by any process."""
        for metric in self._metrics.values():
            metric.reset()
        for y_pred, y, group_labels in self._kept:
            for group, metric in self._metrics.items():
                if (own := group_labels == group).any():
                    metric.update((y_pred[own], y[own]))
        values = {}
        for group, metric in self._metrics.items():
            try:
                values[group] = metric.compute()
            except NotComputableError:
                continue
        return values


class SubgroupMetric(_Subgroups):
    """Keep all outputs, and compute a metric of each subgroup: memory grows with the data.

    The value is a dict with the metric's value for each group; those without a sample are left out, and so are
    samples of none of the groups.

    Args:
        base_metric: what to compute, one of torchmetrics' too; it is left alone, and its `output_transform` unused.
        groups: the labels of the groups, numbers, each once.
        output_transform: makes `(y_pred, y, group_labels)` of `engine.state.output`: the first two as `base_metric`
            takes them, and a label for each sample, of shape `(N,)`.
        device: where to keep the outputs; by default where they are.

    Raises:
        TypeError: `base_metric` is no metric, a group no number, or a part of an output no tensor.
        ValueError: `groups` is empty or holds one twice, or shapes do not fit.
        NotComputableError: `compute` was called before any sample of the groups was seen.

    >>> from ignite_signals.metrics import Accuracy
    >>> accuracy = SubgroupMetric(Accuracy(), groups=[0, 1])
    >>> y_pred, y = torch.eye(2)[[0, 1, 0, 1]], torch.tensor([0, 1, 1, 1])
    >>> accuracy.update((y_pred, y, torch.tensor([0, 0, 1, 1])))
    >>> accuracy.compute()
    {0: 1.0, 1: 0.5}
    """

    def compute(self) -> dict[Any, Any]:
        """Return the values of the subgroups that were seen.

        Raises:
            NotComputableError: there is none.
        """
        if values := self._values():
            return values
        raise NotComputableError(
            f"{type(self).__name__} has seen no sample of the groups {list(self.groups)}: it must be updated with one "
            "before it is computed"
        )


class SubgroupDifference(_Subgroups):
    """Keep all outputs, and compute how far a metric of the subgroups lies apart: memory grows with the data.

    The value is the largest less the smallest value of the subgroups. Where the metric has a tensor as value, it is
    the largest such difference of its entries. Groups without a sample do not take part, nor do
    samples of none of the groups. `SubgroupAccuracyDifference` and `DemographicParityDifference` keep no outputs.

    Args:
        base_metric: what to compute, one of torchmetrics' too; it is left alone, and its `output_transform` unused.
        groups: the labels of the groups, numbers, each once.
        output_transform: makes `(y_pred, y, group_labels)` of `engine.state.output`: the first two as `base_metric`
            takes them, and a label for each sample, of shape `(N,)`.
        device: where to keep the outputs; by default where they are.

    Raises:
        TypeError: `base_metric` is no metric or computes a mapping, a group is no number, or a part of an
            output no tensor.
        ValueError: `groups` is empty or holds one twice, or shapes do not fit.
        NotComputableError: `compute` was called before samples of two groups were seen.

    >>> from ignite_signals.metrics import Accuracy
    >>> difference = SubgroupDifference(Accuracy(), groups=[0, 1])
    >>> y_pred, y = torch.eye(2)[[0, 1, 0, 1]], torch.tensor([0, 1, 1, 1])
    >>> difference.update((y_pred, y, torch.tensor([0, 0, 1, 1])))
    >>> difference.compute()
    0.5
    """

    def compute(self) -> float:
        """Return the largest difference of two subgroups.

        Raises:
            NotComputableError: samples of two groups at least are needed.
        """
        values = list(self._values().values())
        if len(values) < 2:
            raise NotComputableError(
                f"{type(self).__name__} has seen samples of {len(values)} of the groups {list(self.groups)}: it must "
                "be updated with samples of two at least before it is computed"
            )
        if any(isinstance(value, Mapping) for value in values):
            raise TypeError(
                f"base_metric must compute a number or a tensor for {type(self).__name__}, got {values[0]!r}"
            )
        stacked = torch.stack([_wide(value) for value in values])
        return float((stacked.amax(dim=0) - stacked.amin(dim=0)).max().item())


def _wide(value: Any) -> Tensor:
    # A Python number is of that precision, too.
    return value.to(sum_dtype(value.device)) if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
