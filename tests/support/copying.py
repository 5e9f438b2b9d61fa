"""The ways in which an object is copied."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


# A test with this decorator takes `copied`, which returns a copy.
every_copy = pytest.mark.parametrize("copied", [copy.deepcopy, pickled], ids=["deepcopy", "pickle"])
