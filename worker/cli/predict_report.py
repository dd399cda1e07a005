"""What `predict` prints: results on standard output, what went wrong and progress beside it."""

from __future__ import annotations

import json
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from worker.cli.options import Format

if TYPE_CHECKING:
    from worker.predict import ClassificationResult, FailedInput

__all__ = ["Report", "printable"]


class Report:
    """Writes results as they come; a context manager, within which progress is shown.

    Args:
        output: None is a table on a terminal, and JSON lines elsewhere.
        total: number of inputs; a file with several pages turns out to be several.
        out: standard output.
        err: standard error.

    Attributes:
        failed: inputs that could not be used, so far.
    """

    def __init__(
        self,
        output: Format | None,
        total: int,
        out: Console | None = None,
        err: Console | None = None,
    ) -> None:
        self._out = out or Console()
        self._format = output or (Format.TABLE if self._out.is_terminal else Format.JSON)
        # A progress bar stays below what its own console writes, and is torn by any other's lines:
        # on a terminal one console writes everything.
        self._err = self._out if self._out.is_terminal else err or Console(stderr=True)
        self._total = total
        self._progress = Progress(
            TextColumn("classified"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._err,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            disable=total < 2 or not self._err.is_terminal,
        )
        self._task = self._progress.add_task("", total=total)
        self._count = 0
        self.failed = 0

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
        if self.failed and self._total > 1:
            self._note(f"{self.failed} of {self._total} images could not be used")

    def add(self, result: ClassificationResult | FailedInput) -> None:
        """Write one result, or what is wrong with an input."""
        plain = result.json["res"]
        error = plain.get("error")
        if error is not None:
            self.failed += 1
            path = plain["input_path"]
            self._note(f"{path}: {error['message']}" if path else error["message"])
        match self._format:
            case Format.JSON:
                line = json.dumps(plain, ensure_ascii=False)
                # A file's name need not be UTF-8; what is not becomes JSON's own escape.
                self._line(line.encode(errors="backslashreplace").decode())
            case Format.TEXT if error is None:
                self._line(str(result))
            case Format.TABLE if error is None:
                page = plain["page_index"]
                named = "" if page is None else f" (page_index {page})"
                self._line(printable(plain["input_path"]) + named)
                self._out.print(_table(plain))
        self._count += 1
        self._total = max(self._total, self._count)
        self._progress.update(self._task, advance=1, total=self._total)

    def _line(self, text: str) -> None:
        # Not `print`, which wraps long lines and takes brackets for styles.
        self._out.out(text, highlight=False)

    def _note(self, text: str) -> None:
        self._err.out(f"classify-worker: {printable(text)}", highlight=False)


def _table(plain: dict[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("Score", justify="right")
    table.add_column("Class", justify="right")
    table.add_column("Label")
    rows = zip(plain["scores"], plain["class_ids"], plain["label_names"], strict=True)
    for score, class_id, label in rows:
        table.add_row(f"{score:.5f}", str(class_id), Text(printable(label)))
    return table


def printable(text: str) -> str:
    """A file's name may hold anything, escape sequences included."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
