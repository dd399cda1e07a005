"""The course of a training as a picture: loss and accuracy by epoch, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["draw_curve"]

WIDTH, HEIGHT = 900, 360
LEFT, TOP, GAP = 60, 50, 80
PLOT_WIDTH = (WIDTH - LEFT - GAP - 30) // 2
PLOT_HEIGHT = HEIGHT - TOP - 50

COLOURS = {"train": "#e08a3c", "val": "#3b6ea5"}
GRID = "#dddddd"

Epoch = Mapping[str, Any]


def draw_curve(history: Sequence[Epoch], title: str) -> str:
    """Draw two plots side by side: the loss, and the share of right answers.

    Args:
        history: an entry for each epoch, in order, with `phase`, `loss`, `top1`, `val_loss` and
            `val_top1`.
        title: above both.

    Returns:
        An SVG document.
    """
    highest = max((max(each["loss"], each["val_loss"]) for each in history), default=1.0)
    second = LEFT + PLOT_WIDTH + GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
        *_plot(history, LEFT, "loss", ("loss", "val_loss"), highest or 1.0),
        *_plot(history, second, "top-1 accuracy", ("top1", "val_top1"), 1.0),
        "</svg>\n",
    ]
    return "\n".join(lines)


def _plot(
    history: Sequence[Epoch], left: int, name: str, keys: tuple[str, str], highest: float
) -> list[str]:
    bottom = TOP + PLOT_HEIGHT
    across = PLOT_WIDTH / max(1, len(history) - 1)

    def x(index: int) -> float:
        return left + index * across

    def y(value: float) -> float:
        return bottom - value / highest * PLOT_HEIGHT

    lines = [f'<text x="{left}" y="{TOP - 10}">{name}</text>']
    for quarter in range(5):
        value = highest * quarter / 4
        lines += [
            _line(left, y(value), left + PLOT_WIDTH, y(value)),
            f'<text x="{left - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.2f}</text>',
        ]
    lines += _beginnings(history, x)
    for key, (series, colour) in zip(keys, COLOURS.items(), strict=True):
        points = " ".join(f"{x(i):.1f},{y(each[key]):.1f}" for i, each in enumerate(history))
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        place = left + PLOT_WIDTH - (100 if series == "train" else 40)
        lines += [
            f'<rect x="{place}" y="{TOP - 19}" width="10" height="10" fill="{colour}"/>',
            f'<text x="{place + 14}" y="{TOP - 10}">{series}</text>',
        ]
    return [*lines, f'<text x="{left}" y="{bottom + 34}">epochs: {len(history)}</text>']


def _beginnings(history: Sequence[Epoch], x: Callable[[int], float]) -> list[str]:
    """A line where each phase begins, with its name."""
    bottom, lines, before = TOP + PLOT_HEIGHT, [], None
    for index, each in enumerate(history):
        if each["phase"] != before:
            before = each["phase"]
            # A name near the right edge ends there.
            anchor = ' text-anchor="end"' if index > 0.8 * len(history) else ""
            lines += [
                _line(x(index), TOP, x(index), bottom, dashes=' stroke-dasharray="4"'),
                f'<text x="{x(index):.1f}" y="{bottom + 16}"{anchor}>{before}</text>',
            ]
    return lines


def _line(x1: float, y1: float, x2: float, y2: float, dashes: str = "") -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{GRID}"{dashes}/>'
