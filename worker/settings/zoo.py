"""Settings of where models with a name come from."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from worker.settings.base import Bytes, Group, MiB, Seconds

__all__ = ["ZooSettings"]


class ZooSettings(Group):
    """Where models with a name are pulled from when they are not in the cache."""

    base_url: str | None = Field(
        None,
        min_length=1,
        description="Where the archives (NAME_infer.tar) are: an http, https or file address, or "
        "a directory; the publisher's address when unset.",
    )
    offline: bool = Field(
        False,
        description="Whether the network is never used for models: they are in the cache, or "
        "base_url is a directory.",
    )
    max_bytes: Bytes = Field(
        2048 * MiB, description="Largest archive, and most bytes that one may unpack to."
    )
    checksums: Path | None = Field(
        None,
        description="File of SHA-256 checksums of archives, as sha256sum writes it; the first "
        "download of any other archive is recorded and holds for the next ones.",
    )
    timeout: Seconds = Field(30.0, description="Longest silence while downloading.")

    @field_validator("base_url")
    @classmethod
    def _known_scheme(cls, value: str | None) -> str | None:
        if value is None or "://" not in value:
            return value
        parts = urlsplit(value)
        if parts.scheme in ("http", "https"):
            if not parts.hostname:
                raise ValueError("the address names no host")
            if parts.username is not None or parts.password is not None:
                raise ValueError("user names and passwords in the address are not supported")
            if parts.query or parts.fragment:
                raise ValueError("file names are appended to it: leave out ? and #")
        elif parts.scheme != "file":
            raise ValueError("use an http, https or file address, or a directory")
        elif parts.netloc not in ("", "localhost"):
            raise ValueError("a file address has three slashes: file:///srv/models")
        return value
