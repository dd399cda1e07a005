"""What `submit` prints: answers on standard output; progress and what went wrong beside it."""

from __future__ import annotations

import enum
import json
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from worker.cli.predict_report import printable

if TYPE_CHECKING:
    from worker.submit import Answer, Item

__all__ = ["AnswerFormat", "AnswerReport", "add_answer", "answer_progress", "answer_table"]


class AnswerFormat(enum.StrEnum):
    """How answers are written."""

    TABLE = "table"
    JSON = "json"


def answer_table(*, streamed: bool = False, header: bool = True) -> Table:
    """An empty table of answers.

    Args:
        streamed: columns keep their widths whatever is in them, so that rows which are printed one
            by one stand below each other.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=not streamed)
    table.expand, table.show_header = streamed, header
    table.add_column("Job", overflow="fold", ratio=3 if streamed else None)
    table.add_column("Way in", min_width=6)
    table.add_column("Label", overflow="fold", ratio=3 if streamed else None)
    table.add_column("Score", justify="right", min_width=7)
    table.add_column("Latency", justify="right", min_width=9)
    table.add_column("Picture, or error", overflow="fold", ratio=4 if streamed else None)
    return table


def add_answer(table: Table, answer: Answer) -> None:
    """One row: the best category, or what went wrong."""
    best = answer.categories[0] if answer.categories else None
    if answer.error is not None:
        last = Text(printable(answer.error), style="red")
    else:
        last = Text("" if answer.picture is None else str(answer.picture))
    table.add_row(
        Text(printable(answer.item.name)),
        answer.item.encoding.value,
        Text("" if best is None else printable(best.name)),
        "" if best is None else f"{best.score:.5f}",
        "" if answer.latency is None else f"{1000 * answer.latency:.0f} ms",
        last,
    )


def answer_progress(console: Console, *, disable: bool = False) -> Progress:
    """A bar for one task: jobs answered, of those that were begun."""
    return Progress(
        TextColumn("answered"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
        disable=disable,
    )


class AnswerReport:
    """Writes answers as they come; a context manager, within which progress is shown.

    Args:
        output: None is a table on a terminal, and JSON lines elsewhere.
        out: standard output.
        err: standard error.

    Attributes:
        taken: jobs begun so far.
        ended: of these, the ones that have an answer.
        failed: of these, the ones that failed or got no result in time.
    """

    def __init__(
        self,
        output: AnswerFormat | None,
        out: Console | None = None,
        err: Console | None = None,
    ) -> None:
        self._out = out or Console()
        on_terminal = self._out.is_terminal
        self._format = output or (AnswerFormat.TABLE if on_terminal else AnswerFormat.JSON)
        # A progress bar is torn by any other console's lines: on a terminal there is just one.
        self._err = self._out if on_terminal else err or Console(stderr=True)
        self._progress = answer_progress(self._err, disable=not self._err.is_terminal)
        self._task = self._progress.add_task("", total=None)
        self._header = True
        self.taken = self.ended = self.failed = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()
        if not self.taken and error is None:
            self._note("nothing was submitted: the sources name no image")
        if self.taken > self.ended:
            self._note(f"{self.taken - self.ended} of {self.taken} jobs were not waited for")
        if self.failed and self.ended > 1:
            self._note(f"{self.failed} of {self.ended} jobs failed")

    def take(self, _: Item) -> None:
        """Count an item that is about to be submitted."""
        self.taken += 1
        self._progress.update(self._task, total=self.taken)

    def add(self, answer: Answer) -> None:
        """Write one answer; what went wrong is told on standard error as well.

        Raises:
            BrokenPipeError: nobody reads standard output any more.
        """
        self.ended += 1
        if self._format is AnswerFormat.JSON:
            line = json.dumps(answer.as_json(), ensure_ascii=False)
            # A file's name need not be UTF-8; what is not becomes JSON's own escape.
            self._line(line.encode(errors="backslashreplace").decode())
        else:
            table = answer_table(streamed=True, header=self._header)
            self._header = False
            add_answer(table, answer)
            self._out.print(table)
        if answer.error is not None:
            self.failed += 1
            # On a terminal it stands in the table, a line above.
            if self._err is not self._out:
                self._note(f"{answer.item.name}: {answer.error}")
        self._progress.update(self._task, completed=self.ended)

    def _line(self, text: str) -> None:
        if self._out.is_terminal:
            self._out.out(text, highlight=False)
        else:
            # Not by the console, which ends the process where a reader such as `head` has gone.
            self._out.file.write(f"{text}\n")
            self._out.file.flush()

    def _note(self, text: str) -> None:
        self._err.out(f"classify-worker: {printable(text)}", highlight=False)
