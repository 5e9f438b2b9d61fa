"""The program of one rank: it answers requests until the test session hangs up."""

from __future__ import annotations

import faulthandler
import importlib
import importlib.util
import io
import pickle
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from functools import reduce
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, cast

import torch
import torch.distributed as dist


def packed(value: Any) -> bytes:
    """Return a pickle; torch's own, since a plain one cannot hold tensors of every dtype."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def unpacked(packed: bytes) -> Any:
    return torch.load(io.BytesIO(packed), weights_only=False)


def serve(connection: Connection, rank: int, size: int) -> None:
    """Answer each request with + and a pickle, or with - and a traceback."""
    while True:
        try:
            kind, *rest = pickle.loads(connection.recv_bytes())
        except EOFError:
            return
        try:
            answer = b"+" + packed(ACTIONS[kind](rank, size, *rest))
        except BaseException:  # what a function raises is its test's business, SystemExit too
            answer = b"-" + traceback.format_exc().encode()
        connection.send_bytes(answer)


def join(rank: int, size: int, store: str) -> None:
    """Make the group of all ranks, anew where there is one."""
    torch.set_num_threads(1)
    leave()
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def call(rank: int, size: int, reference: tuple[str, str, str], arguments: bytes) -> Any:
    """Call a function by reference; its module comes first, as the arguments may be made of its classes."""
    function = found(*reference)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(rank, *unpacked(arguments))


def found(file: str, module_name: str, qualname: str) -> Callable[..., Any]:
    """Return a function of a module, which is imported under the name that it has in the test session."""
    module = sys.modules.get(module_name)
    if module is None:
        module = importlib.import_module(module_name) if importable(module_name, file) else imported(module_name, file)
    place: Any = module
    return cast("Callable[..., Any]", reduce(getattr, qualname.split("."), place))


def importable(module_name: str, file: str) -> bool:
    try:
        spec = importlib.util.find_spec(module_name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None and Path(spec.origin).resolve() == Path(file)


def imported(module_name: str, file: str) -> Any:
    spec = importlib.util.spec_from_file_location(module_name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[module_name]
        raise
    return module


ACTIONS: dict[str, Callable[..., Any]] = {"join": join, "call": call}

if __name__ == "__main__":
    fileno, rank, size, stack = sys.argv[1:]
    with Path(stack).open("w") as file:
        faulthandler.register(signal.SIGUSR1, file, all_threads=False)
        serve(Connection(int(fileno)), int(rank), int(size))
        leave()
