"""Where downloads and conversions are kept between runs, and how they get there whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import platformdirs

__all__ = [
    "CACHE_VARIABLE",
    "cache_directory",
    "exclusive",
    "models_directory",
    "replacing",
    "sha256_of",
    "watch_disk",
    "write_whole",
]

CACHE_VARIABLE = "CLASSIFY_WORKER_CACHE"


def cache_directory() -> Path:
    """Find the cache: `CLASSIFY_WORKER_CACHE`, else the user's cache for this project.

    The user's cache is the platform's own (`XDG_CACHE_HOME` or `~/.cache` on Linux).

    Returns:
        The directory, which need not exist yet.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("classify-worker", appauthor=False)


def models_directory() -> Path:
    """Find the models' directory, unless the setting `model_cache` names another.

    Returns:
        The directory in which models are found by their names.
    """
    return cache_directory() / "models"


@contextlib.contextmanager
def watch_disk(report: Callable[[int, int], None], interval: float = 30.0) -> Iterator[None]:
    """Measure the disk that holds the cache, at once and then every `interval` seconds.

    In a thread that nobody waits for: a network volume that hangs must hold up neither the event
    loop nor the end of the process.

    Args:
        report: is called with the free and all bytes, from that thread.
    """
    ended = threading.Event()

    def watch() -> None:
        while True:
            with contextlib.suppress(OSError):
                directory = cache_directory()
                while not directory.exists() and directory != directory.parent:
                    directory = directory.parent
                disk = shutil.disk_usage(directory)
                report(disk.free, disk.total)
            if ended.wait(interval):
                return

    threading.Thread(target=watch, name="cache-disk", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def sha256_of(path: Path) -> str:
    """Compute a file's SHA-256.

    Returns:
        64 hexadecimal digits.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def exclusive(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that one thread of one process holds at a time.

    The lock ends with its process, however that ends. The file stays: if it were removed, one
    process could hold a lock on the old file and another one on a new file.

    Args:
        wait: whether to wait for one who holds it.

    Raises:
        BlockingIOError: somebody holds it, and `wait` is false.
        OSError: the file cannot be made, or its file system has no locks.
    """
    with path.open("ab") as file:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 - not on other platforms

            while True:
                try:
                    # Gives up with an error: at once, or after ten attempts, a second apart.
                    mode = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
                    msvcrt.locking(file.fileno(), mode, 1)
                    break
                except OSError as error:
                    if not wait:
                        raise BlockingIOError(*error.args) from error
        else:
            import fcntl  # noqa: PLC0415 - not on Windows

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that readers see whole or not at all, also when several write it at once.

    Yields:
        A file that takes the place of `path` when the block ends well, and is removed otherwise.

    Raises:
        OSError: the directory cannot be written.
    """
    # Not a temporary file of the library's, which no other user could read.
    half = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with half.open("xb") as file:
            yield file
        half.replace(path)
    except BaseException:
        half.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file as `replacing` does, at once.

    Raises:
        OSError: the directory cannot be written.
    """
    with replacing(path) as file:
        file.write(content)
