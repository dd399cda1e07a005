"""Rows of a table that are printed one by one, in which no word, name or path is broken.

Rich's tables need all rows before the first one is printed, and break what is wider than a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

__all__ = ["GAP", "Column", "Rows", "printable", "printable_lines", "wrap", "wrap_lines"]

GAP = 2
"""Spaces between columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: what its head says.
        width: in terminal cells; of the last column it is not used.
        right: whether its cells are aligned to the right.
    """

    title: str
    width: int = 0
    right: bool = False


class Rows:
    """Lays rows out.

    Args:
        columns: from left to right. The last one takes the rest of the line, and its text is
            wrapped between words. A cell of another column that is wider than it is followed by a
            new line, on which the next cell is in its own column.
        width: cells of a whole line.
        last_width: fewest cells for the last column; where the line has less left, its text begins
            on a line of its own.
    """

    def __init__(self, columns: Sequence[Column], width: int, last_width: int = 0) -> None:
        self._columns = columns
        self._width = width
        self._last_width = last_width

    def head(self) -> list[str]:
        """Lay out the titles.

        Returns:
            The lines above the first row, a rule included.
        """
        titles = self.row([column.title for column in self._columns])
        return [*titles, "─" * max(map(cell_len, titles))]

    def row(self, cells: Sequence[str]) -> list[str]:
        """Lay out one row.

        Args:
            cells: one string without line breaks for each column.

        Returns:
            Its lines.
        """
        lines: list[str] = []
        line, start = "", 0
        for column, cell in zip(self._columns[:-1], cells[:-1], strict=True):
            padding = " " * max(0, column.width - cell_len(cell))
            line += f"{padding}{cell}" if column.right else f"{cell}{padding}"
            start += column.width + GAP
            if cell_len(line) > start - GAP:
                lines.append(line)
                line = ""
            line += " " * (start - cell_len(line))
        below = self._width - start < self._last_width
        if below:
            lines += [line] if line.strip() else []
            line, start = " " * 4, 4
        if cells[-1] or not below:
            lines += wrap(cells[-1], self._width, line, " " * start)
        return [line.rstrip() for line in lines]


def wrap(text: str, width: int, first: str = "", later: str = "  ") -> list[str]:
    """Break text into lines at spaces alone: a longer word stays whole.

    Args:
        width: cells of a line.
        first: what the first line begins with.
        later: what all other lines begin with.

    Returns:
        The lines, of up to `width` cells each unless a word is longer.
    """
    lines: list[str] = []
    line, begun = first, False
    for word in text.split():
        longer = f"{line} {word}" if begun else f"{line}{word}"
        if cell_len(longer) > width:
            if line.strip():
                lines.append(line)
            # A word too long for an indented line gets as much of a line as there is.
            fits = cell_len(later) + cell_len(word) <= width
            longer = f"{later if fits else '  '}{word}"
        line, begun = longer, True
    return [*lines, line]


def wrap_lines(text: str, width: int) -> str:
    """Wrap each line of a text by `wrap`; those indented by four spaces are to be copied, and stay.

    Args:
        width: cells of a line.

    Returns:
        The text, wrapped.
    """
    lines: list[str] = []
    for line in text.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        copied = indent.startswith(" " * 4)
        lines += [line] if copied else wrap(line, width, indent, f"{indent}  ")
    return "\n".join(lines)


def printable(text: str) -> str:
    """Make a text safe to print: a file's name may hold anything, escape sequences included.

    Returns:
        The text; each character that is not printable is replaced.
    """
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)


def printable_lines(text: str) -> str:
    """Make a text of several lines safe to print.

    Returns:
        The text, each line as `printable` makes it.
    """
    return "\n".join(map(printable, text.split("\n")))
