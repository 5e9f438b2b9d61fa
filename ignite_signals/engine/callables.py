"""Callables: what can be told of them before they are called, and what to call them in errors."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

__all__ = ["Parameters", "check_callable", "described", "identity", "is_async", "label"]

_ASYNC = inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class Parameters:
    """What a callable takes.

    A plain function is told by its code alone: `inspect.signature` would take longer than all else
    that attaching a handler needs.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @property
    def signature(self) -> inspect.Signature | None:
        """The signature, or None for a builtin that does not tell."""
        try:
            return inspect.signature(self._function)
        except ValueError:
            return None

    def take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether a call with these arguments would bind; a callable that does not tell takes all."""
        function, bound = _unbound(self._function)
        if not kwargs and _is_plain(function):
            return _takes(function, len(args) + bound)
        return self._binds("bind", args, kwargs)

    def may_take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Tell whether a call with these arguments, and others that are not known yet, could bind."""
        return self._binds("bind_partial", args, kwargs)

    def _binds(self, how: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        signature = self.signature
        try:
            return signature is None or bool(getattr(signature, how)(*args, **kwargs))
        except TypeError:
            return False


def _unbound(function: Any) -> tuple[Any, int]:
    """Return the function behind a method, and how many arguments are bound to it."""
    return (function.__func__, 1) if isinstance(function, MethodType) else (function, 0)


def _is_plain(function: object) -> bool:
    # Whatever decorates a function, or marks it, leaves something in its dict.
    return type(function) is FunctionType and not function.__dict__


def _takes(function: FunctionType, number: int) -> bool:
    """Tell whether a plain function takes that many positional arguments and no others."""
    code = function.__code__
    most, keyword_only = code.co_argcount, code.co_kwonlyargcount
    return (
        most - len(function.__defaults__ or ()) <= number
        and (number <= most or bool(code.co_flags & inspect.CO_VARARGS))
        and keyword_only == len(function.__kwdefaults__ or ())
    )


def identity(receiver: Any) -> Any:
    """Return what stays the same at each look at a callable.

    A method is a new object at each look, of the same function and owner.
    """
    if isinstance(receiver, MethodType):
        return id(receiver.__func__), id(receiver.__self__)
    if isinstance(receiver, BuiltinFunctionType):
        return id(receiver.__self__), receiver.__name__
    return id(receiver)


def is_async(function: object) -> bool:
    """Tell whether a call would give a coroutine or an async generator instead of a result."""
    while isinstance(function, partial):
        function = function.func
    plain, _ = _unbound(function)
    if _is_plain(plain):
        return bool(plain.__code__.co_flags & _ASYNC)
    return any(
        inspect.iscoroutinefunction(candidate) or inspect.isasyncgenfunction(candidate)
        for candidate in (function, getattr(function, "__call__", None))  # noqa: B004  # the method itself is wanted
    )


def check_callable(role: str, function: object) -> None:
    """Refuse what cannot be called, or only awaited, and name the role it was given for."""
    if type(function).__module__ == "torch.optim.lr_scheduler" and not callable(function):
        name = type(function).__name__
        handler = "ReduceLROnPlateauScheduler" if name == "ReduceLROnPlateau" else f"LRScheduler({name})"
        raise TypeError(f"{role} must be callable, got torch's {name}: give ignite_signals.handlers.{handler}")
    if not callable(function):
        raise TypeError(f"{role} must be callable, got {function!r}")
    if isinstance(function, type) and any("__call__" in vars(base) for base in function.__mro__):
        name = function.__qualname__
        raise TypeError(f"{role} must be callable, got the class {name}: give an object of it, such as {name}()")
    if is_async(function):
        raise TypeError(
            f"{role} must be a plain function, got the async {label(function)}: a run is synchronous; "
            "run the coroutine in your own event loop and pass a function that hands it over"
        )


def label(function: Any) -> str:
    """Name a callable as its user would: `Class.method(a, b) (file.py:12)`.

    >>> label(partial(label, print)).partition(":")[0]
    'partial(label) (callables.py'
    """
    if isinstance(function, partial):
        name, _, place = label(function.func).partition(" ")
        return f"partial({name}) {place}".rstrip()
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    name = str(name).rpartition("<locals>.")[2]  # where it was defined is told by file and line
    if isinstance(function, MethodType):  # the class of the object, which may have inherited the method
        name = f"{type(function.__self__).__qualname__}.{getattr(function, '__name__', '(method)')}"
    holders = (inspect.unwrap(function), type(function).__call__)
    codes = [code for holder in holders if type(code := getattr(holder, "__code__", None)) is CodeType]
    if not codes:
        return str(name)
    code = codes[0]
    return f"{name} ({code.co_filename.rpartition('/')[2]}:{code.co_firstlineno})"


def described(function: Callable[..., Any]) -> str:
    """Name a callable with its parameters, without their types: `check(a, b=1) (file.py:12)`.

    >>> described(Parameters(print).take).partition(" (")[0]
    'Parameters.take(args, kwargs)'
    """
    signature = Parameters(function).signature
    name, space, place = label(function).partition(" ")
    return f"{name}{'(...)' if signature is None else _untyped(signature)}{space}{place}"


def _untyped(signature: inspect.Signature) -> inspect.Signature:
    parameters = [each.replace(annotation=inspect.Parameter.empty) for each in signature.parameters.values()]
    return signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
