"""The cases of the metrics that count right predictions, by scikit-learn."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ignite_signals.metrics import (
    Accuracy,
    ClassificationReport,
    Fbeta,
    Precision,
    Recall,
    TopKCategoricalAccuracy,
)
from support.metric_cases import MetricCase, Update, updates_of_ignite, updates_of_torchmetrics

CLASSES = 10
LABELS = 4


def multiclass(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, CLASSES, generator=generator), torch.randint(CLASSES, (n,), generator=generator)


def pixels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 3, 2, 4, generator=generator), torch.randint(3, (n, 2, 4), generator=generator)


def binary(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.rand(n, generator=generator).round(), torch.randint(2, (n,), generator=generator)


def multilabel(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, y = (torch.rand(n, LABELS, generator=generator).round() for _ in range(2))
    return y_pred, y.long()


# -- References ------------------------------------------------------------------------------------------------------


def labels_of(y_pred: Tensor, y: Tensor, *, kind: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[int]]:
    """Return targets and predictions as scikit-learn takes them, and which labels there are."""
    if kind == "multiclass":
        return y.flatten().numpy(), y_pred.argmax(1).flatten().numpy(), list(range(y_pred.shape[1]))
    if kind == "binary":
        return y.flatten().long().numpy(), y_pred.flatten().long().numpy(), [0, 1]
    y_pred, y = (values.movedim(1, -1).flatten(0, -2).long() for values in (y_pred, y))
    return y.numpy(), y_pred.numpy(), list(range(y.shape[1]))


def accuracy(y_pred: Tensor, y: Tensor, *, kind: str) -> float:
    from sklearn.metrics import accuracy_score

    targets, predicted, _ = labels_of(y_pred, y, kind=kind)
    return float(accuracy_score(targets, predicted))


def score(y_pred: Tensor, y: Tensor, *, which: int, kind: str, average: str | None, beta: float = 1.0) -> Any:
    """Return precision (0), recall (1) or F-score (2)."""
    from sklearn.metrics import precision_recall_fscore_support

    targets, predicted, labels = labels_of(y_pred, y, kind=kind)
    return precision_recall_fscore_support(
        targets, predicted, labels=labels, beta=beta, average=average, zero_division=0
    )[which]


def positive_score(y_pred: Tensor, y: Tensor, *, which: int) -> float:
    return float(score(y_pred, y, which=which, kind="binary", average=None)[1])


def report(y_pred: Tensor, y: Tensor, *, kind: str) -> dict[str, dict[str, float]]:
    from sklearn.metrics import classification_report

    targets, predicted, labels = labels_of(y_pred, y, kind=kind)
    full = classification_report(targets, predicted, labels=labels, output_dict=True, zero_division=0)
    keys = ("precision", "recall", "f1-score")
    return {label: {key: full[label][key] for key in keys} for label in [*map(str, labels), "macro avg"]}


def top_k(y_pred: Tensor, y: Tensor, *, k: int) -> float:
    from sklearn.metrics import top_k_accuracy_score

    return float(top_k_accuracy_score(y.numpy(), y_pred.double().numpy(), k=k, labels=list(range(y_pred.shape[1]))))


# -- The same by nothing but torch -------------------------------------------------------------------------------------


def best(y_pred: Tensor) -> Tensor:
    return y_pred.argmax(1) if len(y_pred) < 256 else y_pred.max(1)[1]


def bare_accuracy() -> Update:
    right, lowest, highest = (torch.zeros((), dtype=torch.int64) for _ in range(3))
    samples = 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        low, high = y.aminmax()
        torch.minimum(lowest, low, out=lowest)
        torch.maximum(highest, high, out=highest)
        right.add_(torch.count_nonzero(best(y_pred) == y))
        samples += len(y)

    return update


def bare_binary_accuracy() -> Update:
    right, invalid, samples = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64), 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        invalid.add_(torch.count_nonzero(torch.addcmul(y_pred, y_pred, y_pred, value=-1)))
        invalid.add_(torch.count_nonzero(y >> 1))
        right.add_(torch.count_nonzero(y_pred == y))
        samples += len(y)

    return update


def bare_top_k(k: int) -> Update:
    right, lowest, highest = (torch.zeros((), dtype=torch.int64) for _ in range(3))
    indices, samples = torch.arange(CLASSES), 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        low, high = y.aminmax()
        torch.minimum(lowest, low, out=lowest)
        torch.maximum(highest, high, out=highest)
        y = y.unsqueeze(1)
        if len(y_pred) < 128:
            right.add_(torch.count_nonzero(y_pred.topk(k, 1, sorted=False)[1] == y))
        else:
            score = y_pred.gather(1, y.clamp(0, CLASSES - 1))
            behind = y_pred == score
            behind &= indices <= y
            behind |= y_pred < score
            right.add_(torch.count_nonzero(behind.sum(1, dtype=torch.int32) > CLASSES - k))
        samples += len(y)

    return update


def bare_counts() -> Update:
    """Precision, recall and what is made of them: what was predicted, by right and wrong, and what is so."""
    counts, samples = torch.zeros(3 * CLASSES + 2, dtype=torch.int64), 0
    ones = torch.ones(0, dtype=torch.int64)

    def update(output: Any) -> None:
        nonlocal samples, ones
        y_pred, y = output
        if len(ones) != len(y):
            ones = torch.ones(len(y), dtype=torch.int64)
        predicted = best(y_pred)
        counts.index_add_(0, torch.add(predicted, predicted == y, alpha=CLASSES), ones)
        counts.index_add_(0, y.clamp(-1, CLASSES).add_(2 * CLASSES + 1), ones)
        samples += len(y)

    return update


def bare_binary_counts() -> Update:
    counts, invalid, samples = torch.zeros(3, dtype=torch.int64), torch.zeros((), dtype=torch.int64), 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        y = y.float()
        positives = torch.stack((y_pred * y, y_pred, y))
        counts.add_(positives.sum(1).long())
        invalid.add_(torch.count_nonzero(torch.addcmul(positives, positives, positives, value=-1)))
        samples += len(y)

    return update


def bare_multilabel_counts() -> Update:
    counts, invalid, samples = torch.zeros(3, LABELS, dtype=torch.int64), torch.zeros((), dtype=torch.int64), 0

    def update(output: Any) -> None:
        nonlocal samples
        y_pred, y = output
        y = y.float()
        positives = torch.stack((y_pred * y, y_pred, y))
        counts.add_(positives.sum(1).long())
        invalid.add_(torch.count_nonzero(torch.addcmul(positives, positives, positives, value=-1)))
        samples += len(y)

    return update


# -- The peers ---------------------------------------------------------------------------------------------------------


def ignite(name: str, **kwargs: Any) -> Any:
    import ignite.metrics

    return getattr(ignite.metrics, name)(**kwargs)


def torchmetrics(name: str, **kwargs: Any) -> Any:
    from torchmetrics import classification

    return getattr(classification, name)(**kwargs)


def peers(name: str, theirs: str, ignites: dict[str, Any], others: dict[str, Any]) -> dict[str, Any]:
    return {
        "ignite": updates_of_ignite(partial(ignite, name, **ignites)),
        "torchmetrics": updates_of_torchmetrics(partial(torchmetrics, theirs, **others)),
    }


MULTICLASS = {"num_classes": CLASSES}
MULTILABEL = {"num_labels": LABELS}
ACCURACY = partial(accuracy, kind="multiclass")

CASES = [
    MetricCase(
        name="Accuracy",
        make=Accuracy,
        batch=multiclass,
        reference=ACCURACY,
        bare=bare_accuracy,
        **peers("Accuracy", "MulticlassAccuracy", {}, {**MULTICLASS, "average": "micro"}),
    ),
    MetricCase(
        name="Accuracy-binary",
        make=Accuracy,
        batch=binary,
        reference=partial(accuracy, kind="binary"),
        bare=bare_binary_accuracy,
        **peers("Accuracy", "BinaryAccuracy", {}, {}),
    ),
    MetricCase(
        name="Accuracy-multilabel",
        make=partial(Accuracy, is_multilabel=True),
        batch=multilabel,
        reference=partial(accuracy, kind="multilabel"),
    ),
    MetricCase(
        name="TopKCategoricalAccuracy",
        make=partial(TopKCategoricalAccuracy, k=3),
        batch=multiclass,
        reference=partial(top_k, k=3),
        bare=partial(bare_top_k, 3),
        **peers(
            "TopKCategoricalAccuracy", "MulticlassAccuracy", {"k": 3}, {**MULTICLASS, "average": "micro", "top_k": 3}
        ),
    ),
    MetricCase(
        name="ClassificationReport",
        make=partial(ClassificationReport, output_dict=True),
        batch=multiclass,
        reference=partial(report, kind="multiclass"),
        bare=bare_counts,
        ignite=updates_of_ignite(partial(ignite, "ClassificationReport")),
    ),
    MetricCase(
        name="ClassificationReport-multilabel",
        make=partial(ClassificationReport, output_dict=True, is_multilabel=True),
        batch=multilabel,
        reference=partial(report, kind="multilabel"),
    ),
    MetricCase(
        name="Fbeta",
        make=partial(Fbeta, 0.5),
        batch=multiclass,
        reference=partial(score, which=2, kind="multiclass", average="macro", beta=0.5),
        bare=bare_counts,
        **peers("Fbeta", "MulticlassFBetaScore", {"beta": 0.5}, {**MULTICLASS, "beta": 0.5, "average": "macro"}),
    ),
    MetricCase(
        name="Fbeta-binary",
        make=partial(Fbeta, 1.0),
        batch=binary,
        reference=partial(positive_score, which=2),
    ),
]

for which, metric in enumerate((Precision, Recall)):
    name = metric.__name__
    CASES += [
        MetricCase(
            name=name,
            make=metric,
            batch=multiclass,
            reference=partial(score, which=which, kind="multiclass", average=None),
            bare=bare_counts,
            **peers(name, f"Multiclass{name}", {}, {**MULTICLASS, "average": None}),
        ),
        MetricCase(
            name=f"{name}-pixels-macro",
            make=partial(metric, average=True),
            batch=pixels,
            reference=partial(score, which=which, kind="multiclass", average="macro"),
        ),
        MetricCase(
            name=f"{name}-weighted",
            make=partial(metric, average="weighted"),
            batch=multiclass,
            reference=partial(score, which=which, kind="multiclass", average="weighted"),
        ),
        MetricCase(
            name=f"{name}-binary",
            make=metric,
            batch=binary,
            reference=partial(positive_score, which=which),
            bare=bare_binary_counts,
            **peers(name, f"Binary{name}", {}, {}),
        ),
        MetricCase(
            name=f"{name}-binary-both",
            make=partial(metric, average=None),
            batch=binary,
            reference=partial(score, which=which, kind="binary", average=None),
        ),
        MetricCase(
            name=f"{name}-multilabel-micro",
            make=partial(metric, average="micro", is_multilabel=True),
            batch=multilabel,
            reference=partial(score, which=which, kind="multilabel", average="micro"),
            bare=bare_multilabel_counts,
            **peers(
                name,
                f"Multilabel{name}",
                {"average": "micro", "is_multilabel": True},
                {**MULTILABEL, "average": "micro"},
            ),
        ),
        MetricCase(
            name=f"{name}-multilabel-samples",
            make=partial(metric, average="samples", is_multilabel=True),
            batch=multilabel,
            reference=partial(score, which=which, kind="multilabel", average="samples"),
        ),
    ]
