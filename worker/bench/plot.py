"""A bar chart of CPU time per image, as SVG: no library is needed for rectangles and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from worker.bench.measurement import Measurement

__all__ = ["plot"]

WIDTH, ROW, LEFT, RIGHT, TOP = 900, 24, 290, 60, 46

_COLOURS = {
    "predictors": "#3b6ea5",
    "image processes": "#e08a3c",
    "event loop": "#5b9a68",
    "other threads": "#9b7bb5",
    "other processes": "#8c8c8c",
    "decode, transform": "#e08a3c",
    "draw, encode": "#f2bf86",
    "network": "#3b6ea5",
}
_OTHER = "#8c8c8c"


def plot(measurements: Sequence[Measurement]) -> str:
    """Draw a bar for each measurement with CPU time, made up of its parts.

    Returns:
        An SVG document.
    """
    bars = [each for each in measurements if each.ms_cpu_per_image]
    longest = max((each.ms_cpu_per_image or 0.0 for each in bars), default=1.0)
    scale = (WIDTH - LEFT - RIGHT) / longest
    height = TOP + ROW * len(bars) + 10
    used = dict.fromkeys(kind for each in bars for kind in _parts(each))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="10" y="18" font-size="14">CPU time per image, milliseconds</text>',
        *_legend(list(used)),
    ]
    for number, each in enumerate(bars):
        lines += _bar(each, TOP + ROW * number, scale)
    return "\n".join([*lines, "</svg>\n"])


def _legend(kinds: Sequence[str]) -> list[str]:
    lines, x = [], 10
    for kind in kinds:
        lines += [
            f'<rect x="{x}" y="26" width="10" height="10" fill="{_COLOURS.get(kind, _OTHER)}"/>',
            f'<text x="{x + 14}" y="35">{escape(kind)}</text>',
        ]
        x += 30 + 7 * len(kind)
    return lines


def _bar(each: Measurement, y: int, scale: float) -> list[str]:
    name = f"{each.model}: {each.name}{', pictures' if each.pictures else ''}"
    lines = [f'<text x="{LEFT - 6}" y="{y + 15}" text-anchor="end">{escape(_short(name))}</text>']
    x = float(LEFT)
    for kind, milliseconds in _parts(each).items():
        width = milliseconds * scale
        colour = _COLOURS.get(kind, _OTHER)
        lines.append(
            f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="16" fill="{colour}"/>'
        )
        x += width
    lines.append(f'<text x="{x + 5:.1f}" y="{y + 15}">{each.ms_cpu_per_image:.1f}</text>')
    return lines


def _parts(each: Measurement) -> Mapping[str, float]:
    parts: Mapping[str, float] | None = each.details.get("ms_cpu_by_kind")
    return parts or {"network": each.ms_cpu_per_image or 0.0}


def _short(name: str, most: int = 38) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
