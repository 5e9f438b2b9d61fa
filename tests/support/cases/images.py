"""The cases of the images family."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ignite_signals.metrics import FID, PSNR, SSIM, InceptionScore
from support.metric_cases import MetricCase, Update, updates_of_ignite, updates_of_torchmetrics


# What goes in.
def images(
    generator: torch.Generator, n: int, shape: Sequence[int] = (1, 16, 16), noise: float = 0.2
) -> tuple[Tensor, Tensor]:
    y = torch.rand(n, *shape, generator=generator)
    return y + noise * torch.randn(y.shape, generator=generator), y


def bytes_of_pixels(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return tuple(torch.randint(256, (n, 3, 12, 14), generator=generator, dtype=torch.uint8) for _ in range(2))


def features(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return torch.randn(n, 64, generator=generator), 2 * torch.randn(n, 64, generator=generator) + 1


def few_features(generator: torch.Generator, n: int) -> tuple[Tensor, Tensor]:
    return tuple(part[:, :3] for part in features(generator, n))


def class_probabilities(generator: torch.Generator, n: int) -> Tensor:
    return torch.randn(n, 10, generator=generator).mul(3).softmax(dim=1)


# What should come out, in float64.
def psnr(y_pred: Tensor, y: Tensor, data_range: float = 1.0) -> float:
    from skimage.metrics import peak_signal_noise_ratio

    pairs = zip(y.double().numpy(), y_pred.double().numpy(), strict=True)
    values = [peak_signal_noise_ratio(image, prediction, data_range=data_range) for image, prediction in pairs]
    return float(sum(values) / len(values))


def ssim(y_pred: Tensor, y: Tensor, data_range: float = 1.0, kernel_size: int = 11, gaussian: bool = True) -> float:
    """Mirror the images at their borders by hand, since scikit-image leaves the borders out."""
    import numpy as np
    from skimage.metrics import structural_similarity

    border = [(0, 0)] + [(kernel_size // 2, kernel_size // 2)] * (y.ndim - 2)
    window = {"gaussian_weights": True, "sigma": 1.5} if gaussian else {"win_size": kernel_size}
    values = [
        structural_similarity(
            np.pad(image, border, mode="reflect"),
            np.pad(prediction, border, mode="reflect"),
            data_range=data_range,
            channel_axis=0,
            use_sample_covariance=False,
            **window,
        )
        for image, prediction in zip(y.double().numpy(), y_pred.double().numpy(), strict=True)
    ]
    return float(sum(values) / len(values))


def fid(train: Tensor, test: Tensor) -> float:
    import numpy as np
    import scipy.linalg

    x, y = train.double().numpy(), test.double().numpy()
    s, t = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    difference = x.mean(axis=0) - y.mean(axis=0)
    return float(difference @ difference + np.trace(s + t - 2 * scipy.linalg.sqrtm(s @ t).real))


def inception_score(probabilities: Tensor) -> float:
    import scipy.special

    p = probabilities.double().numpy()
    return float(math.exp(scipy.special.rel_entr(p, p.mean(axis=0, keepdims=True)).sum(axis=1).mean()))


# The operations that an update needs, and nothing else.
class BarePSNR:
    def __init__(self) -> None:
        self.total, self.samples = torch.zeros((), dtype=torch.float64), 0

    def update(self, output: Any) -> None:
        y_pred, y = output
        errors = (y_pred - y).square_().flatten(start_dim=1).mean(dim=1)
        self.total += errors.clamp_(min=1e-10).log10_().sum()
        self.samples += len(y)


class BareSSIM:
    """Two products with a matrix are two passes of an 11 by 1 window over mirrored images."""

    def __init__(self) -> None:
        self.total, self.samples = torch.zeros((), dtype=torch.float64), 0
        window = torch.arange(-5, 6).div(1.5).square().mul(-0.5).exp()
        mirrored = torch.nn.functional.pad(torch.eye(16)[None], (5, 5), mode="reflect")[0]
        self.matrix = mirrored.unfold(1, 11, 1) @ (window / window.sum())

    def means(self, values: Tensor) -> Tensor:
        return (values @ self.matrix).movedim(-1, 2) @ self.matrix

    def update(self, output: Any) -> None:
        x, y = output
        mean_x, mean_y = self.means(x), self.means(y)
        squares = self.means((x * x).addcmul_(y, y))
        products = self.means(x * y)
        means_product = mean_x * mean_y
        means_squares = mean_x.square_().addcmul_(mean_y, mean_y)
        covariances, variances = products.sub_(means_product), squares.sub_(means_squares)
        similar = means_product.mul_(2).add_(1e-4).mul_(covariances.mul_(2).add_(9e-4))
        similar /= means_squares.add_(1e-4).mul_(variances.add_(9e-4))
        self.total += similar.sum() / 256
        self.samples += len(y)


class BareFID:
    def __init__(self) -> None:
        self.sums = [torch.zeros(64, dtype=torch.float64) for _ in range(2)]
        self.products = [torch.zeros(64, 64, dtype=torch.float64) for _ in range(2)]
        self.samples = 0

    def update(self, output: Any) -> None:
        for part, total, products in zip(output, self.sums, self.products, strict=True):
            values = part.double()
            total += values.sum(dim=0)
            products.addmm_(values.t(), values)
        self.samples += len(output[0])


class BareInceptionScore:
    def __init__(self) -> None:
        self.total, self.mass = torch.zeros((), dtype=torch.float64), torch.zeros(10, dtype=torch.float64)
        self.samples = 0

    def update(self, output: Any) -> None:
        values = output.double()
        self.total += (values + 1e-38).log_().mul_(values).sum()
        self.mass += values.sum(dim=0)
        self.samples += len(values)


def updates_of(bare: type[Any]) -> Update:
    update: Update = bare().update
    return update


# The peers.
def ignite(name: str, **kwargs: Any) -> Any:
    import ignite.metrics

    return getattr(ignite.metrics, name)(**kwargs)


def torchmetrics_psnr() -> Any:
    from torchmetrics.image import PeakSignalNoiseRatio

    return PeakSignalNoiseRatio(data_range=1.0, dim=(1, 2, 3))


def torchmetrics_ssim() -> Any:
    from torchmetrics.image import StructuralSimilarityIndexMeasure

    return StructuralSimilarityIndexMeasure(data_range=1.0)


CASES = [
    MetricCase(
        name="PSNR",
        make=partial(PSNR, data_range=1.0),
        batch=images,
        reference=psnr,
        bare=partial(updates_of, BarePSNR),
        ignite=updates_of_ignite(partial(ignite, "PSNR", data_range=1.0)),
        torchmetrics=updates_of_torchmetrics(torchmetrics_psnr),
    ),
    MetricCase(
        name="PSNR of bytes",
        make=partial(PSNR, data_range=255),
        batch=bytes_of_pixels,
        reference=partial(psnr, data_range=255),
    ),
    MetricCase(
        name="SSIM",
        make=partial(SSIM, data_range=1.0),
        batch=images,
        reference=ssim,
        bare=partial(updates_of, BareSSIM),
        ignite=updates_of_ignite(partial(ignite, "SSIM", data_range=1.0)),
        torchmetrics=updates_of_torchmetrics(torchmetrics_ssim),
        rtol=1e-5,
        atol=1e-6,
    ),
    MetricCase(
        name="SSIM of bytes, uniform",
        make=partial(SSIM, data_range=255, kernel_size=7, gaussian=False),
        batch=bytes_of_pixels,
        reference=partial(ssim, data_range=255, kernel_size=7, gaussian=False),
        rtol=1e-5,
        atol=1e-6,
    ),
    MetricCase(
        name="SSIM of volumes",
        make=partial(SSIM, data_range=1.0, ndims=3),
        batch=partial(images, shape=(2, 7, 8, 9)),
        reference=ssim,
        rtol=1e-5,
        atol=1e-6,
    ),
    MetricCase(
        name="FID",
        make=partial(FID, num_features=64),
        batch=features,
        reference=fid,
        bare=partial(updates_of, BareFID),
        ignite=updates_of_ignite(partial(ignite, "FID", num_features=64)),
        rtol=1e-4,  # of SciPy's root of a matrix that is singular where there are fewer samples than features
        atol=1e-4,
    ),
    MetricCase(
        name="FID of few features", make=partial(FID, num_features=3), batch=few_features, reference=fid, atol=1e-5
    ),
    MetricCase(
        name="InceptionScore",
        make=partial(InceptionScore, num_features=10),
        batch=class_probabilities,
        reference=inception_score,
        bare=partial(updates_of, BareInceptionScore),
        ignite=updates_of_ignite(partial(ignite, "InceptionScore", num_features=10)),
    ),
]
