"""Where downloads and conversions are kept between runs, and how they get there whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import platformdirs

__all__ = ["CACHE_VARIABLE", "cache_directory", "sha256_of"]

CACHE_VARIABLE = "CLASSIFY_WORKER_CACHE"


def cache_directory() -> Path:
    """The directory named by `CLASSIFY_WORKER_CACHE`, else the user's cache for this project.

    The user's cache is the platform's own (`XDG_CACHE_HOME` or `~/.cache` on Linux). The directory
    need not exist yet.
    """
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    return platformdirs.user_cache_path("classify-worker", appauthor=False)


def sha256_of(path: Path) -> str:
    """The file's SHA-256 as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
