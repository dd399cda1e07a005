"""How results are called on disk, from what their input was called."""

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
    """The name for the results of a path or URL; a new one for an input that has none.

    Of a file with several pages, each page's number (from 0) is added.
    """
    added = "" if page is None or page.count == 1 else f"_{page.index}"
    if input_path is None:
        return OutputName(f"{int(time.time())}_{secrets.token_hex(4)}{added}", ".png")
    if "://" in input_path:
        # A server may call its image anything: only the last component counts, and no more than a
        # name is taken from it.
        path = unquote(urlsplit(input_path).path).replace("\\", "/").replace("\0", "")
        name = PurePath(path).name
        name = "image" if name in ("", "..") else name
    else:
        name = PurePath(input_path).name
    parsed = PurePath(name)
    suffix = parsed.suffix if parsed.suffix.lower() in WRITABLE_SUFFIXES else ".png"
    stem = parsed.stem.encode(errors="replace")[:LONGEST_STEM].decode(errors="ignore")
    return OutputName(f"{stem}{added}", suffix)
