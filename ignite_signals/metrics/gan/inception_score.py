"""InceptionScore: how certain and how various the classes of generated images are."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from ignite_signals.metrics.gan.features import OfFeatures
from ignite_signals.metrics.mean import sum_dtype

__all__ = ["InceptionScore"]

_TINY = 1e-38  # not 0 in float32 either


class InceptionScore(OfFeatures):
    """Measure how certain each image's class is and how much the classes vary: from 1 to the number of classes.

    The value is `exp(1 / N * sum_i KL(p_i, p))`, where `p_i` are the probabilities of the classes for an image, `p`
    their mean and KL the Kullback-Leibler divergence; see Barratt and Sharma, "A Note on the Inception Score" (2018),
    https://arxiv.org/abs/1801.01973.

    Args:
        num_features: how many classes there are; 1000 where neither this nor `feature_extractor` is given.
        feature_extractor: returns probabilities of shape `(N, num_features)`; it is used in the mode, training or
            evaluation, that it is in. By default the images are probabilities already or, without `num_features`,
            those of torchvision's pretrained InceptionV3 are taken.
        output_transform: makes images, a tensor, of `engine.state.output`.
        device: where to sum, and where to move the network; by default where the probabilities are.

    Raises:
        TypeError: the images or an argument are of another type than they should be.
        ValueError: the probabilities are not of shape `(N, num_features)`, or negative or NaN, which `compute` tells;
            `num_features` is not positive, or missing beside a `feature_extractor`.
        ModuleNotFoundError: torchvision is needed and not installed.
        NotComputableError: `compute` was called before any image was seen.

    >>> score = InceptionScore(num_features=2)
    >>> score.update(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    >>> round(score.compute(), 4)
    2.0
    """

    required_output_keys = ("y_pred",)
    _reductions: ClassVar[dict[str, str]] = {
        "_sum": "SUM",
        "_probabilities": "SUM",
        "_num_examples": "SUM",
    }
    _of_probabilities = True

    _sum: Tensor
    _probabilities: Tensor

    def _create(self, device: torch.device, values: Tensor) -> None:
        dtype = sum_dtype(device)
        self._sum = torch.zeros((), dtype=dtype, device=device)
        self._probabilities = torch.zeros(self._num_features, dtype=dtype, device=device)

    def update(self, output: Any) -> None:
        """Take in images, or `(images,)`.

        Raises:
            TypeError: `output` is no tensor.
            ValueError: the probabilities are not of shape `(N, num_features)`.
        """
        images = output[0] if isinstance(output, tuple) and len(output) == 1 else output
        probabilities = self._features("y_pred", images)
        if not self._placed:
            self._place(probabilities)
        # The logarithm of 0 would be -inf, and its product with 0 NaN; what is negative becomes NaN, and is noticed so.
        self._sum += (probabilities + _TINY).log_().mul_(probabilities).sum()
        self._probabilities += probabilities.sum(dim=0)
        self._num_examples += len(probabilities)

    def _bad_input(self) -> Tensor:
        return self._sum.isnan()

    def _complaint(self) -> str:
        return (
            f"feature_extractor must return probabilities for {type(self).__name__}, got "
            "negative ones or NaN; end it in a softmax"
        )

    def _value(self) -> Tensor:
        entropy_of_mean: Tensor = torch.special.entr(self._probabilities / self._num_examples).sum()
        return (self._sum / self._num_examples + entropy_of_mean).exp()
