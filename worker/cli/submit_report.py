"""What `submit` prints: answers on standard output, errors and progress on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.output_record import OutputRecord
from worker.cli.report import Line, Report, split_folder
from worker.cli.rows import Column, Rows, printable
from worker.clock import SYSTEM_CLOCK, Clock

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from rich.console import Console

    from worker.cli.options import OutputFormat
    from worker.cli.output_file import OutputFile
    from worker.submit import Item, ItemResult

__all__ = ["AnswerReport", "AnswerTable", "output_record"]

_NUMBER = Column("No", 4, right=True)
_ENCODING = Column("Sent as", 7)
_LATENCY = Column("Latency", 8, right=True)
_SCORE = Column("Score", 7, right=True)
_FIXED_CELLS = 36
"""Of a row, without the job's name and the label."""


class AnswerTable:
    """Lays out a table of answers, row by row.

    A job's number is that of its picture, `NUMBER-NAME.jpg`. Its folder is printed above its row if
    it differs from that of the row before.

    Args:
        width: cells of a line.
        names: of the jobs, when they are known; else their column has a share of the line.
    """

    def __init__(self, width: int, names: Sequence[str] = ()) -> None:
        share = max((width - _FIXED_CELLS) * 9 // 20, 12)
        longest = max((len(split_folder(name)[1]) for name in names), default=share)
        columns = (_NUMBER, Column("Job", min(longest, share)), _ENCODING, _LATENCY, _SCORE)
        self._rows = Rows((*columns, Column("Label")), width)
        self._folder: str | None = None

    def lines(self, number: int, encoding: str, record: OutputRecord) -> Iterator[Line]:
        """Lay out one more row.

        Args:
            number: the job's number.
            encoding: how its image was sent.

        Yields:
            Each line with its style; the head's first, if this is the first row.
        """
        if self._folder is None:
            yield from ((line, "bold") for line in self._rows.head())
        folder, name = split_folder(printable(record.input or ""))
        if folder != (self._folder or ""):
            yield folder or "./", "cyan"
        self._folder = folder
        latency = "" if record.latency is None else f"{1000 * record.latency:.0f} ms"
        best = record.categories[0] if record.categories else None
        style = None
        if record.error is not None:
            score, label, style = "error", printable(record.error), "red"
        elif best is None:
            score, label = "", "(no category)"
        else:
            score, label = f"{best.score:.5f}", printable(best.name)
        row = self._rows.row((str(number), name, encoding, latency, score, label))
        yield from ((line, style) for line in row)


class AnswerReport(Report):
    """Writes answers as they come; a context manager.

    Args:
        form: of standard output; None is a table on a terminal, else JSON lines, or nothing where a
            file gets the answers.
        file: gets the answers as well.
        out: standard output.
        err: standard error.
        clock: measures the time.

    Attributes:
        taken: jobs begun so far.
        saved: the file that was saved last, or None.
    """

    things = "jobs"

    def __init__(
        self,
        form: OutputFormat | None,
        file: OutputFile | None = None,
        out: Console | None = None,
        err: Console | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        super().__init__(form, "answered", None, file, out, err, clock)
        self._table = AnswerTable(self._out.width)
        self.saved: Path | None = None
        self._complete = True
        self.taken = 0

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._complete = error is None
        super().__exit__(kind, error, trace)

    def take(self, _: Item) -> None:
        """Count an item that is about to be submitted; the first one starts the progress."""
        if not self.taken:
            self.begin()
        self.taken += 1
        self._progress.update(self._task, total=self.taken)

    def add(self, answer: ItemResult) -> None:
        """Write one answer; failures are also reported on standard error.

        Raises:
            BrokenPipeError: the reader of standard output has gone.
            WorkerError: the file of results cannot be written.
        """
        record = output_record(answer)
        self.saved = answer.saved or self.saved
        lines = self._table.lines(answer.number, answer.item.encoding.value, record)
        self._add(record, lines)
        self._progress.update(self._task, completed=self.ended)

    def _summary(self) -> Iterator[str]:
        if not self.taken and self._complete:
            yield "nothing was submitted: the sources name no image"
        if self.taken > self.ended:
            yield f"{self.taken - self.ended} of {self.taken} jobs were not waited for"
        yield from super()._summary()
        if self.saved is not None and self.ended == 1:
            yield f"saved {self.saved.name} in {self.saved.parent}"
        elif self.saved is not None:
            yield f"pictures are in {self.saved.parent}, as NUMBER-NAME.jpg"


def output_record(answer: ItemResult) -> OutputRecord:
    """Convert an answer to the shape that is written.

    Returns:
        The record; its extra fields `job` and `way` are older names of two fields.
    """
    return OutputRecord(
        answer.item.name,
        answer.code,
        answer.error,
        reason=answer.reason,
        id=answer.record_id,
        categories=answer.categories,
        latency=answer.latency,
        picture=answer.picture,
        model=answer.model,
        extra={"job": answer.item.name, "way": answer.item.encoding.value},
    )
