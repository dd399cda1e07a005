"""Results as HTML, for notebooks: a small picture and a table. Everything in it is escaped."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from worker.contract.jobs import Category

__all__ = ["as_html", "failure_as_html"]

MAX_SIDE = 320
"""Pixels of the longer side: a notebook keeps each picture that it has shown in its file."""

MAX_ROWS = 10
"""Categories that are shown; a line counts those that follow."""

QUALITY = 80
"""Of the picture's JPEG, 1 to 100."""


def as_html(
    input_path: str | None, bgr: npt.NDArray[np.uint8], categories: Sequence[Category]
) -> str:
    """Show an image with its best label, and the categories beside it.

    Args:
        input_path: the caption; None for an image without a name.
        bgr: the image, `[H, W, 3] uint8`.
        categories: best first; there may be none.

    Returns:
        HTML, with the picture as a JPEG in it.
    """
    from worker.images.draw import draw, shrink  # noqa: PLC0415 - codecs, which few callers need

    best = categories[0] if categories else None
    label, score = (None, 0.0) if best is None else (best.name, best.score)
    # OpenCV does not take a view with reversed channels.
    small = shrink(np.ascontiguousarray(bgr), MAX_SIDE)
    jpeg = base64.b64encode(draw(small, label, score, QUALITY)).decode()
    caption = "" if input_path is None else f"<figcaption>{_text(input_path)}</figcaption>"
    return (
        '<div style="display:flex;gap:16px;align-items:flex-start;flex-wrap:wrap">'
        f'<figure style="margin:0"><img style="max-width:100%" alt="{_text(label or "")}" '
        f'src="data:image/jpeg;base64,{jpeg}"/>{caption}</figure>'
        f"<table><tbody>{_rows(categories)}</tbody></table></div>"
    )


def failure_as_html(input_path: str | None, message: str) -> str:
    """Show an image that could not be used, and why.

    Returns:
        HTML.
    """
    return f"<p><b>{_text(input_path or 'image')}</b>: {_text(message)}</p>"


def _rows(categories: Sequence[Category]) -> str:
    if not categories:
        return "<tr><td>no class reaches its threshold</td></tr>"
    rows = [_row(category) for category in categories[:MAX_ROWS]]
    if len(categories) > MAX_ROWS:
        rows.append(f'<tr><td colspan="3">and {len(categories) - MAX_ROWS} more</td></tr>')
    return "".join(rows)


def _row(category: Category) -> str:
    bar = (
        '<div style="width:80px;background:#8884"><div style="height:8px;background:#1a73e8;'
        f'width:{100 * category.score:.0f}%"></div></div>'
    )
    return (
        f'<tr><td style="text-align:left">{_text(category.name)}</td>'
        f"<td>{category.score:.5f}</td><td>{bar}</td></tr>"
    )


def _text(text: str) -> str:
    """Escaped, and Unicode: a file's name need not be."""
    return escape(text.encode(errors="replace").decode())
