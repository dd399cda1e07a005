"""Damage to a model's files that Paddle would not notice, or would crash on.

Paddle 3.3 loads weights that are cut off and computes with whatever the memory holds, and ends the
process with a segmentation fault over an `inference.pdmodel` that is something else. Both come from
copies that broke off. Only what is certainly wrong is objected to; Paddle judges the rest.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_cut_off", "is_program"]

_ITEM_SIZES = {
    0: 1, 1: 2, 2: 4, 3: 8, 4: 2, 5: 4, 6: 8, 19: 8, 20: 1, 21: 1, 22: 2, 23: 8, 24: 16,
}  # fmt: skip
"""Bytes per element by `VarType.Type` of Paddle's framework.proto."""

_FORMAT = 0
"""Version of the format of a tensor, the only one there is."""

_LARGEST_DESCRIPTION = 4096
"""Bytes; a description is an element type and a shape."""

_MOST_LEVELS = 16
"""Levels of detail; weights have none."""

_LONGEST_AXIS = 2**40
"""Elements; beyond it are negative numbers, which mean something else than a size."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
"""Wire types of protobuf."""

_BLOCKS = 1
"""Field number of `ProgramDesc.blocks`, without which there is no network."""


def is_cut_off(params: Path) -> bool:
    """Look whether a file of weights ends within a tensor.

    The format is Paddle's `SerializeToStream`: for each tensor its version, its levels of detail,
    its version again, its description as protobuf, and its elements.

    Returns:
        True if it does.

    Raises:
        OSError: the file cannot be read.
    """
    with params.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        try:
            while file.tell() < end:
                size = _elements(file)
                if size is None:
                    return False
                _skip(file, size)
        except EOFError:
            return True
        return False


def is_program(program: Path) -> bool:
    """Look whether an `inference.pdmodel` is a whole protobuf message with a block in it.

    Returns:
        True if it is.

    Raises:
        OSError: the file cannot be read.
    """
    try:
        return any(number == _BLOCKS for number, _ in list(_fields(program.read_bytes())))
    except (EOFError, ValueError):
        return False


def _elements(file: BinaryIO) -> int | None:
    """Bytes of the next tensor's elements, where `file` is then positioned; None if unknown.

    Raises:
        EOFError: the file ends before them.
    """
    (version,) = struct.unpack("<I", _read(file, 4))
    if version != _FORMAT:
        return None
    (levels,) = struct.unpack("<Q", _read(file, 8))
    if levels > _MOST_LEVELS:
        return None
    for _ in range(levels):
        (size,) = struct.unpack("<Q", _read(file, 8))
        _skip(file, size)
    version, size = struct.unpack("<Ii", _read(file, 8))
    if version != _FORMAT or not 0 < size <= _LARGEST_DESCRIPTION:
        return None
    description = _read(file, size)
    kind, shape = None, []
    try:
        for number, value in _fields(description):
            match number, value:
                case 1, int():
                    kind = value
                case 2, int():
                    shape.append(value)
    except (EOFError, ValueError):
        return None
    item = _ITEM_SIZES.get(-1 if kind is None else kind)
    if item is None or any(length > _LONGEST_AXIS for length in shape):
        return None
    return item * math.prod(shape)


def _read(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _skip(file: BinaryIO, size: int) -> None:
    # Not by seeking at once: beyond its end a file may take any position but a huge one.
    if size > os.fstat(file.fileno()).st_size - file.tell():
        raise EOFError
    file.seek(size, os.SEEK_CUR)


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """The fields of a protobuf message: number and value.

    Raises:
        EOFError: it ends within a field.
        ValueError: it is no protobuf message.
    """
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        value: int | bytes
        if kind == _VARINT:
            value, position = _varint(message, position)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind)
            if kind == _BYTES:
                size, position = _varint(message, position)
            if size is None or number == 0:
                raise ValueError("no protobuf message")
            value, position = message[position : position + size], position + size
        if position > len(message):
            raise EOFError
        yield number, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """A number of seven bits a byte, and the position behind it."""
    number = 0
    for shift in range(0, 70, 7):
        if position == len(message):
            raise EOFError
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("no protobuf message")
