"""What has a state of its own and acts on an engine is saved with the engine, without being listed.

Whoever owns a connected handler and has `state_dict` and `load_state_dict` is found by that; others say so with
`Engine.register_stateful`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import attrs
from torch import nn
from torch.optim import Optimizer

from ignite_signals.engine.callables import Parameters
from ignite_signals.engine.limits import stack_level
from ignite_signals.engine.observable import Observable

if TYPE_CHECKING:
    from ignite_signals.engine.saveable import Saveable

__all__ = ["Registered", "Stateful", "attached", "load_attached", "registered", "states"]


@runtime_checkable
class Stateful(Protocol):
    """What can be saved and go on from what was saved: `torch.distributed.checkpoint` calls it so, too."""

    def state_dict(self) -> dict[str, Any]:
        """Return plain data and tensors."""

    def load_state_dict(self, state_dict: dict[str, Any], /) -> Any:
        """Go on from what `state_dict` returned."""


# What must be there, and what it is called with.
_METHODS: dict[str, tuple[Any, ...]] = {"state_dict": (), "load_state_dict": ({},)}

# Programs list these themselves; a method of one may be a handler for any reason.
_LISTED_BY_PROGRAMS = (Observable, nn.Module, Optimizer)


@attrs.frozen(eq=False)
class Registered:
    """An object that was registered, under the name that it was given."""

    # Returns the object, or None where it is gone.
    get: Callable[[], Any]
    name: str | None
    weak: bool


def registered(stateful: Any, name: str | None, weak: bool) -> Registered:
    """Check what is to be registered.

    Raises:
        TypeError: it cannot be saved and loaded, or the name is no string.
    """
    for method, given in _METHODS.items():
        if isinstance(stateful, type) or not callable(getattr(stateful, method, None)):
            raise TypeError(f"stateful must be an object with a method {method}, got {stateful!r}")
        if not Parameters(getattr(stateful, method)).take(given, {}):
            takes = "a state dict alone" if given else "no arguments"
            raise TypeError(f"stateful must be an object with a method {method} that takes {takes}, got {stateful!r}")
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    return Registered(weakref.ref(stateful) if weak else functools.partial(_itself, stateful), name, weak)


def _itself(stateful: Any) -> Any:
    return stateful


def attached(engine: Saveable) -> dict[str, Stateful]:
    """Return what is saved with an engine: by the name of its class, and its own after a colon where it has one.

    A second one of the same name has the key `name#2`, and so on: first what the step owns, then what was registered,
    in that order, then by the events and the order of calling.
    """
    found: dict[int, tuple[Any, str | None]] = {}
    for owner, name in _owners(engine):
        known = found.setdefault(id(owner), (owner, name))
        found[id(owner)] = owner, known[1] or name  # what the step owns may be registered for its name
    keyed: dict[str, Stateful] = {}
    for owner, name in found.values():
        name = name or _state_name(owner)
        key = base = type(owner).__name__ + (f":{name}" if name else "")
        number = 1
        while key in keyed:
            number += 1
            key = f"{base}#{number}"
        keyed[key] = owner
    return keyed


def _owners(engine: Saveable) -> Iterator[tuple[Any, str | None]]:
    for owner in _of_the_step(engine):
        yield owner, None
    for entry in engine.registered_statefuls():
        owner = entry.get()
        if owner is not None:
            yield owner, entry.name
    for signal in engine.signals.all():
        for connection in signal.connections():
            owner = _owner(connection.handler)
            if owner is not None:
                yield owner, None


def _of_the_step(engine: Saveable) -> list[Any]:
    """Return what the step says to be a part of the training's state, by an attribute `statefuls`."""
    step = _wrapped(engine._process_function)
    if inspect.getattr_static(step, "statefuls", None) is None:
        return []
    return [owned for owned in step.statefuls if _can_be_saved(owned)]


def _owner(handler: Any) -> Any:
    """Return the object with a state that a handler is, or is a method of; None where there is none."""
    handler = _wrapped(handler)
    for owner in (handler, getattr(handler, "__self__", None)):
        if not isinstance(owner, (type, *_LISTED_BY_PROGRAMS)) and _can_be_saved(owner):
            return owner
    return None


def _wrapped(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _can_be_saved(owner: Any) -> bool:
    return all(_has(owner, method, *given) for method, given in _METHODS.items())


def _has(owner: Any, method: str, *given: Any) -> bool:
    """Tell whether an object has a method to be called with what is given; another of that name is for another use."""
    # Not `getattr` alone: a mock, or what stands for another object, has any attribute that it is asked for.
    if inspect.getattr_static(owner, method, None) is None:
        return False
    found = getattr(owner, method)
    return callable(found) and Parameters(found).take(given, {})


def _state_name(owner: Any) -> str | None:
    name = getattr(owner, "state_name", None)
    return name if isinstance(name, str) else None


@attrs.define(eq=False)
class _Asking:
    """An engine that asks an object for its state, and whether that has asked the engine in turn."""

    engine: Saveable
    is_asked: bool = False


class _Thread(threading.local):
    def __init__(self) -> None:
        self.asking: list[_Asking] = []


_THREAD = _Thread()


def states(engine: Saveable) -> dict[str, Any]:
    """Return the states of what is attached.

    An object whose own state has that of the engine, such as a program that holds engine and model, is what the
    engine is saved with, and not the other way round: it is left out.
    """
    asking = [each for each in _THREAD.asking if each.engine is engine]
    for each in asking:
        each.is_asked = True
    if asking:
        return {}
    asked = ((key, *_asked(engine, key, owner)) for key, owner in attached(engine).items())
    return {key: state for key, state, has_engine in asked if not has_engine}


def _asked(engine: Saveable, key: str, owner: Stateful) -> tuple[Any, bool]:
    """Return an object's state, and whether it has that of the engine."""
    asking = _Asking(engine)
    _THREAD.asking.append(asking)
    try:
        return owner.state_dict(), asking.is_asked
    except Exception as error:
        error.add_note(f"in the state of {key}, which is saved with {engine!r}")
        raise
    finally:
        _THREAD.asking.remove(asking)


def _has_engine(engine: Saveable, key: str, owner: Stateful) -> bool:
    """Tell whether an object's state, which was not saved with the engine's, has that of the engine."""
    with contextlib.suppress(Exception):
        return _asked(engine, key, owner)[1]
    return False


def load_attached(engine: Saveable, saved: Mapping[str, Any]) -> None:
    """Give each object that is attached its state, and warn of states and objects that have no counterpart."""
    owners = attached(engine)
    for key, owner in owners.items():
        if key not in saved:
            continue
        try:
            owner.load_state_dict(saved[key])
        except Exception as error:
            error.add_note(f"in the state of {key}, which is saved with {engine!r}")
            raise
    _warn(
        saved.keys() - owners.keys(),
        f"state_dict has states of which nothing is attached to {engine!r}",
        "attach what they are of, under the names of that time, before loading",
    )
    _warn(
        [key for key, owner in owners.items() if key not in saved and not _has_engine(engine, key, owner)],
        f"state_dict lacks the states of what is attached to {engine!r}",
        "what was not attached, or under another name, when the state was saved stays as it is",
    )


def _warn(keys: Iterable[str], what: str, remedy: str) -> None:
    if named := ", ".join(sorted(map(str, keys))):
        warnings.warn(f"{what}: {named}; {remedy}", stacklevel=stack_level())
