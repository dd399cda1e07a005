"""The reliability curve, as a drawing in the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from worker.evaluation.page.markup import percent, table

if TYPE_CHECKING:
    from worker.evaluation.calibration import Bin

__all__ = ["curve_markup"]

SIDE, LEFT, TOP, RIGHT, BOTTOM = 240, 44, 10, 12, 44
"""Of the plot, and the room around it, in the drawing's own units."""


def curve_markup(bins: Sequence[Bin]) -> str:
    """Draw accuracy by score, and list the same figures.

    Returns:
        Markup.
    """
    used = [each for each in bins if each.images]
    points = " ".join(f"{_x(each.score):.1f},{_y(each.accuracy):.1f}" for each in used)
    most = max((each.images for each in used), default=1)
    dots = "".join(
        f'<circle class="dot" cx="{_x(each.score):.1f}" cy="{_y(each.accuracy):.1f}" '
        f'r="{3 + 4 * (each.images / most) ** 0.5:.1f}"/>'
        for each in used
    )
    drawing = (
        f'<svg class="curve" viewBox="0 0 {LEFT + SIDE + RIGHT} {TOP + SIDE + BOTTOM}" role="img" '
        'aria-labelledby="curve-title curve-text">'
        '<title id="curve-title">Reliability curve</title>'
        '<desc id="curve-text">The share of right answers by their score; the table below has the '
        "same figures.</desc>"
        f"{_axes()}"
        f'<line class="ideal" x1="{_x(0)}" y1="{_y(0)}" x2="{_x(1)}" y2="{_y(1)}"/>'
        f'<polyline class="line" points="{points}"/>{dots}</svg>'
    )
    rows = [
        (
            f"{each.low:.1f} to {each.high:.1f}",
            str(each.images),
            f"{each.score:.3f}" if each.images else "",
            percent(each.accuracy) if each.images else "",
        )
        for each in bins
    ]
    heads = ("score", "answers", "mean score", "right")
    return (
        "<p>On the dashed line scores mean what they say. Below it the model is too sure of "
        "itself, above it not sure enough. Larger dots stand for more answers.</p>"
        f"{drawing}{table('Answers by their score', heads, rows)}"
    )


def _axes() -> str:
    lines = []
    for tenths in range(0, 11, 2):
        share = tenths / 10
        x, y = _x(share), _y(share)
        lines += [
            f'<line class="grid" x1="{x:.1f}" y1="{_y(0)}" x2="{x:.1f}" y2="{_y(1)}"/>',
            f'<line class="grid" x1="{_x(0)}" y1="{y:.1f}" x2="{_x(1)}" y2="{y:.1f}"/>',
            f'<text x="{x:.1f}" y="{_y(0) + 16}" text-anchor="middle">{share:.1f}</text>',
            f'<text x="{_x(0) - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.1f}</text>',
        ]
    middle = TOP + SIDE / 2
    return (
        f"{''.join(lines)}"
        f'<text x="{LEFT + SIDE / 2}" y="{_y(0) + 36}" text-anchor="middle">score</text>'
        f'<text x="12" y="{middle}" text-anchor="middle" '
        f'transform="rotate(-90 12 {middle})">share of right answers</text>'
    )


def _x(score: float) -> float:
    return LEFT + SIDE * score


def _y(share: float) -> float:
    return TOP + SIDE * (1 - share)
