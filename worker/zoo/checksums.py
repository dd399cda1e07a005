"""SHA-256 of archives: pinned by the operator, or recorded when first seen.

Both are files as `sha256sum` writes and checks them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from worker.cache import write_whole
from worker.errors import ModelError

__all__ = ["read_checksums", "record_checksum"]

_LINE = re.compile(r"\\?([0-9A-Fa-f]{64}) [ *](.+)")


def read_checksums(path: Path) -> Mapping[str, str]:
    """Read a file of checksums as sha256sum writes it.

    Returns:
        64 lower-case hexadecimal digits by file name, without directories.

    Raises:
        ModelError: the file cannot be read, or a line is none of `sha256sum`.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(f"checksums in {path} cannot be read: {error}") from error
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.rstrip())
        if match is None:
            raise ModelError(f"{path}:{number} is not 'SHA256  FILE', as sha256sum writes it")
        found[Path(match[2]).name] = match[1].lower()
    return found


def record_checksum(path: Path, name: str, digest: str) -> None:
    """Add one checksum to a file, which is made if it is missing; for one process at a time.

    Raises:
        OSError: the file cannot be written.
    """
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    write_whole(path, "\n".join([*lines, f"{digest}  {name}", ""]).encode())
