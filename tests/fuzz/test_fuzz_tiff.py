"""Damaged TIFF files of every kind: an answer or a `JobError`, in bounded memory; nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.fuzz.images import check_decode
from tests.support.make_tiff import kinds

FILES = list(kinds().values())


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good file with bytes changed; half of all damage is done to the first directory."""
    data = bytearray(draw(st.sampled_from(FILES)))
    directory = int.from_bytes(data[4:8], "little" if data[:1] == b"I" else "big")
    first, last = draw(st.sampled_from([(0, len(data)), (directory, directory + 220)]))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(first, min(last, len(data))))
        piece = draw(st.binary(min_size=1, max_size=4))
        match draw(st.sampled_from(["change", "change", "insert", "cut"])):
            case "change":
                data[at : at + len(piece)] = piece
            case "insert":
                data[at:at] = piece
            case _:
                del data[max(at, directory) :]
    return bytes(data)


@settings(max_examples=1500, deadline=None)
@given(damaged())
def test_damaged_tiff(data: bytes) -> None:
    check_decode(data)
