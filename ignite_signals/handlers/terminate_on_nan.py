"""TerminateOnNan: end a run whose numbers have become useless."""

from __future__ import annotations

import cmath
import dataclasses
import logging
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Number, Rational
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import torch
from torch import Tensor

from ignite_signals.engine import Events
from ignite_signals.engine.integers import integer
from ignite_signals.handlers.checks import check_engine

if TYPE_CHECKING:
    from ignite_signals.engine import Engine
    from ignite_signals.engine.events import Event, EventsList, FilteredEvent

    Listenable: TypeAlias = Event | FilteredEvent | EventsList

__all__ = ["TerminateOnNan"]

_COUNTS = ("calls", "first", "last")
_FOUND = "not_finite_at"


class TerminateOnNan:
    """End the run as soon as the output holds a NaN or an infinity.

    A model with a NaN in it never recovers, so the rest of the run would be wasted. To look at a number means to wait
    for the device, once for all tensors of an output. With `every` it waits only at every so many calls. In between
    the device takes note of what it has seen, so that no NaN is missed, but found up to `every - 1` calls late.
    Numbers and tensors of the CPU are known at once, so they always end the run in the same iteration.

    What no one has looked at yet is saved with the engine's state, so a resumed run finds it at the same iteration.

    A filter (`Events.ITERATION_COMPLETED(every=100)`) costs less still, as the outputs in between are not looked at.

    Args:
        output_transform: makes of `engine.state.output` what to look at: a number, a tensor, or sequences, mappings,
            dataclasses and attrs classes of them. Strings pass.
        every: wait for the device at every so many calls. Prefer `attach` then, which looks at what is left when an
            epoch or the run is over.

    When it ends a run, `engine.state.not_finite_at` is the iteration at which it did. The weights may be useless by
    then, so a `Checkpoint` saves nothing more in that run. The attribute is gone when the next run is looked at.

    Raises:
        TypeError: `output_transform` is not callable; or, when called, the output holds something else.
        ValueError: `every` is no positive integer.

    >>> from ignite_signals.engine import Engine, Events
    >>> trainer = Engine(lambda engine, batch: {"loss": batch})
    >>> handle = trainer.add_event_handler(Events.ITERATION_COMPLETED, TerminateOnNan())
    >>> trainer.run([0.5, float("nan"), 0.25]).iteration
    2
    """

    def __init__(self, output_transform: Callable[[Any], Any] | None = None, *, every: int = 1) -> None:
        if output_transform is not None and not callable(output_transform):
            raise TypeError(f"output_transform must be callable, got {output_transform!r}")
        self._output_transform = output_transform
        self._every = integer("every", every)
        self._calls = 0
        # Per device the largest absolute value that no one has read yet, and the iterations it was taken over.
        self._unread: dict[torch.device, Tensor] = {}
        self._first = self._last = 0
        self.logger = logging.getLogger(f"{__name__}.{type(self).__qualname__}")

    def attach(self, engine: Engine, event: Listenable = Events.ITERATION_COMPLETED) -> None:
        """Look at the output at an event of an engine, and at what is left when an epoch or the run is over.

        Raises:
            TypeError: `engine` is no engine.
        """
        check_engine(engine)
        engine.add_event_handler(event, self)
        engine.add_event_handler(Events.EPOCH_COMPLETED | Events.COMPLETED, self.look)

    def __call__(self, engine: Engine) -> None:
        """Take the output in, and ask the engine to terminate if it is known not to be finite."""
        if not engine.should_terminate and hasattr(engine.state, _FOUND):
            delattr(engine.state, _FOUND)  # by a run that is over
        output = engine.state.output
        if self._output_transform is not None:
            output = self._output_transform(output)
        self._calls += 1
        self._count(engine.state.iteration)
        if not self._take(output):
            self._unread.clear()
            self._stop(engine, f"at iteration {self._last}", output)
        elif self._calls % self._every == 0:
            self.look(engine, output)

    def look(self, engine: Engine, output: Any = None) -> None:
        """Wait for the device, and ask the engine to terminate if what was not looked at yet is not finite."""
        if self._unread and not self._read():
            exact = self._first == self._last
            place = f"at iteration {self._last}" if exact else f"of iterations {self._first} to {self._last}"
            self._stop(engine, place, output if exact else None)

    def state_dict(self) -> dict[str, Any]:
        """Return what was noted and not looked at yet; it does not wait for the device."""
        unread = list(self._unread.values())
        return {"calls": self._calls, "first": self._first, "last": self._last, "unread": unread}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take up what was noted, to be looked at when it is due.

        Raises:
            TypeError: it is not a mapping, or its `unread` not a list of tensors.
            ValueError: a key is missing, or a count is none; nothing was changed.
        """
        calls, first, last, unread = _checked(state_dict)
        self._calls, self._first, self._last = calls, first, last
        self._unread.clear()
        for largest in unread:
            self._note(largest)

    def _count(self, iteration: int) -> None:
        if iteration < self._last:  # a new run, to which the outputs of the old one do not belong
            self._unread.clear()
        if not self._unread:
            self._first = iteration
        self._last = iteration

    def _take(self, output: Any) -> bool:
        """Tell whether what is known at once is finite, and take note of the rest on its device."""
        for verdict in verdicts(output):
            if isinstance(verdict, Tensor):
                self._note(verdict)
            elif not verdict:
                return False
        return True

    def _note(self, largest: Tensor) -> None:
        unread = self._unread.get(largest.device)
        self._unread[largest.device] = largest if unread is None else torch.maximum(unread, largest)

    def _read(self) -> bool:
        """Tell whether all that was noted is finite: the one wait for the device."""
        noted = list(self._unread.values())
        self._unread.clear()
        return bool(torch.stack([largest.isfinite().to(noted[0].device) for largest in noted]).all())

    def _stop(self, engine: Engine, place: str, output: Any) -> None:
        shown = "" if output is None else f": {reprlib.repr(output)}"
        self.logger.warning("NaN or infinity in the output %s, the run ends%s", place, shown)
        setattr(engine.state, _FOUND, engine.state.iteration)
        engine.terminate(by=type(self).__name__)


def _checked(saved: Mapping[str, Any]) -> tuple[int, int, int, list[Tensor]]:
    if not isinstance(saved, Mapping):
        raise TypeError(f"state_dict must be a mapping, as TerminateOnNan.state_dict() returns, got {saved!r}")
    if missing := [key for key in (*_COUNTS, "unread") if key not in saved]:
        raise ValueError(f"state_dict must have the keys {', '.join(map(repr, missing))}, got {list(saved)}")
    calls, first, last = (integer(f"state_dict[{key!r}]", saved[key], 0) for key in _COUNTS)
    unread = saved["unread"]
    if not isinstance(unread, list) or not all(isinstance(each, Tensor) and each.numel() == 1 for each in unread):
        raise TypeError(f"state_dict['unread'] must be a list of tensors of one element, got {unread!r}")
    return calls, first, last, unread


def verdicts(output: Any) -> Iterator[bool | Tensor]:
    """Yield for each part of an output that holds floating numbers whether they are all finite.

    What the device knows and nobody has waited for is yielded as a tensor of one element instead, which is finite if
    and only if all numbers of that part are.

    >>> list(verdicts({"loss": -1.5, "parts": [torch.tensor([3.0, float("-inf")]), "a name"]}))
    [True, False]
    """
    if isinstance(output, Tensor):
        yield from _of_tensor(output)
    elif isinstance(output, Rational | str | bytes):  # an int of any size is finite
        return
    elif isinstance(output, Number):
        yield cmath.isfinite(output)  # type: ignore[arg-type]  # every registered Number converts
    else:
        for part in _parts(output):
            yield from verdicts(part)


def _parts(output: Any) -> Iterator[Any]:
    if isinstance(output, Mapping):
        yield from output.values()
    elif isinstance(output, Sequence):
        yield from output
    elif attrs.has(type(output)):
        yield from (getattr(output, field.name) for field in attrs.fields(type(output)))
    elif dataclasses.is_dataclass(output) and not isinstance(output, type):
        yield from (getattr(output, field.name) for field in dataclasses.fields(output))
    else:
        raise TypeError(
            f"output must hold numbers, tensors, or sequences, mappings and dataclasses of them, got {output!r}; "
            "choose with TerminateOnNan(output_transform=...)"
        )


def _of_tensor(tensor: Tensor) -> Iterator[bool | Tensor]:
    if not tensor.numel() or not (tensor.is_floating_point() or tensor.is_complex()):
        return
    numbers = _stored(tensor.detach())
    if not numbers.numel():
        return
    if numbers.is_complex():  # the absolute value of a large complex number would overflow
        numbers = torch.view_as_real(numbers.resolve_conj())
    # The largest absolute value: one kernel and no copy of the tensor, and NaN wins over any number.
    largest = torch.linalg.vector_norm(numbers, math.inf)
    yield math.isfinite(largest.item()) if _is_at_hand(largest) else largest


def _stored(tensor: Tensor) -> Tensor:
    """Return the numbers of a tensor that are stored; those of a sparse one that are not are 0."""
    if tensor.layout is torch.sparse_coo:
        return tensor._values()
    return tensor if tensor.layout is torch.strided and not tensor.is_nested else tensor.values()


def _is_at_hand(tensor: Tensor) -> bool:
    """Tell whether a tensor can be read without a wait."""
    return tensor.device.type == "cpu"
