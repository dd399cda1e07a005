"""Image files of this machine: their bytes, or why they cannot be had."""

from __future__ import annotations

import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from worker.errors import JobError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["file_errors", "read_file"]


def read_file(path: Path, most: int) -> bytes:
    """Read a file, but no more than is accepted.

    Args:
        most: bytes that are accepted.

    Returns:
        Its bytes; one more than `most` at most, so that its size can be objected to.

    Raises:
        JobError: it cannot be read; the message says why.
    """
    with file_errors():
        if stat.S_ISFIFO(path.stat().st_mode):
            # Opening it would wait for its writer.
            raise JobError(Reason.NOT_FOUND, "it is no plain file")
        with path.open("rb") as file:
            return file.read(most + 1)


@contextmanager
def file_errors() -> Iterator[None]:
    """Turn errors of opening and reading a file into a `JobError` that says why."""
    try:
        yield
    except FileNotFoundError as error:
        raise JobError(Reason.NOT_FOUND, "there is no such file") from error
    except OSError as error:
        why = error.strerror or error
        raise JobError(Reason.NOT_FOUND, f"the file cannot be read: {why}") from error
    except ValueError as error:
        raise JobError(Reason.NOT_FOUND, f"no file can have this name: {error}") from error
