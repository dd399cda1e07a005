"""File names of results, from the names of their inputs."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from worker.image_formats import WRITABLE_SUFFIXES
from worker.predict.inputs import Page

__all__ = ["OutputName", "output_name"]

LONGEST_STEM = 200
"""Bytes; file systems allow 255 for a whole name."""


@dataclass(frozen=True, slots=True)
class OutputName:
    """`STEM_res.json` and `STEM_res` + suffix are one input's files.

    Attributes:
        suffix: of the picture, with its dot: the input's own if it can be written, else `.png`.
    """

    stem: str
    suffix: str


def output_name(input_path: str | None, page: Page | None = None) -> OutputName:
    """Name the files of one input's results.

    Args:
        input_path: a path or URL; None if the input has none.
        page: its number, from 0, is added if the file has several pages.

    Returns:
        The stem of the input's name, or a new, unique one; and the picture's suffix.
    """
    added = "" if page is None or page.count == 1 else f"_{page.index}"
    if input_path is None:
        return OutputName(f"{int(time.time())}_{secrets.token_hex(4)}{added}", ".png")
    if "://" in input_path:
        # A server may name its image anything: only the last component is used, without any part
        # that could lead to another directory.
        path = unquote(urlsplit(input_path).path).replace("\\", "/").replace("\0", "")
        name = PurePath(path).name
        name = "image" if name in ("", "..") else name
    else:
        name = PurePath(input_path).name
    parsed = PurePath(name)
    suffix = parsed.suffix if parsed.suffix.lower() in WRITABLE_SUFFIXES else ".png"
    stem = parsed.stem.encode(errors="replace")[:LONGEST_STEM].decode(errors="ignore")
    return OutputName(f"{stem}{added}", suffix)
