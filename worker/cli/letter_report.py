"""What the commands for dead letters print: letters on standard output, the rest on standard error.

Nothing of a letter reaches a terminal as it is: most of it comes from whatever sends jobs.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console

from worker.cli.letter_options import LetterFormat, output_format
from worker.cli.report import progress_bar
from worker.cli.rows import Column, Rows, printable, wrap
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.copied_headers import holds_credentials
from worker.contract.letters import own_headers
from worker.dead_letters.times import moment_text
from worker.redaction import REDACTED, without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from worker.contract.letters import DeadLetter
    from worker.contract.records import Record

__all__ = ["LetterReport", "plain_headers", "plain_letter"]

_COLUMNS = (
    Column("Letter", 9),
    Column("Failed at", 19),
    Column("Reason", 17),
    Column("Job", 20),
)

LEAST_MESSAGE = 40
"""Cells of a line for a message; with less it begins on a line of its own."""

MAX_SHOWN = 400
"""Characters of a header's value in a table."""


class LetterReport:
    """Writes letters as they are found; a context manager.

    Args:
        chosen: of standard output.
        progress: what a bar says; None for no bar.
        raw: whether secrets are shown.
        out: standard output.
        err: standard error.
        clock: measures the time.

    Attributes:
        shown: letters written so far.
        form: of standard output.
    """

    def __init__(
        self,
        chosen: LetterFormat | None,
        *,
        as_json: bool = False,
        progress: str | None = None,
        raw: bool = False,
        last: str = "Message",
        out: Console | None = None,
        err: Console | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._out = out or Console()
        terminal = self._out.is_terminal
        self.form = output_format(chosen, as_json=as_json, terminal=terminal)
        # Two consoles on one terminal would write lines into the progress bar.
        self._err = self._out if terminal else err or Console(stderr=True)
        self._raw = raw
        bar = progress is not None and self._err.is_terminal
        self._progress = progress_bar(self._err, progress or "", disable=not bar)
        self._task = self._progress.add_task("", total=None)
        width = self._out.width if terminal else 160
        self._rows = Rows((*_COLUMNS, Column(last)), width, LEAST_MESSAGE)
        self._clock = clock
        self._began = clock.monotonic()
        self.shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def begin(self, total: int) -> None:
        """Show progress from now on: so many offsets are looked at."""
        self._progress.update(self._task, total=total)
        self._progress.start()
        self._began = self._clock.monotonic()

    def advance(self, seen: int) -> None:
        """Show how many letters have been looked at."""
        self._progress.update(self._task, completed=seen)

    def add(self, letter: DeadLetter, more: dict[str, Any], text: str | None = None) -> None:
        """Write one letter.

        Args:
            more: fields of its JSON besides its own.
            text: the last column of a table; its message by default.

        Raises:
            BrokenPipeError: the reader of standard output has gone.
        """
        self.shown += 1
        if self.form is LetterFormat.JSON:
            self.write_json(plain_letter(letter, raw=self._raw) | more)
            return
        if self.shown == 1:
            self._lines(self._rows.head(), "bold")
        row = (
            f"{letter.partition}-{letter.offset}",
            (moment_text(letter.timestamp_ms) or "")[:19].replace("T", " "),
            self._safe(letter.reason or "?"),
            self._safe(letter.job_id or "-"),
            self._safe((letter.message or letter.unfit or "") if text is None else text),
        )
        self._lines(self._rows.row(row))

    def write_json(self, fields: dict[str, Any]) -> None:
        """Write one JSON object as a line; what is not printable is an escape there."""
        text = json.dumps(fields, ensure_ascii=False)
        self.write(f"{''.join(map(_escaped, text))}\n")

    def facts(self, facts: Sequence[tuple[str, str]]) -> None:
        """Write names and values, one a line, wrapped on a terminal."""
        indent = max(len(name) for name, _ in facts) + 2
        for name, value in facts:
            head = f"{printable(name):<{indent}}"
            text = self._safe(value)
            on_terminal = self._out.is_terminal
            lines = wrap(text, self._out.width, head, " " * indent) if on_terminal else None
            self._lines([f"{head}{text}"] if lines is None else lines)

    def note(self, text: str) -> None:
        """Write a line about the run to standard error."""
        text = f"classify-worker: {self._safe(text)}"
        lines = wrap(text, self._err.width) if self._err.is_terminal else [text]
        for line in lines:
            self._err.out(line, highlight=False)

    def failed(self, letter: DeadLetter, why: str) -> None:
        """Say why a letter's record cannot be put back."""
        self.note(f"{letter.id}: {why}")

    def sum_up(self, counts: Counter[str], *, most: int, dry_run: bool) -> None:
        """Say what a replay did."""
        seconds = max(self._clock.monotonic() - self._began, 1e-9)
        replayed = counts["replayed"]
        if dry_run:
            self.note(f"{_records(replayed)} would be put back; nothing was done")
        else:
            rate = f", {replayed / seconds:.1f} a second" if replayed else ""
            self.note(f"{_records(replayed)} put back in {seconds:.1f} s{rate}")
        if counts["already"]:
            self.note(f"left alone: {_records(counts['already'])} replayed before")
        if counts["left"]:
            self.note(
                f"left alone: {_records(counts['left'])} put back {most} times or more already "
                "(--max-attempts)"
            )
        if counts["failed"]:
            self.note(f"{counts['failed']} cannot be put back")

    def write(self, text: str) -> None:
        """Write to standard output."""
        if self._out.is_terminal:
            self._out.out(text, end="", highlight=False)
        else:
            # Not by the console, which ends the process where a reader such as `head` has gone.
            self._out.file.write(text)
            self._out.file.flush()

    def _lines(self, lines: Sequence[str], style: str | None = None) -> None:
        for line in lines:
            if self._out.is_terminal:
                self._out.out(line, style=style, highlight=False)
            else:
                self.write(f"{line}\n")

    def _safe(self, text: str) -> str:
        return printable(text if self._raw else without_secrets(text))


def plain_letter(letter: DeadLetter, *, raw: bool = False) -> dict[str, Any]:
    """Convert a letter to plain values for JSON.

    Args:
        raw: whether passwords and queries in addresses stay.

    Returns:
        The fields, in the order in which they are written.
    """

    def safe(text: str) -> str:
        return text if raw else without_secrets(text)

    key = None if letter.key is None else safe(letter.key.decode("utf-8", "backslashreplace"))
    return {
        "id": letter.id,
        "partition": letter.partition,
        "offset": letter.offset,
        "time": moment_text(letter.timestamp_ms),
        "sourceId": letter.source_id or None,
        "sourceTopic": letter.source_topic or None,
        "sourcePartition": letter.source_partition,
        "sourceOffset": letter.source_offset,
        "sourceTime": moment_text(letter.source_timestamp_ms),
        "jobId": safe(letter.job_id) or None,
        "key": key,
        "stage": letter.stage or None,
        "reason": letter.reason or None,
        "errorCode": letter.code,
        "errorMsg": safe(letter.message) or None,
        "attempts": letter.attempts,
        "replayAttempts": letter.replays,
        "model": letter.model or None,
        "workerVersion": letter.worker_version or None,
        "bytes": letter.size,
        "unfit": letter.unfit,
    }


def plain_headers(record: Record, *, raw: bool = False) -> list[dict[str, str | None]]:
    """Convert the record's own headers to plain values; the others are fields of the letter.

    Returns:
        Name, and `value` as text or, where it is none, `base64`; credentials left out unless `raw`.
    """
    plain: list[dict[str, str | None]] = []
    for name, value in own_headers(record.headers):
        if not raw and holds_credentials(name):
            plain.append({"name": name, "value": REDACTED})
            continue
        try:
            text = (value or b"").decode()
        except UnicodeDecodeError:
            plain.append({"name": name, "base64": base64.b64encode(value).decode()})
            continue
        shown = text if raw else without_secrets(text)
        plain.append({"name": name, "value": shown})
    return plain


def _escaped(sign: str) -> str:
    return sign if sign.isprintable() else json.dumps(sign)[1:-1]


def _records(count: int) -> str:
    return f"{count} record" if count == 1 else f"{count} records"
