"""A snapshot is a copy of a checkpoint that training does not change."""

from __future__ import annotations

import io
import pickle
from typing import Any

import torch
from torch.storage import TypedStorage, UntypedStorage

__all__ = ["snapshot"]


def snapshot(checkpoint: Any) -> Any:
    """Return a copy in the CPU's memory, which is saved as the original would be now.

    It is pickled as `torch.save` does it, so that tensors of all kinds, their subclasses and attributes come out as
    from a file; in place of a file, the memory behind the tensors is copied. What is shared in the original is shared
    in the copy, so that the file is not larger.

    Raises:
        pickle.PicklingError: it holds what cannot be saved.

    >>> import torch
    >>> weight = torch.zeros(3)
    >>> copied = snapshot({"weight": weight, "tied": weight[:2]})
    >>> weight += 1
    >>> copied["weight"], copied["tied"].data_ptr() == copied["weight"].data_ptr()
    (tensor([0., 0., 0.]), True)
    """
    stream = io.BytesIO()
    pickler = _Pickler(stream, pickle.HIGHEST_PROTOCOL)
    pickler.dump(checkpoint)
    stream.seek(0)
    return _Unpickler(stream, pickler.copies).load()


class _Pickler(pickle.Pickler):
    """Pickle all but the memory of tensors, which is copied."""

    def __init__(self, stream: io.BytesIO, protocol: int) -> None:
        super().__init__(stream, protocol)
        self.copies: list[Any] = []
        # The number of the copy, by which memory and type it is; the original is held, lest its number be used again.
        self._numbers: dict[tuple[int, Any], tuple[int, Any]] = {}
        self._memory: dict[int, UntypedStorage] = {}

    def persistent_id(self, value: Any) -> int | None:
        """Return the number of the copy of what is a tensor's memory; None for all else."""
        if isinstance(value, TypedStorage):
            return self._number(value._untyped_storage, value.dtype)
        return self._number(value, torch.uint8) if isinstance(value, UntypedStorage) else None  # as torch.load does

    def _number(self, storage: UntypedStorage, dtype: torch.dtype) -> int:
        key = storage._cdata, dtype
        if key not in self._numbers:
            typed: Any = TypedStorage
            self._numbers[key] = len(self.copies), storage
            self.copies.append(typed(wrap_storage=self._copied(storage), dtype=dtype, _internal=True))
        return self._numbers[key][0]

    def _copied(self, storage: UntypedStorage) -> UntypedStorage:
        """Return the copy of some memory; that of views as other types is the same."""
        if storage._cdata not in self._memory:
            copied: Any = storage.clone if storage.device.type == "cpu" else storage.cpu
            self._memory[storage._cdata] = copied()
        return self._memory[storage._cdata]


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, copies: list[Any]) -> None:
        super().__init__(stream)
        self._copies = copies

    def persistent_load(self, number: int) -> Any:
        return self._copies[number]
