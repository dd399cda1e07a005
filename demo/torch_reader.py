"""Reads the tensors of a legacy PyTorch file (before 1.6, not a zip archive) without PyTorch.

The file is a row of pickles, then raw data: a magic number, the protocol version, facts about the
machine, the state dict (its tensors name the storages that hold their numbers), the list of storage
keys; then for each key an int64 count of elements and that many little-endian numbers.
Source: `torch/serialization.py`, `_legacy_save`.
"""

from __future__ import annotations

import collections
import pickle  # noqa: TID251 - what PyTorch writes; `_PlainUnpickler` makes no object of it but tensors
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import numpy.typing as npt

__all__ = ["read_state_dict"]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class _TensorView:
    """The place of a tensor in its storage, in elements, not bytes."""

    storage: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _PlainUnpickler(pickle.Unpickler):
    """Refuses every class and function: numbers, strings, lists and dicts only."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:  # noqa: ANN401
        raise pickle.UnpicklingError(f"refused to load {module_name}.{global_name}")


class _StateDictUnpickler(_PlainUnpickler):
    """Knows just the three things of which a state dict is made."""

    DTYPES: ClassVar[dict[str, str]] = {
        "DoubleStorage": "<f8",
        "FloatStorage": "<f4",
        "HalfStorage": "<f2",
        "LongStorage": "<i8",
    }

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.storages: dict[str, tuple[np.dtype[Any], int]] = {}

    def find_class(self, module_name: str, global_name: str, /) -> Any:  # noqa: ANN401
        known: dict[tuple[str, str], Callable[..., Any]] = {
            ("collections", "OrderedDict"): collections.OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        }
        if (module_name, global_name) in known:
            return known[module_name, global_name]
        if module_name == "torch" and global_name in self.DTYPES:
            return np.dtype(self.DTYPES[global_name])
        return super().find_class(module_name, global_name)

    def persistent_load(self, pid: Any, /) -> str:  # noqa: ANN401
        kind, dtype, key, _location, count = pid[:5]
        if kind != "storage":
            raise pickle.UnpicklingError(f"refused to load a persistent {kind!r}")
        self.storages[key] = (dtype, count)
        return str(key)


def _rebuild_tensor(
    storage: str, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _TensorView:
    return _TensorView(storage, offset, tuple(shape), tuple(strides))


def read_state_dict(path: Path) -> dict[str, Array]:
    """Read the named tensors of a state dict.

    Returns:
        The tensors by name, each an array of its own.

    Raises:
        ValueError: the file is not a legacy state dict, is cut short or too long.
        pickle.UnpicklingError: it asks for more than tensors.
    """
    with path.open("rb") as file:
        header = [_PlainUnpickler(file).load() for _ in range(3)]
        if header[:2] != [_MAGIC, _PROTOCOL] or not header[2].get("little_endian"):
            raise ValueError(f"{path} is not a little-endian legacy PyTorch file")
        unpickler = _StateDictUnpickler(file)
        views: dict[str, _TensorView] = unpickler.load()
        keys: list[str] = _PlainUnpickler(file).load()
        data = {key: _read_storage(file, *unpickler.storages[key]) for key in keys}
        if file.read(1):
            raise ValueError(f"{path} goes on after its last tensor")
    return {name: _tensor(view, data[view.storage]) for name, view in views.items()}


def _read_storage(file: BinaryIO, dtype: np.dtype[Any], count: int) -> Array:
    (stored,) = struct.unpack("<q", file.read(8))
    raw = file.read(count * dtype.itemsize)
    if stored != count or len(raw) != count * dtype.itemsize:
        raise ValueError(f"a tensor of {count} elements is cut short or mislabelled")
    return np.frombuffer(raw, dtype)


def _tensor(view: _TensorView, storage: Array) -> Array:
    # The last element that the view touches must lie inside: as_strided does not look.
    steps = zip(view.shape, view.strides, strict=True)
    last = view.offset + sum((size - 1) * stride for size, stride in steps)
    if 0 in view.shape or min((view.offset, *view.strides)) < 0 or last >= storage.size:
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * storage.itemsize for stride in view.strides]
    strided = np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides)
    return strided.copy()
