"""Writes small PDF files by hand, sound and unsound."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

LEFT_HALF_RED = b"1 0 0 rg 0 0 50 50 re f"
"""Content of a page 100 points wide and 50 high."""


def pdf(*pages: bytes, extra: Sequence[bytes] = (), trailer: bytes = b"") -> bytes:
    """A file of pages as `page` makes them.

    Args:
        extra: further objects; the first has the number 3 + the number of pages.
        trailer: further entries of the trailer.
    """
    kids = b" ".join(b"%d 0 R" % number for number in range(3, 3 + len(pages)))
    tree = b"<</Type/Pages/Kids[%b]/Count %d>>" % (kids, len(pages))
    return _file([b"<</Type/Catalog/Pages 2 0 R>>", tree, *pages, *extra], trailer)


def encrypted() -> bytes:
    """A file that no password opens."""
    keys = b"/O<%b>/U<%b>" % (b"11" * 32, b"22" * 32)
    lock = b"<</Filter/Standard/V 1/R 2/P -4%b>>" % keys
    return pdf(page(), extra=[lock], trailer=b"/Encrypt 4 0 R/ID[<00><00>]")


def page(
    width: float = 100, height: float = 50, content: int | None = None, more: bytes = b""
) -> bytes:
    """A page of so many points.

    Args:
        content: number of the object that draws it; blank without one.
        more: further entries of its dictionary.
    """
    drawn = b"" if content is None else b"/Contents %d 0 R" % content
    box = f"{width} {height}".encode()
    return b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %b]%b%b>>" % (box, drawn, more)


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """An object with bytes, for `extra`."""
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (entries, len(data), data)


def black_image(side: int) -> bytes:
    """A square image, for `extra`; it has a thousandth of its pixels in bytes."""
    kind = b"/Type/XObject/Subtype/Image/ColorSpace/DeviceGray/BitsPerComponent 8"
    size = b"/Width %d/Height %d/Filter/FlateDecode" % (side, side)
    return stream(zlib.compress(bytes(side * side), 9), kind + size)


def nested_forms(depth: int, each: int) -> bytes:
    """A page of a form that shows `each` forms, and so on: `each ** depth` things to draw."""
    forms = []
    for number in range(6, 6 + depth):
        inner = b"/Resources<</XObject<</F %d 0 R>>>>" % (number + 1)
        forms.append(
            stream(b"/F Do " * each, b"/Type/XObject/Subtype/Form/BBox[0 0 100 50]" + inner)
        )
    square = stream(b"0 0 1 1 re f", b"/Type/XObject/Subtype/Form/BBox[0 0 100 50]")
    shown = page(content=5, more=b"/Resources<</XObject<</F 6 0 R>>>>")
    return pdf(shown, page(), extra=[stream(b"/F Do"), *forms, square])


def _file(objects: Sequence[bytes], trailer: bytes) -> bytes:
    out, places = b"%PDF-1.7\n", []
    for number, written in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, written)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    count = len(objects) + 1
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R%b>>\n"
        % (
            count,
            table,
            count,
            trailer,
        )
        + b"startxref\n%d\n%%%%EOF\n" % len(out)
    )
