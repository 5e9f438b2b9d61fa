"""The cases of the metrics that keep all outputs: curves, clusterings; and of those of ranked recommendations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics import (
    NDCG,
    ROC_AUC,
    AveragePrecision,
    EpochMetric,
    HitRate,
    MeanAveragePrecision,
    PrecisionRecallCurve,
    RocCurve,
)
from ignite_signals.metrics.clustering import CalinskiHarabaszScore, DaviesBouldinScore, SilhouetteScore
from support.metric_cases import MetricCase, Update, updates_of_ignite, updates_of_torchmetrics

LABELS, CLASSES, ITEMS = 4, 10, 100
TOP_K = [1, 5, 10]
RECALLS = [0.0, 0.1, 0.25, 0.5, 0.9, 1.0]


def scores(generator: torch.Generator, *shape: int) -> Tensor:
    """Return scores of two digits, so that some are equal."""
    return torch.rand(shape, generator=generator).mul_(100).round_().div_(100)


def zeros_and_ones(generator: torch.Generator, *shape: int) -> Tensor:
    """Return targets of both classes, where there are two samples."""
    y = torch.randint(0, 2, shape, generator=generator)
    y[:1], y[1:2] = 0, 1
    return y


def binary(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return scores(generator, n), zeros_and_ones(generator, n)


def multilabel(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return scores(generator, n, LABELS), zeros_and_ones(generator, n, LABELS)


def multiclass(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred = torch.randn(n, CLASSES, generator=generator).softmax(dim=1)
    return y_pred, torch.randint(0, CLASSES, (n,), generator=generator)


def pixels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.rand(n, 3, 2, 2, generator=generator), torch.randint(0, 3, (n, 2, 2), generator=generator)


def clusters(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    labels = torch.randint(0, 4, (n,), generator=generator)
    labels[:1], labels[1:3] = 0, 1
    return torch.randn(n, 8, generator=generator) + labels.unsqueeze(1), labels


def recommendations(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    relevant = torch.rand(n, ITEMS, generator=generator) < 0.02
    return torch.randn(n, ITEMS, generator=generator), relevant.float()


def graded(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    relevances = torch.randint(0, 5, (n, ITEMS), generator=generator).float()
    return scores(generator, n, ITEMS), relevances * (torch.rand(n, ITEMS, generator=generator) < 0.05)


def largest_error(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y_pred - y).abs().max()


def sklearn(name: str, y_pred: Tensor, y: Tensor, **kwargs: Any) -> Any:
    """Return what scikit-learn computes of targets and scores."""
    import sklearn.metrics

    value = getattr(sklearn.metrics, name)(y.numpy(), y_pred.double().numpy(), **kwargs)
    return tuple(torch.tensor(part.copy()) for part in value) if isinstance(value, tuple) else value


def sklearn_clustering(name: str, features: Tensor, labels: Tensor, **kwargs: Any) -> float:
    """Return what scikit-learn computes of features and labels."""
    import sklearn.metrics

    return float(getattr(sklearn.metrics, name)(features.double().numpy(), labels.numpy(), **kwargs))


def average_precisions(y_pred: Tensor, y: Tensor, average: str | None = "macro") -> Any:
    """Return scikit-learn's average precision of the classes, each against the rest; 0 for one without a sample."""
    from sklearn.metrics import average_precision_score

    if y.ndim < y_pred.ndim:
        y = torch.nn.functional.one_hot(y.flatten(), y_pred.shape[1])
        y_pred = y_pred.movedim(1, -1).reshape(len(y), -1)
    if average == "micro":
        return float(average_precision_score(y.flatten().numpy(), y_pred.double().flatten().numpy()))
    columns = [(y[:, i].numpy(), y_pred[:, i].double().numpy()) for i in range(y.shape[1])]
    values = torch.tensor([average_precision_score(*column) if column[0].any() else 0.0 for column in columns])
    weights = y.sum(0) if average == "weighted" else torch.ones(y.shape[1])
    return values if average is None else float((values.double() * weights).sum() / weights.sum())


def interpolated_precision(y_pred: Tensor, y: Tensor) -> float:
    """Return the sum over the recall thresholds, each with the first precision at which it is reached."""
    positives, total, before = int(y.sum()), 0.0, 0.0
    for recall in RECALLS:
        for threshold in sorted(set(y_pred.tolist()), reverse=True):
            taken = y_pred >= threshold
            found = int((y * taken).sum())
            if found / positives >= recall:
                total += (recall - before) * found / int(taken.sum())
                break
        before = recall
    return total


def hit_rates(y_pred: Tensor, y: Tensor, ignore_zero_hits: bool = True) -> list[float]:
    hits, users = [0] * len(TOP_K), 0
    for user_scores, relevant in zip(y_pred.double().tolist(), y.tolist(), strict=True):
        if ignore_zero_hits and not any(relevant):
            continue
        users += 1
        # Of equal scores, those of what is not relevant come first.
        order = sorted(range(len(relevant)), key=lambda i: (-user_scores[i], relevant[i]))
        hits = [hit + any(relevant[i] for i in order[:k]) for hit, k in zip(hits, TOP_K, strict=True)]
    return [hit / users for hit in hits]


def ndcg(y_pred: Tensor, y: Tensor, exponential: bool = True, ignore_zero_hits: bool = True) -> list[float]:
    from sklearn.metrics import ndcg_score

    gains = (2 ** y.double() - 1 if exponential else y.double()).numpy()
    users = (y > 0).any(1).numpy() if ignore_zero_hits else slice(None)
    return [float(ndcg_score(gains[users], y_pred.double().numpy()[users], k=k)) for k in TOP_K]


def keeping() -> Update:
    kept: tuple[list[Tensor], list[Tensor]] = ([], [])

    def update(output: Any) -> None:
        y_pred, y = output
        kept[0].append(y_pred.clone())
        kept[1].append(y.clone())

    return update


def counting_hits() -> Update:
    hits, cutoffs = torch.zeros(len(TOP_K), dtype=torch.int64), torch.tensor(TOP_K)
    users, invalid = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def update(output: Any) -> None:
        y_pred, y = output
        relevant = y > 0
        best = torch.where(relevant, y_pred, -torch.inf).amax(1, keepdim=True)
        after = (y_pred < best).logical_or_(relevant).count_nonzero(1)
        hits.add_(((ITEMS - after).unsqueeze(1) < cutoffs).sum(0))
        users.add_((y.amax(1) > 0).sum())
        invalid.add_(torch.addcmul(y, y, y, value=-1).count_nonzero())

    return update


def discounting_gains() -> Update:
    largest = max(TOP_K)
    ranks = torch.arange(1, largest + 1).unsqueeze(1)
    discounts = (ranks <= torch.tensor(TOP_K)) / torch.log2(ranks.double() + 1)
    total, one = torch.zeros(len(TOP_K), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    users, invalid = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def gain(y: Tensor) -> Tensor:
        return y.double().exp2().sub_(1)

    def update(output: Any) -> None:
        y_pred, y = output
        ranked, order = y_pred.topk(largest, dim=1)
        best = y.topk(largest, dim=1).values
        found = y.gather(1, order)
        gains = torch.where(found >= 1, gain(found), 0.0)
        group = torch.zeros_like(order)
        torch.cumsum(ranked[:, 1:] != ranked[:, :-1], 1, out=group[:, 1:])
        totals = torch.zeros_like(gains).scatter_add_(1, group, gains)
        sizes = torch.zeros_like(gains).scatter_add_(1, group, one.expand_as(gains))
        last = y_pred == ranked[:, -1:]
        totals.scatter_(1, group[:, -1:], (gain(y) * (last & (y >= 1))).sum(1, keepdim=True))
        sizes.scatter_(1, group[:, -1:], last.sum(1, keepdim=True).double())
        ideal_gains = gain(best)
        ideal = torch.where(best >= 1, ideal_gains, 0.0) @ discounts
        actual = (totals.gather(1, group) / sizes.gather(1, group)) @ discounts
        total.add_(torch.where(ideal > 0, actual / ideal, 0.0).sum(0))
        users.add_((best[:, 0] >= 1).sum())
        invalid.add_((ranked[:, 0] + ideal_gains[:, 0] * 0).isnan().sum())

    return update


def ignite(name: str, *args: Any, **kwargs: Any) -> Callable[[], Update]:
    def make() -> Any:
        import ignite.metrics
        import ignite.metrics.clustering

        package = ignite.metrics if hasattr(ignite.metrics, name) else ignite.metrics.clustering
        return getattr(package, name)(*args, **kwargs)

    return updates_of_ignite(make)


def torchmetrics(name: str, **kwargs: Any) -> Callable[[], Update]:
    def make() -> Any:
        import torchmetrics.classification

        return getattr(torchmetrics.classification, name)(**kwargs)

    return updates_of_torchmetrics(make)


KEEPING = partial(MetricCase, keeps_outputs=True)

CASES: list[MetricCase] = [
    KEEPING(
        name="EpochMetric",
        make=partial(EpochMetric, largest_error),
        batch=binary,
        reference=largest_error,
        bare=keeping,
        ignite=ignite("EpochMetric", largest_error),
    ),
    KEEPING(
        name="ROC_AUC",
        make=ROC_AUC,
        batch=binary,
        reference=partial(sklearn, "roc_auc_score"),
        bare=keeping,
        ignite=ignite("ROC_AUC"),
        torchmetrics=torchmetrics("BinaryAUROC"),
    ),
    KEEPING(name="ROC_AUC-multilabel", make=ROC_AUC, batch=multilabel, reference=partial(sklearn, "roc_auc_score")),
    KEEPING(
        name="RocCurve",
        make=RocCurve,
        batch=binary,
        reference=partial(sklearn, "roc_curve"),
        bare=keeping,
        ignite=ignite("RocCurve"),
        torchmetrics=torchmetrics("BinaryROC"),
    ),
    KEEPING(
        name="AveragePrecision",
        make=AveragePrecision,
        batch=binary,
        reference=partial(sklearn, "average_precision_score"),
        bare=keeping,
        ignite=ignite("AveragePrecision"),
        torchmetrics=torchmetrics("BinaryAveragePrecision"),
    ),
    KEEPING(
        name="AveragePrecision-multilabel",
        make=AveragePrecision,
        batch=multilabel,
        reference=partial(sklearn, "average_precision_score"),
    ),
    KEEPING(
        name="PrecisionRecallCurve",
        make=PrecisionRecallCurve,
        batch=binary,
        reference=partial(sklearn, "precision_recall_curve"),
        bare=keeping,
        ignite=ignite("PrecisionRecallCurve"),
        torchmetrics=torchmetrics("BinaryPrecisionRecallCurve"),
    ),
    KEEPING(
        name="MeanAveragePrecision",
        make=MeanAveragePrecision,
        batch=multiclass,
        reference=average_precisions,
        bare=keeping,
        ignite=ignite("MeanAveragePrecision"),
        torchmetrics=torchmetrics("MulticlassAveragePrecision", num_classes=CLASSES),
    ),
    KEEPING(
        name="MeanAveragePrecision-binary",
        make=partial(MeanAveragePrecision, RECALLS),
        batch=binary,
        reference=interpolated_precision,
    ),
    KEEPING(
        name="MeanAveragePrecision-micro",
        make=partial(MeanAveragePrecision, class_mean="micro"),
        batch=multiclass,
        reference=partial(average_precisions, average="micro"),
    ),
    KEEPING(
        name="MeanAveragePrecision-pixels",
        make=partial(MeanAveragePrecision, class_mean=None),
        batch=pixels,
        reference=partial(average_precisions, average=None),
    ),
    KEEPING(
        name="MeanAveragePrecision-multilabel",
        make=partial(MeanAveragePrecision, class_mean="weighted", is_multilabel=True),
        batch=multilabel,
        reference=partial(average_precisions, average="weighted"),
    ),
    # Those of torchmetrics take no matrix of users and items, and keep all outputs.
    MetricCase(
        name="HitRate",
        make=partial(HitRate, TOP_K),
        batch=recommendations,
        reference=hit_rates,
        bare=counting_hits,
        ignite=ignite("HitRate", TOP_K),
    ),
    MetricCase(
        name="HitRate-all",
        make=partial(HitRate, TOP_K, ignore_zero_hits=False),
        batch=recommendations,
        reference=partial(hit_rates, ignore_zero_hits=False),
    ),
    MetricCase(
        name="NDCG",
        make=partial(NDCG, TOP_K),
        batch=graded,
        reference=ndcg,
        bare=discounting_gains,
        ignite=ignite("NDCG", TOP_K),
    ),
    MetricCase(
        name="NDCG-linear",
        make=partial(NDCG, TOP_K, ignore_zero_hits=False, gain_function="linear_rank"),
        batch=graded,
        reference=partial(ndcg, exponential=False, ignore_zero_hits=False),
    ),
    *(
        KEEPING(
            name=metric.__name__,
            make=metric,
            batch=clusters,
            reference=partial(sklearn_clustering, name),
            bare=keeping,
            ignite=ignite(metric.__name__, check_compute_fn=False),
            # torchmetrics keeps no copies: a step that uses its output's memory again changes what it has seen.
        )
        for metric, name in (
            (CalinskiHarabaszScore, "calinski_harabasz_score"),
            (DaviesBouldinScore, "davies_bouldin_score"),
            (SilhouetteScore, "silhouette_score"),
        )
    ),
    KEEPING(
        name="SilhouetteScore-cosine",
        make=partial(SilhouetteScore, silhouette_kwargs={"metric": "cosine"}),
        batch=clusters,
        reference=partial(sklearn_clustering, "silhouette_score", metric="cosine"),
    ),
]
