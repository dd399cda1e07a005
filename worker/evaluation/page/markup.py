"""Pieces of HTML. What is called text is escaped here; what is called markup is not."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.evaluation.summary import Share

__all__ = ["percent", "section", "share_markup", "some_of", "table", "text", "wide"]

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def text(value: str) -> str:
    """Escape text for content and attributes; what no document may hold is replaced.

    Returns:
        Markup that shows the text.
    """
    return escape("".join(sign if _may_be_shown(sign) else REPLACEMENT for sign in value))


def _may_be_shown(sign: str) -> bool:
    """Whether it is no control character, no half of a surrogate pair, and assigned at all."""
    return sign.isprintable() or unicodedata.category(sign) not in {"Cc", "Cs", "Cn"}


def percent(share: float) -> str:
    """Write a share.

    Returns:
        Such as `97.4 %`.
    """
    return f"{100 * share:.1f} %"


def section(name: str, title: str, markup: str) -> str:
    """Make a section that links can lead to.

    Args:
        name: of the link's target, without `#`.
        title: as text.

    Returns:
        Markup.
    """
    return f'<section id="{text(name)}"><h2>{text(title)}</h2>{markup}</section>\n'


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Make a table whose first column names its rows.

    Args:
        caption: as text.
        heads: of the columns, as text.
        rows: markup of each cell.

    Returns:
        Markup, to be scrolled where it is too wide.
    """
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n'
        for first, *cells in rows
    )
    return wide(
        caption,
        f"<table><caption>{text(caption)}</caption><thead><tr>{head}</tr></thead>\n"
        f"<tbody>{body}</tbody></table>",
    )


def wide(name: str, markup: str) -> str:
    """Make room that is scrolled sideways, by the keyboard too.

    Args:
        name: of the region, as text.

    Returns:
        Markup.
    """
    return f'<div class="wide" role="region" tabindex="0" aria-label="{text(name)}">{markup}</div>'


def share_markup(share: Share) -> str:
    """Write a share with its interval.

    Returns:
        Markup.
    """
    low, high = share.interval
    return (
        f"{percent(share.value)}<small>{share.right} of {share.images}; "
        f"95 %: {percent(low)} to {percent(high)}</small>"
    )


def some_of(count: int, most: int, things: str) -> str:
    """Say how many of something are shown.

    Args:
        count: how many there are.
        most: how many are shown.
        things: what they are, as markup.

    Returns:
        Markup.
    """
    if count <= most:
        return f"{count} {things}"
    return f"{most} of {count} {things} (report.json has all)"
