"""Strict decoding of fax images: ITU-T T.4 (group 3; in TIFF also without line ends) and T.6.

A fax machine had to make something up where the line was noisy, and so does every decoder that was
tried (libtiff in OpenCV and Pillow, imagecodecs): none of them reports an error in these codes.
So this one is our own. Its loop holds the GIL, though never longer than the interpreter's switch
interval, for about a microsecond per run.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from worker.images.tiff_fax_codes import (
    BLACK,
    HORIZONTAL,
    MAKE_UP,
    MODE_BITS,
    MODES,
    PASS,
    RUN_BITS,
    WHITE,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_RUNS", "FaxDecoder", "FaxKind", "TooManyRunsError"]

MAX_RUNS = 4_000_000
"""Most runs of one image. A printed page has about 100,000; this many take some four seconds."""

_END_OF_LINE_ZEROS = 11


class TooManyRunsError(Exception):
    """An image has more than `MAX_RUNS` runs."""


@dataclass(frozen=True, slots=True)
class FaxKind:
    """How lines are coded.

    Attributes:
        two_dimensional: lines are coded by their difference to the line above: all of them, or
            with `line_ends` those that a bit behind the end of the line before says.
        line_ends: lines begin with an end-of-line code, which may be left out of one-dimensional
            coding.
        align: lines begin at a multiple of so many bits.
    """

    two_dimensional: bool = False
    line_ends: bool = False
    align: int = 1


class FaxDecoder:
    """Decodes the strips or tiles of one image."""

    def __init__(self, kind: FaxKind) -> None:
        self._kind = kind
        self._left = MAX_RUNS

    def decode(self, data: bytes, width: int, height: int) -> npt.NDArray[np.uint8]:
        """Decode one of them.

        Returns:
            `[height, width] uint8`: 0 where a white run was coded, 1 where a black one was.

        Raises:
            ValueError: a code is none, a line does not end at its last pixel, or lines are missing.
            TooManyRunsError: decoding would take too long.
        """
        reader = _Reader(data)
        ends, counts = array("I"), array("I")
        above = [width]
        for row in range(height):
            try:
                above = _line(reader, above, width, self._kind)
            except (ValueError, IndexError) as error:
                why = str(error) if isinstance(error, ValueError) else "its codes end early"
                raise ValueError(f"row {row} of {height}: {why}") from None
            ends.extend(above)
            if len(above) % 2:
                ends.append(width)  # an empty black run: the next line begins with white again
            counts.append(len(above) + len(above) % 2)
            if len(ends) > self._left:
                raise TooManyRunsError
        self._left -= len(ends)
        return _pixels(ends, counts, width, height)


class _Reader:
    """A stream of bits, the highest of each byte first.

    Attributes:
        words: the four bytes from each byte on, as one number; zeros follow the end.
        at: bits that are read.
        size: bits that there are.
    """

    __slots__ = ("at", "size", "words")

    def __init__(self, data: bytes) -> None:
        words = np.ndarray((len(data) + 5,), ">u4", data + bytes(8), strides=(1,))
        self.words = array("I")
        self.words.frombytes(words.astype(np.uint32).data.cast("B"))
        self.at = 0
        self.size = len(data) * 8

    def peek(self, bits: int) -> int:
        """Look at the next bits, at most 24.

        Returns:
            The next `bits` bits as a number.
        """
        return self.words[self.at >> 3] >> (32 - bits - (self.at & 7)) & ((1 << bits) - 1)

    def run(self, table: Sequence[tuple[int, int]]) -> int:
        """Read the run that is coded next.

        Returns:
            Its length in pixels.
        """
        words, at, total = self.words, self.at, 0
        while True:
            length, pixels = table[words[at >> 3] >> (32 - RUN_BITS - (at & 7)) & 0x1FFF]
            if not length:
                raise ValueError("no code of a run")
            at += length
            total += pixels
            if pixels < MAKE_UP:
                self.at = at
                return total


def _line(reader: _Reader, above: list[int], width: int, kind: FaxKind) -> list[int]:
    """The ends of the runs of the next line: white, black, white and so on up to `width`."""
    reader.at += -reader.at % kind.align
    two_dimensional = kind.two_dimensional
    if kind.line_ends:
        ended = _skip_end_of_line(reader)
        if kind.two_dimensional:
            if not ended:
                raise ValueError("the line before has no end")
            two_dimensional = not reader.peek(1)
            reader.at += 1
    ends = _by_difference(reader, above, width) if two_dimensional else _by_runs(reader, width)
    if reader.at > reader.size:
        raise ValueError("its codes end early")
    return ends


def _skip_end_of_line(reader: _Reader) -> bool:
    """Step over an end-of-line code and the fill bits before it, if there is one here."""
    if reader.peek(_END_OF_LINE_ZEROS):
        return False
    while not reader.peek(RUN_BITS):
        reader.at += RUN_BITS
    reader.at += RUN_BITS + 1 - reader.peek(RUN_BITS).bit_length()
    return True


def _by_runs(reader: _Reader, width: int) -> list[int]:
    ends = []
    at, table, other = 0, WHITE, BLACK
    while at < width:
        at += reader.run(table)
        ends.append(at)
        table, other = other, table
    if at > width:
        raise ValueError("it is too long")
    return ends


def _by_difference(reader: _Reader, above: list[int], width: int) -> list[int]:
    """Names are those of T.6: a0 is where coding has come to, b1 and b2 are changes above."""
    changes = _changes(above, width)
    ends: list[int] = []
    words, a0, index, black = reader.words, -1, 0, 0
    while a0 < width:
        while changes[index] <= a0:
            index += 2
        at = reader.at
        length, mode = MODES[words[at >> 3] >> (32 - MODE_BITS - (at & 7)) & 0x7F]
        if not length:
            raise ValueError("no code of a mode")
        reader.at = at + length
        if mode == HORIZONTAL:
            first = max(a0, 0) + reader.run(BLACK if black else WHITE)
            a0 = first + reader.run(WHITE if black else BLACK)
            ends += (first, a0)
        elif mode == PASS:
            a0 = changes[index + 1]
        else:
            before, a0 = a0, changes[index] + mode
            if a0 <= before:
                raise ValueError("it goes back")
            ends.append(a0)
            black ^= 1
            # The next change above has the other colour; a step to the left may reveal one before.
            index += -1 if index else 1
    if a0 > width:
        raise ValueError("it is too long")
    if not ends or ends[-1] != width:
        ends.append(width)
    return ends


def _changes(above: list[int], width: int) -> list[int]:
    """Where the colour changes in a line: to black at even indexes, to white at odd ones."""
    if any(map(int.__eq__, above[1:], above)):  # an empty run within the line changes nothing
        kept: list[int] = []
        for end in above:
            if kept and kept[-1] == end:
                kept.pop()
            else:
                kept.append(end)
        above = kept
    changes = [end for end in above if end < width] if above and above[-1] != width else above
    return [*changes, width, width, width, width]


def _pixels(ends: array[int], counts: array[int], width: int, height: int) -> npt.NDArray[np.uint8]:
    line_starts = np.arange(height, dtype=np.int64) * width
    absolute = np.frombuffer(ends, np.uint32) + np.repeat(line_starts, np.frombuffer(counts, "I"))
    lengths = np.diff(absolute, prepend=0)
    colours = np.tile(np.array([0, 1], np.uint8), lengths.size // 2)
    return np.repeat(colours, lengths).reshape(height, width)
