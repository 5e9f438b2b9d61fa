"""FID: how far generated images are from real ones."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.exceptions import NotComputableError
from ignite_signals.metrics.gan.features import OfFeatures
from ignite_signals.metrics.mean import sum_dtype
from ignite_signals.metrics.output import parts

__all__ = ["FID"]


class FID(OfFeatures):
    """Measure the Frechet distance of the features of two sets of images, each taken as normally distributed.

    The value is `|mu_1 - mu_2| ** 2 + trace(S_1 + S_2 - 2 (S_1 S_2) ** 0.5)`, with the means and the unbiased
    covariances of the features; see Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a Local
    Nash Equilibrium" (2017), https://arxiv.org/abs/1706.08500. Sums and products are kept in float64, so the memory is
    that of two matrices of `num_features ** 2` numbers.

    Args:
        num_features: how many features there are; 1000 where neither this nor `feature_extractor` is given.
        feature_extractor: returns features of shape `(N, num_features)`; it is used in the mode, training or
            evaluation, that it is in. By default the images are features already or, without `num_features`, the
            logits of torchvision's pretrained InceptionV3 are. To compare with published values, pass the network
            that they were made with.
        output_transform: makes `(train, test)` of `engine.state.output`, as many of one as of the other.
        device: where to accumulate, and where to move the network; by default where the features are.

    Raises:
        TypeError: an image or an argument is of another type than it should be.
        ValueError: the features are not of shape `(N, num_features)`, or of different N; `num_features` is not
            positive, or missing beside a `feature_extractor`.
        ModuleNotFoundError: torchvision is needed and not installed.
        NotComputableError: `compute` was called before two samples were seen, without which there is no covariance.

    >>> fid = FID(num_features=1)
    >>> fid.update((torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]])))
    >>> round(fid.compute(), 4)  # 3 ** 2, as the variances are the same
    9.0
    """

    _reductions: ClassVar[dict[str, str]] = {
        "_train_sum": "SUM",
        "_train_products": "SUM",
        "_test_sum": "SUM",
        "_test_products": "SUM",
        "_num_examples": "SUM",
    }
    _of_probabilities = False

    _train_sum: Tensor
    _train_products: Tensor
    _test_sum: Tensor
    _test_products: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        n, dtype = self._num_features, sum_dtype(device)
        self._train_sum, self._test_sum = (torch.zeros(n, dtype=dtype, device=device) for _ in range(2))
        self._train_products, self._test_products = (torch.zeros(n, n, dtype=dtype, device=device) for _ in range(2))

    def update(self, output: Any) -> None:
        """Take in `(train, test)`.

        Raises:
            TypeError: `output` is not a pair of tensors.
            ValueError: the features are not of shape `(N, num_features)`, or of different N.
        """
        train, test = parts(self, output, "(train, test)", (2,))
        train, test = self._features("train", train), self._features("test", test)
        if len(train) != len(test):
            raise ValueError(
                f"train and test must have as many samples as each other for {type(self).__name__}, got "
                f"{len(train)} and {len(test)}"
            )
        if not self._placed:
            self._place(train)
        self._train_sum += train.sum(dim=0)
        self._test_sum += test.sum(dim=0)
        self._train_products.addmm_(train.t(), train)
        self._test_products.addmm_(test.t(), test)
        self._num_examples += len(train)

    def _require_samples(self) -> None:
        super()._require_samples()
        if isinstance(self._num_examples, int) and self._num_examples < 2:
            raise NotComputableError(f"{type(self).__name__} needs two samples at least, and has seen one")

    def _value(self) -> Tensor:
        n = self._num_examples
        difference: Tensor = (self._train_sum - self._test_sum) / n
        train = _covariance(self._train_sum, self._train_products, n)
        test = _covariance(self._test_sum, self._test_products, n)
        # With S = R R', the eigenvalues of S_1 S_2 are the squares of the singular values of R_1' R_2.
        root_trace = torch.linalg.svdvals(_root(train).t() @ _root(test)).sum()
        distance: Tensor = difference.dot(difference) + train.trace() + test.trace() - 2 * root_trace
        return distance.clamp(min=0)  # below by rounding only


def _covariance(total: Tensor, products: Tensor, n: int) -> Tensor:
    covariance: Tensor = (products - torch.outer(total, total) / n) / (n - 1)
    return covariance


def _root(covariance: Tensor) -> Tensor:
    """Return R with R R' equal to a covariance."""
    values, vectors = torch.linalg.eigh(covariance)
    # Those that rounding made of zeros would be much larger in the root.
    least = values[-1] * len(values) * torch.finfo(values.dtype).eps
    root: Tensor = vectors * values.where(values > least, 0.0).sqrt()
    return root
