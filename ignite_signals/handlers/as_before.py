"""What a trial changes is put back as it was: in place, to the bit, whatever a state dict leaves out."""

from __future__ import annotations

import random
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import attrs
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset, Sampler

from ignite_signals.engine import Engine
from ignite_signals.engine.random_states import get_rng_states, set_rng_states
from ignite_signals.handlers.putting_back import Remembered
from ignite_signals.handlers.snapshot import snapshot

__all__ = ["AsBefore"]

PutBack = Callable[[], Any]


class AsBefore:
    """Remember objects and all that they hold, and the random numbers, to put them back after a trial.

    Models, optimizers, tensors and containers stay the same objects and get back what they held: values and gradients
    of tensors, buffers that are not saved, entries that came or went, modes, attributes. Loading a state dict would
    make other tensors, and leave those out. What else has a state is loaded with it where it is not as it was.

    The values of tensors are kept in the CPU's memory.

    Args:
        objects: models, optimizers, engines, data, or anything with `state_dict` and `load_state_dict`.

    Raises:
        ValueError: a model has parameters without a shape.

    >>> model = nn.Linear(2, 1)
    >>> before, weight = AsBefore([model]), model.weight.tolist()
    >>> model.weight.data = torch.zeros(1, 2)
    >>> model(torch.ones(2)).backward()
    >>> before.put_back()
    >>> model.weight.tolist() == weight, model.weight.grad
    (True, None)
    """

    def __init__(self, objects: Iterable[Any] = ()) -> None:
        self._random_numbers = get_rng_states()
        # By their numbers; they are held, lest these be used again.
        self._met: dict[int, Any] = {}
        self._tensors: list[_TensorBefore] = []
        self._values: list[_Values] = []
        self._puts_back: list[PutBack] = []
        self.remember(objects)

    def remember(self, objects: Iterable[Any]) -> None:
        """Remember these as they are now, too; what is remembered already stays so."""
        roots, known = list(objects), len(self._tensors)
        self._meet(roots.copy())
        values = _Values(self._tensors[known:])
        self._values.append(values)
        self._puts_back.append(values.put_back)
        self._puts_back += [Remembered(each).put_back for each in roots if isinstance(each, Engine)]
        states = [_StateBefore.of(each) for each in roots if _has_state(each)]
        self._puts_back += [state.put_back for state in states if state is not None]

    def _meet(self, waiting: list[Any]) -> None:
        while waiting:
            each = waiting.pop()
            if id(each) in self._met:
                continue
            self._met[id(each)] = each
            if isinstance(each, Tensor):
                self._tensors.append(_TensorBefore.of(each))
                waiting.append(_gradient(each))
                continue
            waiting.extend(_held(each))
            if (puts_back := _putting_back(each)) is not None:
                self._puts_back.append(puts_back)

    def has_changed(self, tensors: Iterable[Tensor]) -> bool:
        """Tell whether one of these tensors has other values than those that are remembered of it."""
        asked = {id(each) for each in tensors}
        return any(values.have_changed(asked) for values in self._values)

    def put_back(self) -> None:
        """Put all back, the random numbers also where something fails."""
        try:
            for tensor in self._tensors:
                tensor.put_back()
            for puts_back in self._puts_back:
                puts_back()
        finally:
            set_rng_states(self._random_numbers)


# What is remembered of each kind of object.


_DATA = (DataLoader, Sampler, Dataset)
_KNOWN = (Tensor, nn.Module, Optimizer, Engine, *_DATA, type)


def _has_state(each: Any) -> bool:
    """Tell whether an object is of no kind that is known here, and has a state to be loaded."""
    return not isinstance(each, _KNOWN) and all(hasattr(type(each), name) for name in ("state_dict", "load_state_dict"))


def _held(each: Any) -> list[Any]:
    """Return what is to be remembered with an object."""
    if isinstance(each, dict):
        return list(each.values())
    if isinstance(each, list | tuple | deque | set):
        return list(each)
    if isinstance(each, nn.Module):
        return [vars(each)[name] for name in _names(each)]
    if isinstance(each, Optimizer) or _has_state(each):
        return list(getattr(each, "__dict__", {}).values())
    if isinstance(each, _DATA):  # the samples themselves are left out
        return [value for value in _values(vars(each)) if isinstance(value, _DATA) or _draws(value)]
    return []


def _values(attributes: Mapping[str, Any]) -> Iterator[Any]:
    for value in attributes.values():
        yield value
        if isinstance(value, list | tuple) and any(isinstance(each, Dataset) for each in value[:1]):
            yield from value  # data sets joined to one


def _draws(value: Any) -> bool:
    return isinstance(value, (torch.Generator, random.Random, *_numpy_generators()))


def _numpy_generators() -> tuple[type, ...]:
    numpy: Any = sys.modules.get("numpy")  # not imported: then there is none
    return () if numpy is None else (numpy.random.Generator, numpy.random.RandomState)


def _putting_back(each: Any) -> PutBack | None:
    """Return what puts an object back, apart from what it holds."""
    if isinstance(each, dict):
        return _dict(each)
    if isinstance(each, list | deque):
        return _sequence(each)
    if isinstance(each, set):
        return _set(each)
    if isinstance(each, nn.Module):
        return _attributes(each, _names(each))
    if isinstance(each, Dataset):  # what it has opened or cached is as good as before
        return None
    if isinstance(each, Optimizer | DataLoader | Sampler) or _has_state(each):
        return _dict(vars(each)) if hasattr(each, "__dict__") else None
    return _generator(each) if _draws(each) else None


# What torch's own modules may change; the rest, of parallel and compiled ones above all, is not for us to touch.
_OF_TORCHS = ("training", "_parameters", "_buffers", "_non_persistent_buffers_set", "_modules")


def _names(module: nn.Module) -> list[str]:
    """Return the attributes of a module that are put back."""
    own = vars(module)
    return [name for name in _OF_TORCHS if name in own] if type(module).__module__.startswith("torch.") else list(own)


def _attributes(instance: Any, names: list[str]) -> PutBack:
    own = vars(instance)
    if len(names) == len(own):
        return _dict(own)
    values = {name: own[name] for name in names}
    return lambda: own.update(values)


def _dict(own: dict[Any, Any]) -> PutBack:
    before = list(own.items())

    def put_back() -> None:
        if not _are_same([part for item in own.items() for part in item], [part for item in before for part in item]):
            own.clear()
            own.update(before)

    return put_back


def _sequence(own: list[Any] | deque[Any]) -> PutBack:
    before = list(own)

    def put_back() -> None:
        if not _are_same(list(own), before):
            own.clear()
            own.extend(before)

    return put_back


def _set(own: set[Any]) -> PutBack:
    before = list(own)

    def put_back() -> None:
        own.clear()
        own.update(before)

    return put_back


def _are_same(values: list[Any], before: list[Any]) -> bool:
    return len(values) == len(before) and all(one is other for one, other in zip(values, before, strict=True))


def _generator(generator: Any) -> PutBack:
    """Return what puts a source of random numbers back."""
    if isinstance(generator, random.Random):
        python = generator.getstate()
        return lambda: generator.setstate(python)
    if bits := getattr(generator, "bit_generator", None):
        numpy = bits.state
        return lambda: setattr(bits, "state", numpy)
    state = generator.get_state()  # torch's, and the older one of NumPy
    return lambda: generator.set_state(state)


# Tensors.


def _gradient(tensor: Tensor) -> Tensor | None:
    return tensor.grad if tensor.is_leaf else None


@attrs.frozen(eq=False)
class _TensorBefore:
    """Which memory a tensor had, and what is not in the memory."""

    tensor: Tensor
    # The same memory, also when the tensor has been given other.
    alias: Tensor
    gradient: Tensor | None
    requires_grad: bool
    is_leaf: bool

    @classmethod
    def of(cls, tensor: Tensor) -> _TensorBefore:
        if is_lazy(tensor):
            raise ValueError(
                "a model must have been called once before a trial, got one with parameters that have no shape yet: "
                "call it with a batch first"
            )
        return cls(tensor, tensor.detach(), _gradient(tensor), tensor.requires_grad, tensor.is_leaf)

    def put_back(self) -> None:
        tensor = self.tensor
        if _is_plain(self.alias) and not _share_memory(tensor, self.alias):
            tensor.data = self.alias
        if self.is_leaf and not tensor.is_leaf and not tensor._is_view():  # written to in a graph
            tensor.detach_()
        if tensor.is_leaf:
            tensor.requires_grad_(self.requires_grad)
            tensor.grad = self.gradient


def _share_memory(tensor: Tensor, alias: Tensor) -> bool:
    return (
        tensor.untyped_storage()._cdata == alias.untyped_storage()._cdata
        and tensor.shape == alias.shape
        and tensor.stride() == alias.stride()
        and tensor.storage_offset() == alias.storage_offset()
    )


def _is_plain(tensor: Tensor) -> bool:
    """Tell whether a tensor is its memory and nothing else: no subclass, not sparse."""
    return type(tensor) is Tensor and tensor.layout is torch.strided


class _Values:
    """Copies of what the memory of tensors holds."""

    def __init__(self, tensors: list[_TensorBefore]) -> None:
        self._tensors = tensors
        self._copies: list[Tensor] = snapshot([each.alias for each in tensors])

    def have_changed(self, asked: set[int]) -> bool:
        """Tell whether a tensor of these numbers has other values; in doubt, as of a sparse one, it has."""
        pairs = [pair for pair in zip(self._tensors, self._copies, strict=True) if id(pair[0].tensor) in asked]
        return any(not _is_plain(each.alias) or not _are_equal(each.tensor, copied) for each, copied in pairs)

    @torch.no_grad()
    def put_back(self) -> None:
        done: set[int] = set()
        for each, copied in zip(self._tensors, self._copies, strict=True):
            if not _is_plain(each.alias):
                each.tensor.copy_(copied.to(each.tensor.device))
                continue
            memory = each.alias.untyped_storage()  # all of it: some tensors overlap themselves, or share it
            if memory._cdata not in done:
                done.add(memory._cdata)
                memory.copy_(copied.untyped_storage(), non_blocking=False)


# What is known by its state alone.


@attrs.frozen(eq=False)
class _StateBefore:
    """The state of an object, to be loaded where it is another afterwards."""

    stateful: Any
    state: Any

    @classmethod
    def of(cls, stateful: Any) -> _StateBefore | None:
        """Remember the state; None where it cannot be told, of an object whose attributes are remembered."""
        try:
            return cls(stateful, snapshot(stateful.state_dict()))
        except Exception:
            if not hasattr(stateful, "__dict__"):
                raise
            return None

    def put_back(self) -> None:
        if not _are_equal(self.stateful.state_dict(), self.state):
            self.stateful.load_state_dict(self.state)


def _are_equal(one: Any, other: Any) -> bool:
    """Compare states; in doubt they are not equal."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.dtype == other.dtype and torch.equal(one.detach().cpu(), other.detach())
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_are_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_are_equal, one, other))
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  # several truths, as of an array
        return False
