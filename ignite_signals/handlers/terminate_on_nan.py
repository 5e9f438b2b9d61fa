"""TerminateOnNan: end a run whose numbers have become useless."""

from __future__ import annotations

import cmath
import logging
import reprlib
from collections.abc import Callable, Mapping, Sequence
from numbers import Number
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from ignite_signals.engine import Engine

__all__ = ["TerminateOnNan"]


class TerminateOnNan:
    """End the run as soon as the output holds a NaN or an infinity.

    A model with a NaN in it never recovers, so the rest of the run would be wasted. To look at a
    number means to wait for the device; add it with a filter (`every=100`) where that matters.

    Args:
        output_transform: makes of `engine.state.output` what to look at: a number, a tensor, or sequences
            and mappings of them. Strings pass.

    Raises:
        TypeError: `output_transform` is not callable; or, when called, the output holds something else.

    >>> from ignite_signals.engine import Engine, Events
    >>> trainer = Engine(lambda engine, batch: {"loss": batch})
    >>> handle = trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    >>> trainer.run([0.5, float("nan"), 0.25]).iteration
    2
    """

    def __init__(self, output_transform: Callable[[Any], Any] | None = None) -> None:
        if output_transform is not None and not callable(output_transform):
            raise TypeError(f"output_transform must be callable, got {output_transform!r}")
        self._output_transform = output_transform
        self.logger = logging.getLogger(f"{__name__}.{type(self).__qualname__}")

    def __call__(self, engine: Engine) -> None:
        """Look at the output, and ask the engine to terminate if it is not finite."""
        output = engine.state.output
        if self._output_transform is not None:
            output = self._output_transform(output)
        if not is_finite(output):
            self.logger.warning(
                "NaN or infinity in the output at iteration %s, the run ends: %s",
                engine.state.iteration,
                reprlib.repr(output),
            )
            engine.terminate()


def is_finite(output: Any) -> bool:
    """Tell whether every number in a number, a tensor, or sequences and mappings of them is finite.

    >>> is_finite({"loss": 1.0, "parts": [0.5, float("inf")]})
    False
    """
    if isinstance(output, Tensor):
        return bool(output.isfinite().all())
    if isinstance(output, int | str | bytes):  # an int of any size is finite
        return True
    if isinstance(output, Number):
        return cmath.isfinite(output)  # type: ignore[arg-type]  # every registered Number converts
    if isinstance(output, Mapping):
        return all(map(is_finite, output.values()))
    if isinstance(output, Sequence):
        return all(map(is_finite, output))
    raise TypeError(
        f"output must hold numbers, tensors, or sequences and mappings of them, got {output!r}; "
        "choose with TerminateOnNan(output_transform=...)"
    )
