"""What `predict` and `submit` have in common to print: results, failures, progress, a summary."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.cli.options import OutputFormat
from worker.cli.output_record import CSV_HEADER
from worker.cli.rows import printable, wrap
from worker.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from worker.cli.output_file import OutputFile
    from worker.cli.output_record import OutputRecord

__all__ = ["Line", "Report", "progress_bar", "split_folder"]

Line = tuple[str, str | None]
"""A line of a table, and the style it has on a terminal."""


def progress_bar(console: Console, what: str, *, disable: bool = False) -> Progress:
    """Make a progress bar for one task, such as `classified 3/7`.

    Returns:
        A bar that disappears when it is stopped.
    """
    return Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=disable,
    )


class Report:
    """Writes results as they come; a context manager.

    Standard output gets the results, standard error what went wrong and the summary.

    Args:
        form: of standard output; None is a table on a terminal and JSON lines elsewhere, or nothing
            where a file gets the results.
        progress: what a bar says.
        total: number of inputs, as far as it is known; without a bar if it is 1.
        file: gets the results as well.
        out: standard output.
        err: standard error.
        clock: measures the time.

    Attributes:
        ended: results so far.
        failed: of these, the failures.
    """

    things = "images"

    def __init__(
        self,
        form: OutputFormat | None,
        progress: str,
        total: int | None,
        file: OutputFile | None = None,
        out: Console | None = None,
        err: Console | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._out = out or Console()
        on_terminal = self._out.is_terminal
        if form is None and on_terminal:
            form = OutputFormat.TABLE
        elif form is None and file is None:
            form = OutputFormat.JSON
        self._form = form
        # Two consoles on one terminal would write lines into the progress bar.
        self._err = self._out if on_terminal else err or Console(stderr=True)
        self._total = total
        self._progress = progress_bar(
            self._err, progress, disable=total == 1 or not self._err.is_terminal
        )
        self._task = self._progress.add_task("", total=total)
        self._file = file
        self._reasons: Counter[str] = Counter()
        self._explained: dict[str, str] = {}
        self._clock = clock
        self._began = self._last = clock.monotonic()
        self._open = ExitStack()
        self.ended = self.failed = 0

    def __enter__(self) -> Self:
        if self._file is not None:
            self._open.enter_context(self._file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        self._open.close()
        for line in self._summary():
            self._note(line)

    def begin(self) -> None:
        """Show progress from now on, and measure the time."""
        self._progress.start()
        self._began = self._last = self._clock.monotonic()

    def _add(self, record: OutputRecord, table: Iterator[Line], shown: object = None) -> None:
        """Write one result, or what is wrong with an input.

        Args:
            table: its lines in a table, if that is what is written.
            shown: what prints PaddleX's dictionary, if that is what is written.

        Raises:
            BrokenPipeError: the reader of standard output has gone.
            WorkerError: the file of results cannot be written.
        """
        self.ended += 1
        self._last = self._clock.monotonic()
        in_table = False
        if self._file is not None:
            self._file.write(record)
        match self._form:
            case OutputFormat.JSON:
                self._write(f"{record.as_json()}\n")
            case OutputFormat.CSV:
                self._write(f"{CSV_HEADER if self.ended == 1 else ''}{record.as_csv()}")
            case OutputFormat.TEXT if record.error is None:
                self._write(f"{shown}\n")
            case OutputFormat.TABLE:
                for text, style in table:
                    # Not `print`, which wraps long lines and takes brackets for styles.
                    self._out.out(text, style=style, highlight=False)
                    in_table = True
        if record.error is not None:
            self._count(record)
            # On a terminal the table has shown it.
            if not in_table or self._err is not self._out:
                name = record.input
                self._note(f"{name}: {record.error}" if name else record.error)

    def _count(self, record: OutputRecord) -> None:
        """Count a failure by its reason; of a result's code alone, one is kept to tell what it is.

        A worker's result says no more: its message is what helps.
        """
        self.failed += 1
        if record.reason is not None or record.code is None:
            self._reasons[record.reason or "no result"] += 1
            return
        status = _status(record.code)
        self._reasons[f"with {status}"] += 1
        name = f" ({record.input})" if record.input else ""
        self._explained.setdefault(status, f"{record.error}{name}")

    def _summary(self) -> Iterator[str]:
        if self.ended > 1:
            seconds = max(self._last - self._began, 1e-9)
            yield (
                f"{self.ended} {self.things} in {seconds:.1f} s, "
                f"{self.ended / seconds:.1f} {self.things}/s"
            )
        if self.failed and self.ended > 1:
            reasons = ", ".join(f"{count} {name}" for name, count in self._reasons.most_common())
            yield f"{self.failed} of {self.ended} {self._failure}: {reasons}"
            yield from (f"{status}, the first: {why}" for status, why in self._explained.items())
        if self._file is not None and self._file.has_records:
            yield f"results are in {self._file.path}"

    @property
    def _failure(self) -> str:
        return f"{self.things} failed"

    def _write(self, text: str) -> None:
        if self._out.is_terminal:
            self._out.out(text, end="", highlight=False)
        else:
            # Not by the console, which ends the process where a reader such as `head` has gone.
            self._out.file.write(text)
            self._out.file.flush()

    def _note(self, text: str) -> None:
        text = f"classify-worker: {printable(text)}"
        lines = wrap(text, self._err.width) if self._err.is_terminal else [text]
        for line in lines:
            self._err.out(line, highlight=False)


def _status(code: int) -> str:
    """An HTTP status with its phrase."""
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return f"code {code}"


def split_folder(name: str) -> tuple[str, str]:
    """Split a path or URL after its last slash.

    Returns:
        What is before the slash, slash included, and the rest; the former is empty if there is no
        slash.
    """
    path, mark, query = name.partition("?") if "://" in name else (name, "", "")
    folder, slash, file = path.rpartition("/")
    if not file or folder.endswith(":/"):
        return "", name
    return f"{folder}{slash}", f"{file}{mark}{query}"
