"""Lays the figures out as lines of text, for a terminal of 80 columns and 24 lines and more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rich.text import Text

from worker.cli.rows import printable
from worker.top.figures import STAGES, Figures, figures
from worker.top.scrape import Snapshot
from worker.top.watch import Seen

__all__ = ["render"]

NARROWEST = 80
"""Columns that the table needs; narrower terminals cut its lines off."""

NAME_WIDTH = 21
BAR_WIDTH = 40
HEADINGS = ("jobs/s", "p50", "p95", "p99", "lag", "drain")
CELL = 8
"""Columns of a number, with the gap before it."""

OTHER_LINES = 18
"""Lines that stand above and below those of the workers."""

UNKNOWN = "-"


def render(seen: Sequence[Seen], height: int | None = None) -> list[Text]:
    """Lay out what is known of workers.

    Args:
        height: lines of the terminal, which may leave no room for all workers; None is no bound.

    Returns:
        Lines, which are cut off where the terminal ends.
    """
    changes = [one.change for one in seen if one.change is not None]
    together = figures(changes) if changes else None
    lines = [_heading(), *_workers(seen, height)]
    if len(seen) > 1 and together is not None:
        lines.insert(1, _row("all", together, Text(f"{_up(seen)} of {len(seen)}"), "bold"))
    if together is not None:
        lines += [Text(), *_stages(together), Text(), *_rest(together)]
    elif any(one.last is not None for one in seen):
        lines += [Text(), Text("measuring ...", "dim")]
    lines += _about(seen)
    return lines


def _heading() -> Text:
    cells = "".join(f"{heading:>{CELL}}" for heading in HEADINGS)
    return Text(f"{'worker':<{NAME_WIDTH}}{cells}  state", "bold underline")


def _workers(seen: Sequence[Seen], height: int | None) -> Iterator[Text]:
    room = len(seen) if height is None else max(1, height - OTHER_LINES)
    shown = seen if len(seen) <= room else seen[: room - 1]
    for one in shown:
        yield _worker(one)
    if len(shown) < len(seen):
        hidden = seen[len(shown) :]
        down = sum(bool(one.problem) for one in hidden)
        yield Text(f"and {len(hidden)} more, {down} of them down", "red" if down else "dim")


def _worker(one: Seen) -> Text:
    name = printable(one.address.name)
    if one.problem:
        line = Text(f"{_cut(name, NAME_WIDTH - 1):<{NAME_WIDTH}}")
        return line.append(f"down: {printable(one.problem)}", "red")
    state = Text("...", "dim") if one.last is None else _state(one.last)
    return _row(name, None if one.change is None else figures([one.change]), state)


def _state(last: Snapshot) -> Text:
    ready = sum(last.values("classify_ready")) > 0
    return Text("ready", "green") if ready else Text("not ready", "yellow")


def _row(name: str, numbers: Figures | None, state: Text, style: str = "") -> Text:
    cells = [UNKNOWN] * len(HEADINGS)
    if numbers is not None:
        cells = [
            f"{numbers.jobs:.1f}",
            *map(_time, numbers.latency or (None, None, None)),
            _count(numbers.lag),
            _time(numbers.drain),
        ]
    line = Text(f"{_cut(name, NAME_WIDTH - 1):<{NAME_WIDTH}}", style)
    line.append("".join(f"{cell:>{CELL}}" for cell in cells)).append("  ")
    return line.append_text(state)


def _stages(numbers: Figures) -> Iterator[Text]:
    """A bar for the mean time in each stage, the longest one as wide as there is room."""
    longest = max(numbers.stages.values(), default=0.0)
    for stage in STAGES:
        mean = numbers.stages.get(stage)
        line = Text(f"{stage.replace('_', ' '):<11}{_time(mean):>8}")
        if mean is not None and longest > 0:
            bar = "█" * max(1, round(BAR_WIDTH * mean / longest))
            line.append("  ").append(bar, "cyan")
        yield line


def _rest(numbers: Figures) -> Iterator[Text]:
    batch = UNKNOWN if numbers.batch is None else f"{numbers.batch:.1f} images"
    closed = ", ".join(f"{reason} {_share(share)}" for reason, share in numbers.closed.items())
    yield _fact("batch", f"{batch}; {closed}" if closed else batch)
    slots = f"{numbers.slots} up, {_share(numbers.slots_busy)} busy"
    restarts = f"; {numbers.restarts} restarted" if numbers.restarts else ""
    images = f"; image processes {_share(numbers.images_busy)} busy"
    yield _fact("predictors", f"{slots}{restarts}{images}", bad=bool(numbers.restarts))
    held = f"{numbers.in_flight} jobs, {_size(numbers.held)}"
    oldest = f"; the oldest for {_time(numbers.oldest)}" if numbers.oldest else ""
    waiting = f"; {numbers.waiting} images wait for a process or a batch" if numbers.waiting else ""
    yield _fact("in flight", f"{held}{oldest}{waiting}")
    failed = f"{numbers.failed:.1f} a second; {numbers.dead_letters:.1f} dead letters a second"
    yield _fact("failed", failed, bad=numbers.failed > 0)
    yield _fact("memory", _size(numbers.memory))


def _about(seen: Sequence[Seen]) -> Iterator[Text]:
    """What the workers are, each thing once."""
    facts = {"model": ("name", "backend", "device"), "worker": ("group", "topic")}
    for metric, labels in facts.items():
        found = {
            " ".join(dict(series)[label] for label in labels if dict(series).get(label))
            for one in seen
            if one.last is not None
            for series, _ in one.last.items(f"classify_{metric}_info")
        }
        found.discard("")
        if found:
            name = "group" if metric == "worker" else metric
            yield _fact(name, printable("; ".join(sorted(found))))


def _fact(name: str, text: str, *, bad: bool = False) -> Text:
    return Text(f"{name:<11}").append(text, "red" if bad else "")


def _up(seen: Sequence[Seen]) -> int:
    return sum(one.last is not None for one in seen)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _time(seconds: float | None) -> str:
    """Three digits or so: `0.4 ms`, `45 ms`, `1.2 s`, `12 min`, `5.0 h`."""
    if seconds is None or math.isnan(seconds):
        return UNKNOWN
    if math.isinf(seconds):
        return "never"
    if seconds == 0:
        return "0 s"
    for factor, unit, most in ((1000, "ms", 1.0), (1, "s", 120.0), (1 / 60, "min", 7200.0)):
        if seconds < most:
            return _short(seconds * factor, unit)
    return _short(seconds / 3600, "h")


def _short(number: float, unit: str) -> str:
    return f"{number:.1f} {unit}" if 0 < number < 10 else f"{number:.0f} {unit}"


def _count(number: float | None) -> str:
    if number is None:
        return UNKNOWN
    return f"{number:.0f}" if number < 1_000_000 else f"{number / 1e6:.1f}M"


def _share(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f} %"


def _size(size: float) -> str:
    return f"{size / 2**20:.0f} MiB" if size < 2**30 else f"{size / 2**30:.1f} GiB"
