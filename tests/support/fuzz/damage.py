"""Inputs that are nearly right, for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

__all__ = ["damaged"]


@st.composite
def damaged(draw: st.DrawFn, inputs: list[bytes], longest: int | None = None) -> bytes:
    """An input of the corpus with some bytes changed, inserted, taken out or cut off."""
    data = bytearray(draw(st.sampled_from(inputs)))
    for _ in range(draw(st.integers(1, 4))):
        # Beginnings matter most: half of all damage is done to the first 64 bytes.
        at = draw(st.integers(0, draw(st.sampled_from([min(64, len(data)), len(data)]))))
        piece = draw(st.binary(max_size=8))
        match draw(st.sampled_from(["change", "insert", "remove", "cut"])):
            case "change":
                data[at : at + len(piece)] = piece
            case "insert":
                data[at:at] = piece
            case "remove":
                del data[at : at + len(piece)]
            case _:
                del data[at:]
    return bytes(data[:longest])
