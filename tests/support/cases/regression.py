"""The cases of the regression family, and of the mean absolute error and distance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy import stats
from scipy.spatial import distance
from sklearn import metrics as sklearn
from torch import Tensor

from ignite_signals.metrics import MeanAbsoluteError, MeanPairwiseDistance, regression
from support.metric_cases import MetricCase, Update, updates_of_ignite, updates_of_torchmetrics


def floats(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, generator=generator), torch.randn(n, generator=generator)


def positive(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.rand(n, generator=generator) + 0.1, torch.rand(n, generator=generator) + 0.1


def columns(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, y = correlated(generator, n)
    return y_pred.unsqueeze(1), y.unsqueeze(1)


def correlated(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, noise = floats(generator, n)
    return y_pred, 2 * y_pred + noise


def with_ties(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, y = correlated(generator, n)
    return (3 * y_pred).round(), y.round()


def far_from_0(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    y_pred, y = correlated(generator, n)
    return 1e5 + y_pred.double(), 3e5 + y.double()


def vectors(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 10, generator=generator), torch.randn(n, 10, generator=generator)


# References, in float64.


def arrays(*tensors: Tensor) -> list[Any]:
    return [tensor.double().flatten().numpy() for tensor in tensors]


def mean_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    return (y_pred.double() - y.double()).abs().sum().item() / len(y)


def mean_pairwise_distance(y_pred: Tensor, y: Tensor, p: float = 2, eps: float = 1e-6) -> float:
    pairs = zip(y_pred.double().numpy(), y.double().numpy(), strict=True)
    return float(np.mean([np.linalg.norm(a - b + eps, ord=p) for a, b in pairs]))


def canberra(y_pred: Tensor, y: Tensor) -> float:
    return float(distance.canberra(*arrays(y, y_pred)))


def fractional_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    return 2 * canberra(y_pred, y) / len(y)


def fractional_bias(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(np.mean(2 * (a - p) / (a + p)))


def geometric_mean_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(stats.gmean(np.abs(a - p)))


def geometric_mean_relative_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(stats.gmean(np.abs(a - p) / np.abs(a - a.mean())))


def kendall(y_pred: Tensor, y: Tensor, variant: str = "b") -> float:
    return float(stats.kendalltau(*arrays(y_pred, y), variant=variant).statistic)


def manhattan(y_pred: Tensor, y: Tensor) -> float:
    return float(distance.cityblock(*arrays(y, y_pred)))


def maximum_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    return float(sklearn.max_error(*arrays(y, y_pred)))


def mean_absolute_relative_error(y_pred: Tensor, y: Tensor) -> float:
    return float(sklearn.mean_absolute_percentage_error(*arrays(y, y_pred)))


def mean_error(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(np.mean(a - p))


def mean_normalized_bias(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(np.mean((a - p) / a))


def median_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    return float(sklearn.median_absolute_error(*arrays(y, y_pred)))


def median_absolute_percentage_error(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(100 * np.median(np.abs(a - p) / np.abs(a)))


def median_relative_absolute_error(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(np.median(np.abs(a - p) / np.abs(a - a.mean())))


def pearson(y_pred: Tensor, y: Tensor) -> float:
    return float(stats.pearsonr(*arrays(y_pred, y)).statistic)


def r2(y_pred: Tensor, y: Tensor) -> float:
    return float(sklearn.r2_score(*arrays(y, y_pred)))


def spearman(y_pred: Tensor, y: Tensor) -> float:
    return float(stats.spearmanr(*arrays(y_pred, y)).statistic)


def wave_hedges(y_pred: Tensor, y: Tensor) -> float:
    p, a = arrays(y_pred, y)
    return float(np.sum(np.abs(a - p) / np.maximum(a, p)))


# The torch operations that an update needs.


def bare_sum(summed: Callable[[Tensor, Tensor], Tensor]) -> Update:
    total, samples = torch.zeros((), dtype=torch.float64), 0

    def update(output: Any) -> None:
        nonlocal total, samples
        y_pred, y = output
        total += summed(y_pred, y)
        samples += len(y)

    return update


def bare_sum_and_smallest(summed: Callable[[Tensor, Tensor], Tensor]) -> Update:
    smallest = torch.full((), torch.inf, dtype=torch.float64)
    add = bare_sum(summed)

    def update(output: Any) -> None:
        add(output)
        torch.minimum(smallest, output[1].abs().amin(), out=smallest)

    return update


def bare_maximum() -> Update:
    largest = torch.zeros((), dtype=torch.float64)

    def update(output: Any) -> None:
        y_pred, y = output
        torch.maximum(largest, (y - y_pred).abs_().amax(), out=largest)

    return update


def bare_pearson() -> Update:
    pivot, sums, products = None, torch.zeros(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)

    def update(output: Any) -> None:
        nonlocal pivot, sums
        values = torch.stack(output).double()
        if pivot is None:
            pivot = values[:, :1].clone()
        values -= pivot
        sums += values.sum(1)
        products.addmm_(values, values.T)

    return update


def bare_r2() -> Update:
    pivot, sums, squares, errors = None, *torch.zeros(3, dtype=torch.float64)

    def update(output: Any) -> None:
        nonlocal pivot, sums, squares, errors
        y_pred, y = output
        values = y.double()
        if pivot is None:
            pivot = values[:1].clone()
        values -= pivot
        sums += values.sum()
        squares += values.dot(values)
        error = y - y_pred
        errors += error.dot(error)

    return update


def bare_keeping() -> Update:
    outputs: list[Tensor] = []

    def update(output: Any) -> None:
        outputs.append(torch.stack(output))

    return update


def absolute(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).abs_().sum()


def signed(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).sum(dtype=torch.float64)


def relative_to_pairs(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).abs_().div_(y.abs().add_(y_pred.abs()).clamp_min_(1e-38)).sum()


def bias_of_pairs(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).div_((y + y_pred).add_(1e-30)).sum(dtype=torch.float64)


def relative_to_larger(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).abs_().div_(torch.maximum(y, y_pred).add_(1e-30)).sum()


def logarithms(y_pred: Tensor, y: Tensor) -> Tensor:
    errors = (y - y_pred).abs_()
    return (errors if len(errors) > 1024 else errors.double()).log_().sum()


def relative_to_targets(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).div_(y).abs_().sum()


def bias_of_targets(y_pred: Tensor, y: Tensor) -> Tensor:
    return (y - y_pred).div_(y).sum(dtype=torch.float64)


EPS = torch.tensor(1e-6)


def distances(y_pred: Tensor, y: Tensor) -> Tensor:
    return torch.linalg.vector_norm((y_pred - y).add_(EPS), 2, -1).sum()


# The peers.


def of_ignite(name: str, **settings: Any) -> Callable[[], Update]:
    def make() -> Any:
        import ignite.metrics
        import ignite.metrics.regression

        return getattr(ignite.metrics.regression, name, None) or getattr(ignite.metrics, name)

    return updates_of_ignite(lambda: make()(**settings))


def of_torchmetrics(name: str, **settings: Any) -> Callable[[], Update]:
    def make() -> Any:
        import torchmetrics

        return getattr(torchmetrics, name)(**settings)

    return updates_of_torchmetrics(make)


def case(
    name: str,
    batch: Callable[[torch.Generator, int], Any],
    reference: Callable[..., float],
    bare: Callable[[], Update],
    torchmetrics: Callable[[], Update] | None = None,
    **settings: Any,
) -> MetricCase:
    return MetricCase(
        name=name,
        make=getattr(regression, name),
        batch=batch,
        reference=reference,
        bare=bare,
        ignite=of_ignite(name),
        torchmetrics=torchmetrics,
        **settings,
    )


CASES = [
    MetricCase(
        name="MeanAbsoluteError",
        make=MeanAbsoluteError,
        batch=floats,
        reference=mean_absolute_error,
        bare=partial(bare_sum, absolute),
        ignite=of_ignite("MeanAbsoluteError"),
        torchmetrics=of_torchmetrics("MeanAbsoluteError"),
    ),
    MetricCase(
        name="MeanAbsoluteError of vectors", make=MeanAbsoluteError, batch=vectors, reference=mean_absolute_error
    ),
    MetricCase(
        name="MeanPairwiseDistance",
        make=MeanPairwiseDistance,
        batch=vectors,
        reference=mean_pairwise_distance,
        bare=partial(bare_sum, distances),
        ignite=of_ignite("MeanPairwiseDistance"),
    ),
    MetricCase(
        name="MeanPairwiseDistance, p=1, eps=0",
        make=partial(MeanPairwiseDistance, p=1, eps=0),
        batch=vectors,
        reference=partial(mean_pairwise_distance, p=1, eps=0),
    ),
    MetricCase(
        name="MeanPairwiseDistance, p=inf",
        make=partial(MeanPairwiseDistance, p=torch.inf),
        batch=vectors,
        reference=partial(mean_pairwise_distance, p=np.inf),
    ),
    case("CanberraMetric", floats, canberra, partial(bare_sum, relative_to_pairs)),
    case(
        "FractionalAbsoluteError",
        floats,
        fractional_absolute_error,
        partial(bare_sum, relative_to_pairs),
        of_torchmetrics("SymmetricMeanAbsolutePercentageError"),
    ),
    case("FractionalBias", floats, fractional_bias, partial(bare_sum, bias_of_pairs)),
    case("GeometricMeanAbsoluteError", floats, geometric_mean_absolute_error, partial(bare_sum, logarithms)),
    case(
        "GeometricMeanRelativeAbsoluteError",
        floats,
        geometric_mean_relative_absolute_error,
        bare_keeping,
        keeps_outputs=True,
    ),
    case(
        "KendallRankCorrelation",
        correlated,
        kendall,
        bare_keeping,
        of_torchmetrics("KendallRankCorrCoef"),
        keeps_outputs=True,
    ),
    MetricCase(
        name="KendallRankCorrelation, variant=b, ties",
        make=regression.KendallRankCorrelation,
        batch=with_ties,
        reference=kendall,
        keeps_outputs=True,
    ),
    MetricCase(
        name="KendallRankCorrelation, variant=c, ties",
        make=partial(regression.KendallRankCorrelation, variant="c"),
        batch=with_ties,
        reference=partial(kendall, variant="c"),
        keeps_outputs=True,
    ),
    case(
        "ManhattanDistance",
        floats,
        manhattan,
        partial(bare_sum, absolute),
        of_torchmetrics("MinkowskiDistance", p=1.0),
    ),
    case("MaximumAbsoluteError", floats, maximum_absolute_error, bare_maximum),
    case(
        "MeanAbsoluteRelativeError",
        floats,
        mean_absolute_relative_error,
        partial(bare_sum_and_smallest, relative_to_targets),
        of_torchmetrics("MeanAbsolutePercentageError"),
    ),
    case("MeanError", floats, mean_error, partial(bare_sum, signed)),
    case("MeanNormalizedBias", floats, mean_normalized_bias, partial(bare_sum_and_smallest, bias_of_targets)),
    case("MedianAbsoluteError", floats, median_absolute_error, bare_keeping, keeps_outputs=True),
    case("MedianAbsolutePercentageError", floats, median_absolute_percentage_error, bare_keeping, keeps_outputs=True),
    case("MedianRelativeAbsoluteError", floats, median_relative_absolute_error, bare_keeping, keeps_outputs=True),
    case("PearsonCorrelation", correlated, pearson, bare_pearson, of_torchmetrics("PearsonCorrCoef")),
    MetricCase(
        name="PearsonCorrelation far from 0",
        make=regression.PearsonCorrelation,
        batch=far_from_0,
        reference=pearson,
        half=False,  # a mean so large has no spread left there
    ),
    case("R2Score", correlated, r2, bare_r2, of_torchmetrics("R2Score")),
    MetricCase(name="R2Score far from 0", make=regression.R2Score, batch=far_from_0, reference=r2, half=False),
    MetricCase(name="R2Score of columns", make=regression.R2Score, batch=columns, reference=r2),
    case(
        "SpearmanRankCorrelation",
        correlated,
        spearman,
        bare_keeping,
        of_torchmetrics("SpearmanCorrCoef"),
        keeps_outputs=True,
    ),
    MetricCase(
        name="SpearmanRankCorrelation, ties",
        make=regression.SpearmanRankCorrelation,
        batch=with_ties,
        reference=spearman,
        keeps_outputs=True,
    ),
    case("WaveHedgesDistance", positive, wave_hedges, partial(bare_sum, relative_to_larger)),
]
