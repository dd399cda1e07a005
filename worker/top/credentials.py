"""What `classify-worker top` shows to workers that ask for a token, and whose word it trusts."""

from __future__ import annotations

import ssl
from pathlib import Path

from worker.top.scrape import Credentials

__all__ = ["read_credentials"]


def read_credentials(token_file: Path | None, ca_file: Path | None) -> Credentials:
    """Read a token and authorities.

    Args:
        token_file: its first line is the token, comments (#) and empty lines aside: as in the
            worker's own `http.token_file`.
        ca_file: PEM; the system's authorities if None.

    Raises:
        ValueError: a file cannot be read or used; the message says which.
    """
    return Credentials(
        "" if token_file is None else _token(token_file),
        None if ca_file is None else _context(ca_file),
    )


def _token(path: Path) -> str:
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {_why(error)}") from error
    token = next((line for line in lines if line and not line.startswith("#")), "")
    if not token.isascii() or not token.isprintable() or not token:
        raise ValueError(f"{path} has no token")
    return token


def _context(path: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"{path} has no authorities in PEM: {_why(error)}") from error


def _why(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
