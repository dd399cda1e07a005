"""What `predict` prints: results on standard output, errors and progress on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.cli.output_record import OutputRecord
from worker.cli.report import Line, Report, split_folder
from worker.cli.rows import Column, Rows, printable
from worker.clock import SYSTEM_CLOCK, Clock
from worker.contract.jobs import Category
from worker.image_formats import ImageFormat
from worker.predict.results import FailedInput

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import Console

    from worker.cli.options import OutputFormat
    from worker.cli.output_file import OutputFile
    from worker.contract.jobs import ModelIdentity
    from worker.predict.results import ClassificationResult

__all__ = ["MANY", "PredictReport", "output_record"]

SCORE = Column("Score", 7, right=True)
LABEL_CELLS = 24
"""Least room for labels beside long names."""

MANY = 100
"""Images from which on it pays to measure backends, which takes as long as hundreds of them."""

WITH_PAGES = (*ImageFormat.TIFF.suffixes, ".pdf")
"""Names of files whose pages are counted."""


class PredictReport(Report):
    """Writes results as they come; a context manager.

    The table has the categories of a single image; of several, it has one row for each image.

    Args:
        form: of standard output; None is a table on a terminal, else JSON lines, or nothing where a
            file gets the results.
        names: of the inputs; a file with several pages turns out to be several images.
        file: gets the results as well.
        out: standard output.
        err: standard error.
        clock: measures the time.
        model: what computes the results.
        unmeasured: whether others might compute them faster, which was never measured.
    """

    def __init__(
        self,
        form: OutputFormat | None,
        names: Sequence[str],
        file: OutputFile | None = None,
        out: Console | None = None,
        err: Console | None = None,
        clock: Clock = SYSTEM_CLOCK,
        *,
        model: ModelIdentity | None = None,
        unmeasured: bool = False,
    ) -> None:
        super().__init__(form, "classified", len(names), file, out, err, clock)
        self._model = model
        self._unmeasured = unmeasured
        self._single = len(names) == 1
        width = self._out.width
        longest = max(map(_shown_width, names), default=0)
        room = max(width - SCORE.width - LABEL_CELLS - 4, 12)
        self._images = Rows((Column("Image", min(longest, room)), SCORE, Column("Label")), width)
        self._categories = Rows((SCORE, Column("Class", 5, right=True), Column("Label")), width)
        self._folder: str | None = None
        self._saved: Sequence[Path] = ()

    def add(self, result: ClassificationResult | FailedInput, saved: Sequence[Path] = ()) -> None:
        """Write one result, or what is wrong with an input.

        Args:
            saved: the files in which the result was saved.

        Raises:
            BrokenPipeError: the reader of standard output has gone.
            WorkerError: the file of results cannot be written.
        """
        self._saved = saved or self._saved
        record = output_record(result, saved, self._model)
        self._add(record, self._table_lines(record), result)
        if self._total is not None:
            self._total = max(self._total, self.ended)
        self._progress.update(self._task, advance=1, total=self._total)

    def _table_lines(self, record: OutputRecord) -> Iterator[Line]:
        name = printable(record.input or "")
        page = "" if record.page is None else f" (page_index {record.page})"
        if self._single and record.page is None:  # a page may be one of many
            if record.error is None:
                yield from self._category_lines(f"{name}{page}", record)
            return
        if self._folder is None:
            yield from ((line, "bold") for line in self._images.head())
        folder, file = split_folder(name)
        if folder != (self._folder or ""):
            yield folder or "./", "cyan"
        self._folder = folder
        best = record.categories[0] if record.categories else None
        if record.error is not None:
            cells, style = ("error", printable(record.error)), "red"
        elif best is None:
            cells, style = ("", "(no category)"), None
        else:
            cells, style = (f"{best.score:.5f}", printable(best.name)), None
        yield from ((line, style) for line in self._images.row((f"{file}{page}", *cells)))

    def _category_lines(self, name: str, record: OutputRecord) -> Iterator[Line]:
        yield name, "cyan"
        yield from ((line, "bold") for line in self._categories.head())
        for each in record.categories:
            cells = (f"{each.score:.5f}", str(each.id), printable(each.name))
            yield from ((line, None) for line in self._categories.row(cells))

    @property
    def _failure(self) -> str:
        return "images could not be used"

    def _summary(self) -> Iterator[str]:
        yield from super()._summary()
        if self._unmeasured and self.ended >= MANY and self._err.is_terminal:
            yield (
                "Paddle computed them: --use-hpip measures the backends once and keeps the fastest"
            )
        if not self._saved:
            return
        if self.ended == 1:
            names = " and ".join(path.name for path in self._saved)
            yield f"saved {names} in {self._saved[0].parent}"
        else:
            yield f"results and pictures are in {self._saved[0].parent}"


def _shown_width(name: str) -> int:
    file = split_folder(printable(name))[1]
    return len(file) + (len(" (page_index 0)") if file.lower().endswith(WITH_PAGES) else 0)


def output_record(
    result: ClassificationResult | FailedInput,
    saved: Sequence[Path] = (),
    model: ModelIdentity | None = None,
) -> OutputRecord:
    """Convert a result to the shape that is written.

    Args:
        saved: the files in which the result was saved.
        model: what computed it; a failure has none.

    Returns:
        The record, with the first of `saved` that is a picture.
    """
    if isinstance(result, FailedInput):
        error = result.error
        return OutputRecord(
            result.input_path, error.reason.status, error.message, reason=error.reason.label
        )
    plain = result.json["res"]
    classes = zip(plain["class_ids"], plain["label_names"], plain["scores"], strict=True)
    return OutputRecord(
        plain["input_path"],
        page=plain["page_index"],
        categories=[Category(*each) for each in classes],
        picture=next((path for path in saved if path.suffix != ".json"), None),
        model=model,
    )
