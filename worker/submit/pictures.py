"""Saves the pictures of results."""

from __future__ import annotations

from pathlib import Path

from worker.errors import WorkerError
from worker.predict.naming import output_name

__all__ = ["save_picture"]


def save_picture(directory: Path, number: int, name: str, picture: bytes) -> Path:
    """Save a picture as `NUMBER-STEM.jpg`. The number distinguishes `a/cat.jpg` and `b/cat.png`.

    Returns:
        The file's path.

    Raises:
        WorkerError: the directory cannot be written; the message says why.
    """
    path = directory / f"{number:04d}-{output_name(name).stem}.jpg"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture)
    except OSError as error:
        raise WorkerError(f"{path} cannot be written: {error.strerror}") from error
    return path
