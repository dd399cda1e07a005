"""`multipart/form-data` as browsers and `curl -F` send it: one file, and options in fields."""

from __future__ import annotations

from dataclasses import dataclass

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from worker.errors import JobError, Reason

__all__ = ["Form", "read_form"]

MAX_PARTS = 32
"""Most parts of a form: one file, and far more fields than there are options."""

MAX_FIELD = 1024
"""Most bytes of a field that is not a file."""

UNKNOWN_TYPE = "application/octet-stream"
"""The media type of bytes of unknown type."""


@dataclass(frozen=True, slots=True)
class Form:
    """The content of a form.

    Attributes:
        file: the bytes of the file; its name and type are not kept.
        fields: name and text of each part that is not a file, in order.
    """

    file: bytes
    fields: tuple[tuple[str, str], ...]


def read_form(body: bytes | bytearray, content_type: str) -> Form:
    """Parse the form in `body`; `content_type` names the boundary of its parts.

    Returns:
        The form.

    Raises:
        JobError: the body is not such a form or ends too early, has too many or too long fields, or
            does not have exactly one file.
    """
    files: list[bytes] = []
    fields: list[tuple[str, str]] = []
    try:
        boundary = parse_options_header(content_type)[1].get("boundary", "")
        # File names are not used, so no byte in one may make the form fail: latin-1 decodes all.
        with PushMultipartParser(
            boundary, max_segment_count=MAX_PARTS, header_charset="latin-1", strict=True
        ) as parser:
            part = MultipartSegment([])
            data: list[bytes] = []
            for event in parser.parse(body):
                if isinstance(event, MultipartSegment):
                    part, data = event, []
                elif event is not None:
                    data.append(event)
                    if not _is_file(part) and part.bytes_received > MAX_FIELD:
                        raise _too_long(part)
                elif not _is_file(part):
                    fields.append((part.name or "", b"".join(data).decode("utf-8", "replace")))
                elif part.filename != "" or data:
                    # For a file field without a chosen file, browsers send an empty name and no
                    # data.
                    files.append(b"".join(data))
                    if len(files) > 1:
                        raise _not_one("has more than one file; send one request for each")
    except (MultipartError, UnicodeError) as error:
        raise JobError(
            Reason.UNREADABLE, f"the form cannot be read ({str(error)[:80]}); check its boundary"
        ) from error
    if not files:
        raise _not_one("has no file; send one as curl -F file=@cat.jpg does, with a file name")
    return Form(files[0], tuple(fields))


def _is_file(part: MultipartSegment) -> bool:
    """Whether a part has a file name, or the type of a file: some clients send no name."""
    kind = part.content_type or ""
    return part.filename is not None or kind.startswith("image/") or kind == UNKNOWN_TYPE


def _too_long(part: MultipartSegment) -> JobError:
    return JobError(
        Reason.TOO_LARGE,
        f"the form's field {(part.name or '')[:80]!r} has more than {MAX_FIELD} bytes; give a file "
        "a file name",
    )


def _not_one(why: str) -> JobError:
    return JobError(Reason.WRONG_FIELD, f"the form {why}")
