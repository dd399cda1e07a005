"""Bearer tokens of the HTTP server's clients (RFC 6750), from a file that may change."""

from __future__ import annotations

import hashlib
import hmac
import re
import stat
from pathlib import Path

from worker.errors import SettingsError

__all__ = ["Tokens"]

MAX_BYTES = 64 * 1024
"""Largest file."""

SHORTEST = 16
"""Fewest characters of a token: what is shorter can be guessed."""

_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750, section 2.1."""

_HEADER = re.compile(r"bearer +([A-Za-z0-9._~+/-]+=*) *", re.IGNORECASE)


class Tokens:
    """The tokens of `http.token_file`, one a line: with two, clients can change to the new one.

    Args:
        path: the file; empty lines, and those that begin with `#`, say nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digests: tuple[bytes, ...] = ()

    def load(self) -> None:
        """Read the file. After an error the tokens are those that were read before.

        Raises:
            SettingsError: it cannot be read, others may read it, or it has no tokens. What is in it
                is not shown.
        """
        self._digests = tuple(map(_digest, _read(self._path)))

    def accepts(self, header: str) -> bool:
        """Look for the token of a request.

        It takes as long whichever token is wrong, and wherever: neither tells what a right one is.

        Args:
            header: the value of `Authorization`.

        Returns:
            Whether it has one of the tokens.
        """
        found = _HEADER.fullmatch(header)
        given = _digest(found[1] if found else "")
        # All are compared, also after one that is right.
        return sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _read(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise SettingsError(f"http.token_file {path} cannot be read: {error.strerror}") from error
    if mode & 0o007:
        raise SettingsError(
            f"http.token_file {path} is open to all users of this machine (mode {mode:04o}): "
            "chmod 640 it, or mount the secret with defaultMode: 0440 and an fsGroup"
        )
    if len(data) > MAX_BYTES:
        raise SettingsError(f"http.token_file {path} has more than {MAX_BYTES} bytes")
    lines = [line.strip() for line in data.decode("utf-8", "replace").splitlines()]
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise SettingsError(
            f"http.token_file {path} has no token: write one, such as openssl rand -hex 32 makes"
        )
    for number, line in enumerate(lines, 1):
        if line in tokens and (len(line) < SHORTEST or not _TOKEN.fullmatch(line)):
            raise SettingsError(
                f"http.token_file {path}, line {number}: a token has {SHORTEST} characters or "
                "more, of letters, digits and -._~+/, and may end in =; such as "
                "openssl rand -hex 32 makes"
            )
    return tokens
