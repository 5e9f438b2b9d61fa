"""The cases of the confusion matrices and of what is made of them, of agreement and of fairness."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ignite_signals.metrics import (
    Accuracy,
    CohenKappa,
    ConfusionMatrix,
    DiceCoefficient,
    IoU,
    JaccardIndex,
    MatthewsCorrCoef,
    Metric,
    MultiLabelConfusionMatrix,
    cmAccuracy,
    cmPrecision,
    cmRecall,
    mIoU,
)
from ignite_signals.metrics.fairness import (
    DemographicParityDifference,
    SelectionRate,
    SubgroupAccuracyDifference,
    SubgroupDifference,
    SubgroupMetric,
)
from support.metric_cases import MetricCase, Update, updates_of_ignite, updates_of_torchmetrics

CLASSES = 10
GROUPS = (0, 1, 2)
VOID = 255


def multiclass(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, CLASSES, generator=generator), torch.randint(CLASSES, (n,), generator=generator)


def pixels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y = torch.randint(CLASSES + 1, (n, 2, 4), generator=generator).to(torch.uint8)
    return torch.randn(n, CLASSES, 2, 4, generator=generator), y.masked_fill(y == CLASSES, VOID)


def multilabel(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.randint(2, (n, CLASSES), generator=generator) for _ in range(2))  # type: ignore[return-value]


def multilabel_pixels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, y = (torch.randint(2, (n, CLASSES, 2, 3), generator=generator) for _ in range(2))
    return y_pred.to(torch.uint8), y.bool()


def labels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y = torch.randint(CLASSES, (n,), generator=generator)
    y_pred = torch.randint(CLASSES, (n,), generator=generator)
    return torch.where(torch.rand(n, generator=generator) < 0.5, y, y_pred), y


def signs(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, y = labels(generator, n)
    return y_pred % 2 * 2 - 1, y % 2 * 2 - 1


def weighted(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
    return *labels(generator, n), torch.rand(n, generator=generator)


def grouped(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
    # One sample in four is of no group.
    return *multiclass(generator, n), torch.randint(len(GROUPS) + 1, (n,), generator=generator)


def grouped_multilabel(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
    y_pred, y = (torch.rand(n, 2, 3, generator=generator).round() for _ in range(2))
    return y_pred, y, torch.randint(len(GROUPS) + 1, (n,), generator=generator)


# -- References ------------------------------------------------------------------------------------------------------


def of_classes(y_pred: Tensor, y: Tensor) -> tuple[Any, Any]:
    """Return targets and predictions, without those that are no class."""
    targets, predicted = y.flatten().long().numpy(), y_pred.argmax(1).flatten().numpy()
    return targets[targets < CLASSES], predicted[targets < CLASSES]


def matrix(y_pred: Tensor, y: Tensor, *, normalize: str | None = None) -> Any:
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(*of_classes(y_pred, y), labels=range(CLASSES), normalize=normalize)


def matrix_by_samples(y_pred: Tensor, y: Tensor) -> Any:
    return matrix(y_pred, y) / len(y)


def accuracy(y_pred: Tensor, y: Tensor) -> float:
    from sklearn.metrics import accuracy_score

    return float(accuracy_score(*of_classes(y_pred, y)))


def score(y_pred: Tensor, y: Tensor, *, which: str, average: str | None) -> Any:
    import sklearn.metrics

    function = getattr(sklearn.metrics, f"{which}_score")
    return function(*of_classes(y_pred, y), labels=range(CLASSES), average=average, zero_division=0)


def without_background(y_pred: Tensor, y: Tensor, *, which: str) -> Any:
    return score(y_pred, y, which=which, average=None)[1:]


def multilabel_matrix(y_pred: Tensor, y: Tensor) -> Any:
    from sklearn.metrics import multilabel_confusion_matrix

    y_pred, y = (values.long().movedim(1, -1).flatten(0, -2) for values in (y_pred, y))
    return multilabel_confusion_matrix(y.numpy(), y_pred.numpy())


def multilabel_rates(y_pred: Tensor, y: Tensor) -> Any:
    counts = multilabel_matrix(y_pred, y)
    return counts / counts.sum(axis=(1, 2), keepdims=True)


def kappa(y_pred: Tensor, y: Tensor, *, weights: str | None = None) -> float:
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(y.numpy(), y_pred.numpy(), weights=weights, labels=range(CLASSES)))


def correlation(y_pred: Tensor, y: Tensor, sample_weight: Tensor | None = None) -> float:
    from sklearn.metrics import matthews_corrcoef

    y_pred = y_pred.argmax(1) if y_pred.ndim == 2 else y_pred
    return float(
        matthews_corrcoef(y, y_pred, sample_weight=None if sample_weight is None else sample_weight.double().numpy())
    )


def by_group(y_pred: Tensor, y: Tensor, group_labels: Tensor, *, value: Any) -> dict[int, Any]:
    return {g: value(y_pred[group_labels == g], y[group_labels == g]) for g in GROUPS if (group_labels == g).any()}


def difference(y_pred: Tensor, y: Tensor, group_labels: Tensor, *, value: Any) -> float:
    values = np.stack(list(by_group(y_pred, y, group_labels, value=value).values()))
    return float((values.max(axis=0) - values.min(axis=0)).max())


def rates(y_pred: Tensor, y: Tensor) -> Any:
    return torch.nn.functional.one_hot(y_pred.argmax(1), CLASSES).double().mean(0).numpy()


def multilabel_selection(y_pred: Tensor, y: Tensor) -> Any:
    return y_pred.double().movedim(1, -1).flatten(0, -2).mean(0).numpy()


def multilabel_accuracy(y_pred: Tensor, y: Tensor) -> float:
    return (y_pred == y).all(dim=1).double().mean().item()


# -- The same by nothing but torch -------------------------------------------------------------------------------------


def bare_matrix() -> Update:
    counts, samples = torch.zeros((CLASSES + 2) * CLASSES, dtype=torch.int64), 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        index = torch.add(y_pred.max(1).indices, y.clamp(-1, CLASSES), alpha=CLASSES).add_(CLASSES)
        counts.index_add_(0, index, torch.ones_like(index))
        samples += len(y)

    return update


def bare_multilabel_matrix() -> Update:
    counts, samples = torch.zeros(16 * CLASSES, dtype=torch.int64), 0
    begins = torch.arange(5, 16 * CLASSES, 16, dtype=torch.int32)

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        index = torch.add(y_pred.clamp(-1, 2).int(), y.clamp(-1, 2).int(), alpha=4).add_(begins).flatten()
        counts.index_add_(0, index, torch.ones_like(index, dtype=torch.int64))
        samples += len(y)

    return update


def bare_kept() -> Update:
    kept: list[tuple[Tensor, ...]] = []

    def update(output: Any) -> None:
        y_pred, y = output
        kept.append((y_pred.clone(), y.clone()))

    return update


def bare_pairs() -> Update:
    counts = torch.zeros((CLASSES + 2) ** 2, dtype=torch.int64)

    def update(output: Any) -> None:
        y_pred, y = output
        index = torch.add(y_pred.clamp(-1, CLASSES), y.clamp(-1, CLASSES), alpha=CLASSES + 2).add_(CLASSES + 3)
        counts.index_add_(0, index, torch.ones_like(index))

    return update


def bare_selections() -> Update:
    counts, samples = torch.zeros(CLASSES, dtype=torch.int64), 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        index = y_pred.max(1).indices
        counts.index_add_(0, index, torch.ones_like(index))
        samples += len(y)

    return update


def position(group_labels: Tensor, groups: Tensor) -> Tensor:
    found = torch.searchsorted(groups, group_labels)
    return found.masked_fill_(groups[found.clamp(max=len(groups) - 1)] != group_labels, len(groups))


def bare_parity() -> Update:
    counts, samples = torch.zeros((len(GROUPS) + 1) * CLASSES, dtype=torch.int64), 0
    groups = torch.tensor(GROUPS)

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y, group_labels = output
        index = y_pred.max(1).indices + position(group_labels, groups) * CLASSES
        counts.index_add_(0, index, torch.ones_like(index))
        samples += len(y)

    return update


def bare_accuracy_difference() -> Update:
    counts, samples = torch.zeros((len(GROUPS) + 1) * 4, dtype=torch.int64), 0
    groups = torch.tensor(GROUPS)

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y, group_labels = output
        right, refused = y_pred.max(1).indices == y, y.clamp(0, CLASSES - 1) != y
        index = right.long().add_(refused, alpha=2) + position(group_labels, groups) * 4
        counts.index_add_(0, index, torch.ones_like(index))
        samples += len(y)

    return update


def bare_kept_groups() -> Update:
    kept: list[tuple[Tensor, ...]] = []

    def update(output: Any) -> None:
        y_pred, y, group_labels = output
        kept.append((y_pred.clone(), y.clone(), group_labels.clone()))

    return update


# -- The peers ---------------------------------------------------------------------------------------------------------


def ignite(name: str, **kwargs: Any) -> Any:
    import ignite.metrics

    return getattr(ignite.metrics, name)(**kwargs)


def ignite_derived(name: str, **kwargs: Any) -> Any:
    from ignite.metrics import confusion_matrix

    return getattr(confusion_matrix, name)(confusion_matrix.ConfusionMatrix(CLASSES), **kwargs)


def ignite_fairness(name: str, **kwargs: Any) -> Any:
    from ignite.metrics import fairness

    return getattr(fairness, name)(**kwargs)


def ignite_of_accuracy(name: str) -> Any:
    from ignite.metrics import Accuracy, fairness

    return getattr(fairness, name)(Accuracy(), GROUPS)


def torchmetrics(name: str, **kwargs: Any) -> Any:
    from torchmetrics import classification

    return getattr(classification, name)(**kwargs)


def of_torchmetrics(name: str, **kwargs: Any) -> Any:
    return updates_of_torchmetrics(partial(torchmetrics, name, **kwargs))


# -- The cases ---------------------------------------------------------------------------------------------------------


class CountedKappa(CohenKappa):
    """Count how often two labels occur together: what `CohenKappa` does if it knows the number of classes."""


def derived(function: Any, **kwargs: Any) -> Metric:
    """Return what a function makes of a matrix."""
    made: Metric = function(ConfusionMatrix(CLASSES), **kwargs)
    return made


def subgroups(metric: Any) -> Metric:
    made: Metric = metric(Accuracy(), GROUPS)
    return made


def derived_case(function: Any, reference: Any, theirs: str, others: dict[str, Any], **kwargs: Any) -> MetricCase:
    return MetricCase(
        name=function.__name__,
        make=partial(derived, function, **kwargs),
        batch=multiclass,
        reference=reference,
        bare=bare_matrix,
        ignite=updates_of_ignite(partial(ignite_derived, function.__name__, **kwargs)),
        torchmetrics=of_torchmetrics(theirs, num_classes=CLASSES, **others),
    )


CASES = [
    MetricCase(
        name="ConfusionMatrix",
        make=partial(ConfusionMatrix, CLASSES),
        batch=multiclass,
        reference=matrix,
        bare=bare_matrix,
        ignite=updates_of_ignite(partial(ignite, "ConfusionMatrix", num_classes=CLASSES)),
        torchmetrics=of_torchmetrics("MulticlassConfusionMatrix", num_classes=CLASSES),
    ),
    MetricCase(name="ConfusionMatrix-pixels", make=partial(ConfusionMatrix, CLASSES), batch=pixels, reference=matrix),
    MetricCase(
        name="ConfusionMatrix-samples",
        make=partial(ConfusionMatrix, CLASSES, average="samples"),
        batch=pixels,
        reference=matrix_by_samples,
    ),
    MetricCase(
        name="ConfusionMatrix-recall",
        make=partial(ConfusionMatrix, CLASSES, average="recall"),
        batch=pixels,
        reference=partial(matrix, normalize="true"),
    ),
    MetricCase(
        name="ConfusionMatrix-precision",
        make=partial(ConfusionMatrix, CLASSES, average="precision"),
        batch=multiclass,
        reference=partial(matrix, normalize="pred"),
    ),
    derived_case(cmAccuracy, accuracy, "MulticlassAccuracy", {"average": "micro"}),
    derived_case(
        cmPrecision, partial(score, which="precision", average="macro"), "MulticlassPrecision", {"average": "macro"}
    ),
    derived_case(
        cmRecall,
        partial(score, which="recall", average=None),
        "MulticlassRecall",
        {"average": None},
        average=False,
    ),
    derived_case(IoU, partial(score, which="jaccard", average=None), "MulticlassJaccardIndex", {"average": None}),
    derived_case(mIoU, partial(score, which="jaccard", average="macro"), "MulticlassJaccardIndex", {}),
    derived_case(
        JaccardIndex,
        partial(without_background, which="jaccard"),
        "MulticlassJaccardIndex",
        {"average": None},
        ignore_index=0,
    ),
    derived_case(
        DiceCoefficient,
        partial(without_background, which="f1"),
        "MulticlassF1Score",
        {"average": None},
        ignore_index=0,
    ),
    MetricCase(
        name="MultiLabelConfusionMatrix",
        make=partial(MultiLabelConfusionMatrix, CLASSES),
        batch=multilabel,
        reference=multilabel_matrix,
        bare=bare_multilabel_matrix,
        ignite=updates_of_ignite(partial(ignite, "MultiLabelConfusionMatrix", num_classes=CLASSES)),
        torchmetrics=of_torchmetrics("MultilabelConfusionMatrix", num_labels=CLASSES),
    ),
    MetricCase(
        name="MultiLabelConfusionMatrix-normalized",
        make=partial(MultiLabelConfusionMatrix, CLASSES, normalized=True),
        batch=multilabel_pixels,
        reference=multilabel_rates,
    ),
    MetricCase(
        name="CohenKappa",
        make=CohenKappa,
        batch=labels,
        reference=kappa,
        bare=bare_kept,
        ignite=updates_of_ignite(partial(ignite, "CohenKappa")),
        keeps_outputs=True,
    ),
    MetricCase(
        name="CohenKappa-linear",
        make=partial(CohenKappa, weights="linear"),
        batch=labels,
        reference=partial(kappa, weights="linear"),
        keeps_outputs=True,
    ),
    MetricCase(
        name="CohenKappa-quadratic",
        make=partial(CohenKappa, weights="quadratic"),
        batch=labels,
        reference=partial(kappa, weights="quadratic"),
        keeps_outputs=True,
    ),
    MetricCase(
        name="CohenKappa-num_classes",
        make=partial(CountedKappa, weights="quadratic", num_classes=CLASSES),
        batch=labels,
        reference=partial(kappa, weights="quadratic"),
        bare=bare_pairs,
        ignite=updates_of_ignite(partial(ignite, "CohenKappa", weights="quadratic", num_classes=CLASSES)),
        torchmetrics=of_torchmetrics("MulticlassCohenKappa", num_classes=CLASSES, weights="quadratic"),
    ),
    MetricCase(
        name="MatthewsCorrCoef",
        make=MatthewsCorrCoef,
        batch=multiclass,
        reference=correlation,
        bare=bare_kept,
        ignite=updates_of_ignite(partial(ignite, "MatthewsCorrCoef")),
        torchmetrics=of_torchmetrics("MulticlassMatthewsCorrCoef", num_classes=CLASSES),
        keeps_outputs=True,
    ),
    MetricCase(
        name="MatthewsCorrCoef-signs",
        make=MatthewsCorrCoef,
        batch=signs,
        reference=correlation,
        keeps_outputs=True,
    ),
    MetricCase(
        name="MatthewsCorrCoef-weighted",
        make=MatthewsCorrCoef,
        batch=weighted,
        reference=correlation,
        keeps_outputs=True,
    ),
    MetricCase(
        name="SelectionRate",
        make=SelectionRate,
        batch=multiclass,
        reference=rates,
        bare=bare_selections,
        ignite=updates_of_ignite(partial(ignite_fairness, "SelectionRate")),
    ),
    MetricCase(
        name="DemographicParityDifference",
        make=partial(DemographicParityDifference, GROUPS),
        batch=grouped,
        reference=partial(difference, value=rates),
        bare=bare_parity,
        ignite=updates_of_ignite(partial(ignite_fairness, "DemographicParityDifference", groups=GROUPS)),
    ),
    MetricCase(
        name="DemographicParityDifference-multilabel",
        make=partial(DemographicParityDifference, GROUPS, is_multilabel=True),
        batch=grouped_multilabel,
        reference=partial(difference, value=multilabel_selection),
    ),
    MetricCase(
        name="SubgroupAccuracyDifference",
        make=partial(SubgroupAccuracyDifference, GROUPS),
        batch=grouped,
        reference=partial(difference, value=accuracy),
        bare=bare_accuracy_difference,
        ignite=updates_of_ignite(partial(ignite_fairness, "SubgroupAccuracyDifference", groups=GROUPS)),
    ),
    MetricCase(
        name="SubgroupAccuracyDifference-multilabel",
        make=partial(SubgroupAccuracyDifference, GROUPS, is_multilabel=True),
        batch=grouped_multilabel,
        reference=partial(difference, value=multilabel_accuracy),
    ),
    MetricCase(
        name="SubgroupMetric",
        make=partial(subgroups, SubgroupMetric),
        batch=grouped,
        reference=partial(by_group, value=accuracy),
        bare=bare_kept_groups,
        ignite=updates_of_ignite(partial(ignite_of_accuracy, "SubgroupMetric")),
        keeps_outputs=True,
    ),
    MetricCase(
        name="SubgroupDifference",
        make=partial(subgroups, SubgroupDifference),
        batch=grouped,
        reference=partial(difference, value=accuracy),
        bare=bare_kept_groups,
        ignite=updates_of_ignite(partial(ignite_of_accuracy, "SubgroupDifference")),
        keeps_outputs=True,
    ),
]
