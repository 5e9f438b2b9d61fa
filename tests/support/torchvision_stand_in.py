"""A stand-in for `torchvision.models`: a small network in the place of InceptionV3."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import torch


def stand_in() -> ModuleType:
    """Return a module whose `inception_v3` makes 1000 logits of two numbers."""
    models: Any = ModuleType("torchvision.models")
    models.Inception_V3_Weights = SimpleNamespace(DEFAULT="weights")
    models.inception_v3 = lambda weights: torch.nn.Linear(2, 1000)
    return models
