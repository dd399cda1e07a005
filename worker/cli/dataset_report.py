"""What `dataset check` prints."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console

from worker.cli.rows import GAP, Column, Rows, printable, wrap
from worker.datasets.dataset import SPLITS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from worker.datasets.check import Checked
    from worker.datasets.findings import Finding, Kind
    from worker.datasets.judging import ClassCount

__all__ = ["as_plain", "print_report"]

MOST_SHOWN = 20
"""Findings of one kind that are shown."""

FILE_WIDTH = 120
"""Cells that a line has where the output is no terminal."""

NARROWEST = 50
"""Cells below which a terminal may break lines."""

Line = tuple[str, str | None]


def as_plain(checked: Checked) -> dict[str, Any]:
    """Convert what was found to what JSON has.

    Returns:
        The report; `usable` says whether nothing has to be corrected.
    """
    dataset = checked.dataset
    return {
        "usable": checked.usable,
        "data": dataset.source,
        "layout": dataset.layout,
        "digest": checked.digest,
        "images": len(dataset.items),
        "unreadable": sum(each.unreadable for each in checked.classes),
        "classes": [
            {
                "id": each.id,
                "name": each.name,
                "images": each.usable,
                "unreadable": each.unreadable,
                **{split: each.splits.get(split, 0) for split in SPLITS if dataset.is_split},
            }
            for each in checked.classes
        ],
        "findings": [
            {
                "kind": each.kind.label,
                "wrong": each.kind.wrong,
                "where": each.where,
                "message": each.message,
                **({"images": list(each.names)} if each.names else {}),
            }
            for each in checked.findings
        ],
    }


def print_report(checked: Checked, console: Console | None = None) -> None:
    """Print the classes, what is wrong, what is worth knowing, and a summary.

    Args:
        console: standard output by default.
    """
    console = console or Console()
    # A file or a pipe has no width to keep to, and `grep` wants names in one piece.
    width = max(NARROWEST, console.width) if console.is_terminal else FILE_WIDTH
    for text, style in _lines(checked, width):
        console.out(text, style=style, highlight=False)


def _lines(checked: Checked, width: int) -> Iterator[Line]:
    dataset = checked.dataset
    for line in wrap(f"{printable(dataset.source)}: {dataset.layout}", width):
        yield line, "bold"
    yield checked.digest, None
    yield "", None
    yield from _class_lines(checked.classes, width, with_splits=dataset.is_split)
    wrong = [each for each in checked.findings if each.kind.wrong]
    others = [each for each in checked.findings if not each.kind.wrong]
    yield from _finding_lines("To be corrected", wrong, width, "red")
    yield from _finding_lines("Worth knowing", others, width, "yellow")
    yield "", None
    usable = sum(each.usable for each in checked.classes)
    images = f"{usable} of {len(dataset.items)} images can be used"
    if wrong:
        yield f"{images}; to be corrected: {len(wrong)}", "bold red"
    else:
        yield f"{images}; nothing has to be corrected", "green"


def _class_lines(classes: Sequence[ClassCount], width: int, *, with_splits: bool) -> Iterator[Line]:
    columns: dict[str, list[int]] = {"Images": [each.usable for each in classes]}
    if with_splits:
        columns |= {split: [each.splits.get(split, 0) for each in classes] for split in SPLITS}
    if any(each.unreadable for each in classes):
        columns["Unreadable"] = [each.unreadable for each in classes]
    numbers = [_number(title, counts) for title, counts in columns.items()]
    first = _number("Id", [len(classes) - 1])
    names = [printable(each.name) for each in classes]
    room = width - sum(column.width + GAP for column in (first, *numbers)) - GAP
    longest = max(map(cell_len, names), default=0)
    rows = Rows([first, Column("Class", max(5, min(longest, room))), *numbers, Column("")], width)
    yield from ((line, "bold") for line in rows.head())
    for number, name in enumerate(names):
        counts = [str(column[number]) for column in columns.values()]
        yield from ((line, None) for line in rows.row([str(number), name, *counts, ""]))


def _number(title: str, counts: Sequence[int]) -> Column:
    return Column(title, max((len(title), *(len(str(each)) for each in counts))), right=True)


def _finding_lines(
    title: str, findings: Sequence[Finding], width: int, style: str
) -> Iterator[Line]:
    if not findings:
        return
    yield "", None
    yield f"{title}:", style
    by_kind: dict[Kind, list[Finding]] = defaultdict(list)
    for each in findings:
        by_kind[each.kind].append(each)
    for of_kind in by_kind.values():
        for each in of_kind[:MOST_SHOWN]:
            text = f"{printable(each.where)}: {printable(each.message)}"
            yield from ((line, None) for line in wrap(text, width, "  ", "    "))
        if len(of_kind) > MOST_SHOWN:
            yield f"  and {len(of_kind) - MOST_SHOWN} more like these: --format json has all", None
