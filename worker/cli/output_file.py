"""Files of results, written line by line, so that they are valid at any time."""

from __future__ import annotations

from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from worker.cli.output_record import CSV_HEADER
from worker.errors import SettingsError, WorkerError

if TYPE_CHECKING:
    from worker.cli.output_record import OutputRecord

__all__ = ["OutputFile"]

SUFFIXES = (".csv", ".jsonl")


class OutputFile:
    """A `.csv` or `.jsonl` file; a context manager.

    A file of that name is replaced when the first record comes, and not before: a run that fails
    earlier leaves it alone.

    Raises:
        SettingsError: the suffix is another one, or the name is a directory's.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None
        self._is_csv = path.suffix.lower() == ".csv"
        if path.suffix.lower() not in SUFFIXES:
            raise SettingsError(
                f"--output {path}: the name must end in {' or '.join(SUFFIXES)}, which is the "
                "format that is written"
            )
        if path.is_dir():
            raise SettingsError(f"--output {path} is a directory: name a file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def has_records(self) -> bool:
        """Whether it is there, as the result of this run."""
        return self._file is not None

    def write(self, record: OutputRecord) -> None:
        """Append a record.

        Raises:
            WorkerError: the file cannot be written; the message says why.
        """
        try:
            file = self._file or self._open()
            _write(file, record.as_csv() if self._is_csv else f"{record.as_json()}\n")
        except OSError as error:
            raise WorkerError(f"{self.path} cannot be written: {error.strerror}") from error

    def _open(self) -> FileIO:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Without a buffer, which a full disk would leave to be written when the file is closed.
        self._file = FileIO(self.path, "w")
        if self._is_csv:
            _write(self._file, CSV_HEADER)
        return self._file


def _write(file: FileIO, text: str) -> None:
    left = text.encode()
    while left:
        left = left[file.write(left) :]
