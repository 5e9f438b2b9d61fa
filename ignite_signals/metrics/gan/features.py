"""The base of the metrics that look at images through a network."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ignite_signals.metrics.metric import unchanged
from ignite_signals.metrics.pairs import wide
from ignite_signals.metrics.streaming import Streaming

__all__ = ["OfFeatures", "inception"]


class OfFeatures(Streaming):
    """Accumulate what a network makes of images.

    Args:
        num_features: how many features the network returns of an image.
        feature_extractor: returns a tensor of shape `(N, num_features)`; None takes what comes as features. It is moved
            to `device`, where one is given.
        output_transform: makes of `engine.state.output` what `update` takes.
        device: where to accumulate; by default where the features are.
    """

    _accumulates_by: ClassVar[tuple[str, ...] | None] = (
        *(Streaming._accumulates_by or ()),
        "_num_features",
        "_feature_extractor",
    )
    # Whether the network taken by default ends in a softmax.
    _of_probabilities: ClassVar[bool]

    def __init__(
        self,
        num_features: int | None = None,
        feature_extractor: nn.Module | None = None,
        output_transform: Callable[[Any], Any] = unchanged,
        device: str | torch.device | None = None,
    ) -> None:
        self._brings_extractor = num_features is None and feature_extractor is None
        if self._brings_extractor:
            num_features, feature_extractor = 1000, inception(type(self).__name__, self._of_probabilities)
        if num_features is None:
            raise ValueError("num_features must be given where feature_extractor is, got None")
        if isinstance(num_features, bool) or not isinstance(num_features, int):
            raise TypeError(f"num_features must be an integer, got {num_features!r}")
        if num_features <= 0:
            raise ValueError(f"num_features must be positive, got {num_features!r}")
        if not (feature_extractor is None or isinstance(feature_extractor, nn.Module)):
            raise TypeError(f"feature_extractor must be a torch.nn.Module, got {feature_extractor!r}")
        self._num_features = num_features
        self._feature_extractor = nn.Identity() if feature_extractor is None else feature_extractor
        super().__init__(output_transform, device=device)
        if device is not None:
            self._feature_extractor.to(self._device)

    @torch.no_grad()
    def _features(self, name: str, images: Any) -> Tensor:
        if not isinstance(images, Tensor):
            raise TypeError(
                f"{name} must be a tensor for {type(self).__name__}, got a {type(images).__name__}; "
                "choose it with output_transform"
            )
        if not self._follows_values:
            images = images.to(self._device)
        elif self._brings_extractor and not self._placed:
            self._feature_extractor.to(images.device)
        features: Tensor = self._feature_extractor(images.detach())
        if features.ndim != 2 or features.shape[1] != self._num_features:
            raise ValueError(
                f"feature_extractor must return features of shape (N, {self._num_features}) for {type(self).__name__}, "
                f"got {tuple(features.shape)} for {name}; pass another num_features or feature_extractor"
            )
        return wide(features) if features.is_mps else features.double()


def inception(metric: str, probabilities: bool) -> nn.Module:
    """Return torchvision's InceptionV3, trained on ImageNet: 1000 logits, or probabilities, of an image.

    Raises:
        ModuleNotFoundError: torchvision is not installed.
    """
    try:
        models = importlib.import_module("torchvision.models")
    except ImportError as error:
        raise ModuleNotFoundError(
            f"{metric} without a feature_extractor needs torchvision's InceptionV3, and torchvision is not installed; "
            "install it with: pip install torchvision, or pass num_features and feature_extractor"
        ) from error
    network = models.inception_v3(weights=models.Inception_V3_Weights.DEFAULT)
    return nn.Sequential(network, nn.Softmax(dim=1) if probabilities else nn.Identity()).eval()
