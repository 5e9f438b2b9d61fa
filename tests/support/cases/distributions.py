"""The cases of the distributions family: entropies, divergences, similarities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import nll_loss

from ignite_signals.metrics import (
    HSIC,
    CosineSimilarity,
    Entropy,
    JSDivergence,
    KLDivergence,
    MaximumMeanDiscrepancy,
    MutualInformation,
    Perplexity,
)
from support.metric_cases import MetricCase, Update, updates_of_ignite


# What goes in. The shape is that of one sample.
def vectors(generator: torch.Generator, n: int, shape: Sequence[int] = (10,)) -> tuple[Tensor, Tensor]:
    return torch.randn(n, *shape, generator=generator), torch.randn(n, *shape, generator=generator)


def dependent_vectors(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    x, noise = vectors(generator, n)
    return x, x.square() + 0.1 * noise + 1


def logits_and_classes(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return 3 * torch.randn(n, 10, generator=generator), torch.randint(10, (n,), generator=generator)


def logits_of_pixels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return 3 * torch.randn(n, 4, 3, 2, generator=generator), torch.randint(4, (n, 3, 2), generator=generator)


def some_classes_masked(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    logits, classes = logits_and_classes(generator, n)
    logits[:, 7:] = -torch.inf
    return logits, classes


def tokens(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    # Models of sequences return (N, T, V), which one transposes.
    logits = torch.randn(n, 8, 64, generator=generator).transpose(1, 2)
    return logits, torch.randint(64, (n, 8), generator=generator)


def padded_tokens(generator: torch.Generator, n: int, padding: int = -100) -> tuple[Tensor, Tensor]:
    logits, targets = tokens(generator, n)
    targets[:, 5:] = padding
    return logits, targets


# What should come out, in float64.
def probabilities(logits: Tensor) -> Tensor:
    exponentials = (logits.double() - logits.double().amax(dim=1, keepdim=True)).exp()
    return (exponentials / exponentials.sum(dim=1, keepdim=True)).movedim(1, -1).flatten(end_dim=-2)


def entropy(y_pred: Tensor, y: Tensor) -> float:
    import scipy.stats

    return float(scipy.stats.entropy(probabilities(y_pred).numpy(), axis=1).mean())


def kl_divergence(y_pred: Tensor, y: Tensor) -> float:
    import scipy.stats

    return float(scipy.stats.entropy(probabilities(y).numpy(), probabilities(y_pred).numpy(), axis=1).mean())


def js_divergence(y_pred: Tensor, y: Tensor) -> float:
    from scipy.spatial.distance import jensenshannon

    return float((jensenshannon(probabilities(y).numpy(), probabilities(y_pred).numpy(), axis=1) ** 2).mean())


def mutual_information(y_pred: Tensor, y: Tensor) -> float:
    import scipy.stats

    p = probabilities(y_pred).numpy()
    return float(scipy.stats.entropy(p.mean(axis=0)) - scipy.stats.entropy(p, axis=1).mean())


def cosine_similarity(y_pred: Tensor, y: Tensor) -> float:
    from scipy.spatial.distance import cosine

    pairs = zip(y_pred.double().flatten(1).numpy(), y.double().flatten(1).numpy(), strict=True)
    similarities = [1 - cosine(a, b) for a, b in pairs]
    return float(sum(similarities) / len(similarities))


def perplexity(y_pred: Tensor, y: Tensor, ignore_index: int = -100) -> float:
    log_p = y_pred.double().log_softmax(1).movedim(1, -1).flatten(end_dim=-2)
    pairs = [(row, token) for row, token in zip(log_p, y.flatten().tolist(), strict=True) if token != ignore_index]
    return math.exp(-sum(row[token].item() for row, token in pairs) / len(pairs))


def gaussian(x: Tensor, y: Tensor, variance: float) -> Tensor:
    return ((x[:, None] - y[None]) ** 2).sum(dim=-1).div(-2 * variance).exp()


def squared_discrepancy(x: Tensor, y: Tensor, variance: float) -> float:
    n = len(x)
    others = 1 - torch.eye(n, dtype=torch.float64)
    x, y = x.double().flatten(1), y.double().flatten(1)
    within = ((gaussian(x, x, variance) + gaussian(y, y, variance)) * others).sum() / (n * (n - 1))
    return float(within - 2 * gaussian(x, y, variance).mean())


def discrepancy(*batches: tuple[Tensor, Tensor], variance: float = 1.0) -> float:
    squares = [squared_discrepancy(x, y, variance) for x, y in batches]
    return math.sqrt(max(0.0, sum(squares) / len(squares)))


def independence(x: Tensor, y: Tensor, sigma: float) -> float:
    """Return the estimate of a batch, by the paper's formula, term by term."""
    n = len(x)
    others = 1 - torch.eye(n, dtype=torch.float64)
    k, l = (gaussian(part, part, _variance(part, sigma)) * others for part in (x.double(), y.double()))  # noqa: E741
    ones = torch.ones(n, dtype=torch.float64)
    sums = (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
    return float(((k @ l).trace() + sums - 2 / (n - 2) * (ones @ k @ l @ ones)) / (n * (n - 3)))


def _variance(vectors: Tensor, sigma: float) -> float:
    if sigma > 0:
        return sigma**2
    return float(((vectors[:, None] - vectors[None]) ** 2).sum(dim=-1).flatten().quantile(0.5))


def criterion(*batches: tuple[Tensor, Tensor], sigma: float = -1) -> float:
    estimates = [independence(x, y, sigma) for x, y in batches if len(x) >= 4]
    return max(0.0, sum(estimates) / len(estimates))


def apart(batches: Sequence[Any]) -> tuple[Any, ...]:
    """Leave batches as they are: the value depends on how the samples are divided."""
    return tuple(batches)


# The operations that an update needs, and nothing else.
class Bare:
    def __init__(self) -> None:
        self.total, self.samples = torch.zeros((), dtype=torch.float64), 0


def log_softmax(logits: Tensor) -> Tensor:
    """Of ten classes torch's kernel is fastest this way."""
    return logits.t().contiguous().log_softmax(0).t()


class BareEntropy(Bare):
    def update(self, output: Any) -> None:
        log_p = log_softmax(output[0]).clamp_(min=-1e4)
        self.total -= log_p.exp().mul_(log_p).sum()
        self.samples += len(log_p)


class BareMutualInformation(Bare):
    def __init__(self) -> None:
        super().__init__()
        self.mass = torch.zeros(10, dtype=torch.float64)

    def update(self, output: Any) -> None:
        log_p = log_softmax(output[0]).clamp_(min=-1e4)
        p = log_p.exp()
        self.mass += p.sum(dim=0)
        self.total -= p.mul_(log_p).sum()
        self.samples += len(log_p)


class BareKLDivergence(Bare):
    def update(self, output: Any) -> None:
        y_pred, y = output
        p = log_softmax(y)
        terms = p - log_softmax(y_pred)
        p.exp_()
        self.total += torch.ops.aten.threshold_backward(terms, p, 0).mul_(p).sum()
        self.samples += len(y)


class BareJSDivergence(Bare):
    def update(self, output: Any) -> None:
        y_pred, y = output
        p, q = log_softmax(y).clamp_(min=-1e4), log_softmax(y_pred).clamp_(min=-1e4)
        middle = torch.logaddexp(p, q).sub_(0.6931471805599453)
        from_p, from_q = p - middle, q - middle
        self.total += from_p.mul_(p.exp_()).addcmul_(from_q, q.exp_()).sum()
        self.samples += len(y)


class BareCosineSimilarity(Bare):
    def update(self, output: Any) -> None:
        y_pred, y = output
        norm = torch.linalg.vector_norm
        lengths = norm(y_pred, dim=1).clamp_min_(1e-8).mul_(norm(y, dim=1).clamp_min_(1e-8))
        self.total += torch.linalg.vecdot(y_pred, y).div_(lengths).sum()
        self.samples += len(y)


class BarePerplexity(Bare):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.refused = torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64)

    def part(self, y_pred: Tensor, y: Tensor) -> Tensor:
        """By parts that fit into the cache."""
        logarithms = y_pred.movedim(1, -1).flatten(end_dim=-2).log_softmax(1)
        return nll_loss(logarithms, y.flatten(), ignore_index=-100, reduction="sum")

    def update(self, output: Any) -> None:
        y_pred, y = output
        ignored = y == -100
        skipped = (y.clamp(0, 63) != y).logical_or_(ignored)
        num_skipped = skipped.sum()
        targets = y.masked_fill(skipped, -100)
        parts = [self.part(*part) for part in zip(y_pred.split(256), targets.split(256), strict=True)]
        self.total += parts[0] if len(parts) == 1 else torch.stack([part.double() for part in parts]).sum()
        self.tokens += y.numel() - num_skipped
        self.refused += num_skipped - ignored.sum()
        self.samples += len(y)


def bare_distances(x: Tensor, y: Tensor, x_lengths: Tensor, y_lengths: Tensor) -> Tensor:
    return (x_lengths.unsqueeze(1) + y_lengths).addmm_(x, y.t(), alpha=-2)


def bare_kernel(vectors: Tensor) -> Tensor:
    vectors = vectors - vectors.mean(dim=0)
    lengths = (vectors * vectors).sum(dim=1)
    distances = bare_distances(vectors, vectors, lengths, lengths)
    return distances.fill_diagonal_(0).div_(-18).exp_().fill_diagonal_(0)


class BareMaximumMeanDiscrepancy(Bare):
    def update(self, output: Any) -> None:
        x, y = output
        n, center = len(x), x.mean(dim=0)
        x, y = x - center, y - center
        p, q = (x * x).sum(dim=1), (y * y).sum(dim=1)
        xx = bare_distances(x, x, p, p).mul_(-0.05).exp_().fill_diagonal_(0).sum()
        yy = bare_distances(y, y, q, q).mul_(-0.05).exp_().fill_diagonal_(0).sum()
        xy = bare_distances(x, y, p, q).mul_(-0.05).exp_().sum()
        self.total += (xx + yy) / (n * (n - 1)) - xy * (2 / n**2)
        self.samples += 1


class BareHSIC(Bare):
    def update(self, output: Any) -> None:
        x, y = output
        n = len(x)
        k, l = bare_kernel(x), bare_kernel(y)  # noqa: E741
        k_rows, l_rows = k.sum(dim=1), l.sum(dim=1)
        trace, product_sum, sums = k.mul_(l).sum(), (k_rows * l_rows).sum(), k_rows.sum() * l_rows.sum()
        self.total += (trace + sums / ((n - 1) * (n - 2)) - product_sum * (2 / (n - 2))) / (n * (n - 3))
        self.samples += 1


def updates_of(bare: type[Any]) -> Update:
    update: Update = bare().update
    return update


# The peers.
def ignite(name: str, **kwargs: Any) -> Any:
    import ignite.metrics

    return getattr(ignite.metrics, name)(**kwargs)


def ignite_perplexity(**kwargs: Any) -> Any:
    from ignite.metrics.nlp import Perplexity as Theirs

    return Theirs(**kwargs)


def torchmetrics_kl_divergence() -> Update:
    import torchmetrics

    metric = torchmetrics.KLDivergence(log_prob=True)
    return lambda output: metric.update(output[1].log_softmax(1), output[0].log_softmax(1))


def torchmetrics_js_divergence() -> Update:
    from torchmetrics.regression import JensenShannonDivergence

    metric = JensenShannonDivergence(log_prob=True)
    return lambda output: metric.update(output[1].log_softmax(1), output[0].log_softmax(1))


def torchmetrics_perplexity() -> Update:
    from torchmetrics.text import Perplexity as Theirs

    metric = Theirs(ignore_index=-100)
    return lambda output: metric.update(output[0].transpose(1, 2), output[1])


ROUNDED = {"rtol": 1e-5, "atol": 1e-6}  # of sums of differences in float32

CASES = [
    MetricCase(
        name="CosineSimilarity",
        make=CosineSimilarity,
        batch=partial(vectors, shape=(32,)),
        reference=cosine_similarity,
        bare=partial(updates_of, BareCosineSimilarity),
        ignite=updates_of_ignite(partial(ignite, "CosineSimilarity")),
        # torchmetrics' keeps the vectors and does the work in compute: nothing to compare with.
        **ROUNDED,
    ),
    MetricCase(
        name="CosineSimilarity of images",
        make=CosineSimilarity,
        batch=partial(vectors, shape=(3, 4, 4)),
        reference=cosine_similarity,
        **ROUNDED,
    ),
    MetricCase(
        name="Entropy",
        make=Entropy,
        batch=logits_and_classes,
        reference=entropy,
        bare=partial(updates_of, BareEntropy),
        ignite=updates_of_ignite(partial(ignite, "Entropy")),
    ),
    MetricCase(name="Entropy of pixels", make=Entropy, batch=logits_of_pixels, reference=entropy),
    MetricCase(name="Entropy with impossible classes", make=Entropy, batch=some_classes_masked, reference=entropy),
    MetricCase(
        name="KLDivergence",
        make=KLDivergence,
        batch=vectors,
        reference=kl_divergence,
        bare=partial(updates_of, BareKLDivergence),
        ignite=updates_of_ignite(partial(ignite, "KLDivergence")),
        torchmetrics=torchmetrics_kl_divergence,
        **ROUNDED,
    ),
    MetricCase(
        name="KLDivergence of pixels",
        make=KLDivergence,
        batch=partial(vectors, shape=(4, 3, 2)),
        reference=kl_divergence,
        **ROUNDED,
    ),
    MetricCase(
        name="JSDivergence",
        make=JSDivergence,
        batch=vectors,
        reference=js_divergence,
        bare=partial(updates_of, BareJSDivergence),
        ignite=updates_of_ignite(partial(ignite, "JSDivergence")),
        torchmetrics=torchmetrics_js_divergence,
        **ROUNDED,
    ),
    MetricCase(
        name="JSDivergence of pixels",
        make=JSDivergence,
        batch=partial(vectors, shape=(4, 3, 2)),
        reference=js_divergence,
        **ROUNDED,
    ),
    MetricCase(
        name="MutualInformation",
        make=MutualInformation,
        batch=logits_and_classes,
        reference=mutual_information,
        bare=partial(updates_of, BareMutualInformation),
        ignite=updates_of_ignite(partial(ignite, "MutualInformation")),
        **ROUNDED,
    ),
    MetricCase(
        name="Perplexity",
        make=Perplexity,
        batch=tokens,
        reference=perplexity,
        bare=partial(updates_of, BarePerplexity),
        ignite=updates_of_ignite(ignite_perplexity),
        torchmetrics=torchmetrics_perplexity,
    ),
    MetricCase(name="Perplexity of padded tokens", make=Perplexity, batch=padded_tokens, reference=perplexity),
    MetricCase(
        name="Perplexity with padding in the vocabulary",
        make=partial(Perplexity, ignore_index=0),
        batch=partial(padded_tokens, padding=0),
        reference=partial(perplexity, ignore_index=0),
    ),
    MetricCase(
        name="MaximumMeanDiscrepancy",
        make=partial(MaximumMeanDiscrepancy, var=10.0),
        batch=dependent_vectors,
        reference=partial(discrepancy, variance=10.0),
        bare=partial(updates_of, BareMaximumMeanDiscrepancy),
        ignite=updates_of_ignite(partial(ignite, "MaximumMeanDiscrepancy", var=10.0)),
        joins=False,  # and a batch of one sample is refused
        join=apart,
        rtol=1e-4,  # the root of a difference
    ),
    MetricCase(name="HSIC", make=HSIC, batch=dependent_vectors, reference=criterion, join=apart, **ROUNDED),
    MetricCase(
        name="HSIC with bandwidths",
        make=partial(HSIC, sigma_x=3, sigma_y=3),
        batch=dependent_vectors,
        reference=partial(criterion, sigma=3),
        bare=partial(updates_of, BareHSIC),
        ignite=updates_of_ignite(partial(ignite, "HSIC", sigma_x=3, sigma_y=3)),
        join=apart,
        **ROUNDED,
    ),
]
