"""The random numbers of Python, NumPy and torch are saved, put back, and kept from a function that draws some."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch

__all__ = ["deterministic_cudnn", "get_rng_states", "keep_random_state", "rng_states_of", "set_rng_states"]

P = ParamSpec("P")
T = TypeVar("T")


def keep_random_state(func: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function such that the random numbers of its caller go on as if it had not been called.

    For a handler that draws random numbers, or evaluates, in only some runs. It keeps the states of Python, NumPy,
    torch and CUDA, also where the function raises.

    >>> import torch
    >>> @keep_random_state
    ... def augment(engine):
    ...     torch.manual_seed(0)
    >>> state = torch.get_rng_state()
    >>> augment(None)
    >>> bool((state == torch.get_rng_state()).all())
    True
    """

    @functools.wraps(func)
    def keeping(*args: P.args, **kwargs: P.kwargs) -> T:
        states = get_rng_states()
        try:
            return func(*args, **kwargs)
        finally:
            set_rng_states(states)

    return keeping


def get_rng_states() -> dict[str, Any]:
    """Return the states of the random numbers of Python, torch, CUDA where it is in use, and NumPy."""
    states: dict[str, Any] = {"python": random.getstate(), "torch": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states["cuda"] = torch.cuda.get_rng_state_all()
    try:
        import numpy as np
    except ImportError:
        return states
    numpy: Any = np.random.get_state()
    name, keys, *rest = numpy
    return states | {"numpy": (name, keys.tolist(), *rest)}  # plain data, which torch.load takes with weights_only


def set_rng_states(states: Mapping[str, Any] | None) -> None:
    """Put the random numbers back to what `get_rng_states` returned."""
    if states is None:
        return
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(states["torch"].cpu())
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.init()  # type: ignore[no-untyped-call]
        for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(state.cpu(), device)
    if "numpy" in states:
        import numpy as np

        np.random.set_state(tuple(states["numpy"]))


def rng_states_of(saved: Any) -> dict[str, Any] | None:
    """Return saved states by name; PyTorch-Ignite saves a list of them."""
    if isinstance(saved, list):
        return dict(zip(("python", "torch", "numpy"), saved, strict=False))
    return None if saved is None else dict(saved)


@contextmanager
def deterministic_cudnn() -> Iterator[None]:
    """Let cuDNN choose its algorithms in the same way each time, and put back how it chose before."""
    cudnn = torch.backends.cudnn
    before = cudnn.deterministic, cudnn.benchmark
    cudnn.deterministic, cudnn.benchmark = True, False
    try:
        yield
    finally:
        cudnn.deterministic, cudnn.benchmark = before
