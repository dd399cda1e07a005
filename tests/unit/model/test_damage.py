"""Damaged files of a model that Paddle itself takes for whole, or dies of."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.model.damage import is_cut_off, is_program


def tensor(kind: int, *shape: int, item: int, levels: tuple[int, ...] = ()) -> bytes:
    """A tensor as Paddle's `SerializeToStream` writes it."""
    description = bytes([0x08, kind]) + b"".join(b"\x10" + varint(length) for length in shape)
    elements = item
    for length in shape:
        elements *= length
    lods = b"".join(struct.pack("<Q", size) + bytes(size) for size in levels)
    return (
        struct.pack("<IQ", 0, len(levels))
        + lods
        + struct.pack("<Ii", 0, len(description))
        + description
        + b"\xff" * elements
    )


def varint(number: int) -> bytes:
    encoded = b""
    while number > 0x7F:
        encoded += bytes([number & 0x7F | 0x80])
        number >>= 7
    return encoded + bytes([number])


WEIGHTS = (
    tensor(5, 3, 200, item=4) + tensor(4, 7, item=2, levels=(16,)) + tensor(5, item=4)  # a scalar
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_whole_weights(file: Path) -> None:
    file.write_bytes(WEIGHTS)
    assert not is_cut_off(file)


@pytest.mark.parametrize("missing", [1, 4, 5, 20, 25, 60, 100, 1000, len(WEIGHTS) - 1])
def test_weights_that_are_cut_off(file: Path, missing: int) -> None:
    file.write_bytes(WEIGHTS[:-missing])
    assert is_cut_off(file)


@pytest.mark.parametrize(
    "data",
    [
        b"weights of another kind",
        struct.pack("<IQ", 1, 0) + bytes(100),
        struct.pack("<IQ", 0, 1 << 40) + bytes(100),
        tensor(99, 1000, item=0),
        struct.pack("<IQIi", 0, 0, 0, 12) + b"\x08\x05\x10" + b"\xff" * 9,
    ],
    ids=["no Paddle's", "later version", "levels", "element type", "description"],
)
def test_what_is_unknown_is_left_to_paddle(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert not is_cut_off(file)


def test_a_level_of_any_length_is_beyond_the_end(file: Path) -> None:
    file.write_bytes(struct.pack("<IQQ", 0, 1, 1 << 63) + bytes(100))
    assert is_cut_off(file)


@pytest.mark.parametrize(
    "program", [b"\x0a\x00", b"\x20\x05\x0a\x03abc\x2a\x02xx", b"\x0a\x01a\x25abcd"]
)
def test_programs(file: Path, program: bytes) -> None:
    file.write_bytes(program)
    assert is_program(file)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"\x20\x05", b"\x0a\x05abc", b"\x0a", b"\x0a\x00" + b"\xff" * 11, b"\x02\x00"],
)
def test_no_programs(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    assert not is_program(file)


@given(data=st.binary(max_size=200), at=st.integers(0, len(WEIGHTS)))
def test_any_bytes_get_an_answer(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, at: int
) -> None:
    file = tmp_path_factory.getbasetemp() / f"any-{os.getpid()}"
    file.write_bytes(WEIGHTS[:at] + data)
    is_cut_off(file)
    is_program(file)
