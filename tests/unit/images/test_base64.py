from __future__ import annotations

import base64
import time
from contextlib import suppress

import pytest

from worker.errors import JobError, Reason
from worker.images.base64 import MAX_PERCENT_ENCODED, decode_image_text

RAW = bytes(range(256)) * 3 + b"\xfb\xff\xfe"  # uses + and /, - and _
PADDED_ONCE, PADDED_TWICE = RAW + b"ab", RAW + b"a"
MOST = 10_000


def standard(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode()


def wrapped(data: bytes) -> str:
    """As `base64 FILE` prints it: lines of 76 characters, each with a line break."""
    return base64.encodebytes(data).decode()


def percent(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("latin-1"))


@pytest.mark.parametrize("data", [RAW, PADDED_ONCE, PADDED_TWICE, b"a"])
@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(standard, id="standard"),
        pytest.param(url_safe, id="url-safe"),
        pytest.param(lambda data: standard(data).rstrip("="), id="unpadded"),
        pytest.param(lambda data: url_safe(data).rstrip("="), id="url-safe unpadded"),
        pytest.param(lambda data: standard(data).replace("==", "="), id="half the padding"),
        pytest.param(wrapped, id="LF"),
        pytest.param(lambda data: wrapped(data).replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda data: f" \t\r\n{standard(data)}\n \u00a0", id="white space around"),
        pytest.param(lambda data: f"data:image/png;base64,{standard(data)}", id="data URI"),
        pytest.param(lambda data: f"data:;base64,{url_safe(data)}", id="data URI without a type"),
        pytest.param(
            lambda data: f"DATA:Image/JPEG;charset=x;name=a.jpg;BASE64,{standard(data)}",
            id="parameters and capitals",
        ),
        pytest.param(
            lambda data: f"data:image/png;base64, \n{wrapped(data)}", id="wrapped data URI"
        ),
        pytest.param(
            lambda data: (
                "data:image/png;base64,"
                + standard(data).replace("+", "%2B").replace("/", "%2f").replace("=", "%3D")
            ),
            id="escaped data URI",
        ),
        pytest.param(
            lambda data: "data:image/png," + percent(data.decode("latin-1")), id="percent-encoded"
        ),
    ],
)
def test_every_shape_that_people_send(encode: object, data: bytes) -> None:
    assert decode_image_text(encode(data), MOST) == data  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "position", "character"),
    [
        ("aGVs bG8=", 4, "' '"),
        ("aGVs\tbG8=", 4, r"'\t'"),
        ("aGVs\rbG8=", 4, r"'\r'"),
        ("aGVsbG8=!", 7, "'='"),
        ("aGVs!bG8=", 4, "'!'"),
        ("  aGVs*G8=", 6, "'*'"),
        ("aGVs\u00e9", 4, "'é'"),
        ("\ud800aGVs", 0, r"'\ud800'"),
        ("aGVs\x00bG8", 4, r"'\x00'"),
        ("YQ==YQ==", 2, "'='"),
        ("YQ=a", 2, "'='"),
        ("YWI===", 3, "'='"),
        ("====", 0, "'='"),
        ("data:image/png;base64,aGVs!bG8=", 26, "'!'"),
        ("data:image/png;base64,aGVs%2BbG8*", 32, "'*'"),
        ("data:image/png;base64,aGVs%zz", 26, "'%'"),
        ("aGVs%2B", 4, "'%'"),
        ("data:image/png,ab c", 17, "' '"),
        ("data:image/png,ab%4", 17, "'%'"),
        ("data:image/png,ab%zz", 17, "'%'"),
        ("data:image/png,abé", 17, "'é'"),
    ],
)
def test_the_first_bad_character_is_named_with_its_position(
    text: str, position: int, character: str
) -> None:
    with pytest.raises(JobError) as caught:
        decode_image_text(text, MOST)
    assert caught.value.reason is Reason.BAD_BASE64
    assert f"{character} at position {position} " in caught.value.message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("aGVsb", "ends in the middle of a group at position 5"),
        ("aGVs\nb\n", "ends in the middle of a group at position 6"),
        ("data:image/png;base64", "no comma"),
        ("data:" + "x" * 5000 + ",aGVs", "no comma"),
        ("data:image/png;base64,", "decodes to nothing"),
        ("data:,", "decodes to nothing"),
        ("", "decodes to nothing"),
        (" \n", "decodes to nothing"),
        ("a b", r"'\+' turned into a space"),
    ],
)
def test_other_faults_say_what_is_wrong(text: str, says: str) -> None:
    with pytest.raises(JobError, match=says) as caught:
        decode_image_text(text, MOST)
    assert caught.value.reason is Reason.BAD_BASE64


@pytest.mark.parametrize("encode", [standard, wrapped, url_safe])
def test_the_limit_counts_decoded_bytes(encode: object) -> None:
    exact = b"x" * MOST
    assert decode_image_text(encode(exact), MOST) == exact  # type: ignore[operator]
    with pytest.raises(JobError) as caught:
        decode_image_text(encode(exact + b"x"), MOST)  # type: ignore[operator]
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "text",
    [
        "!" * 20_000,  # not even Base64: the length alone decides
        "data:image/png;base64," + "!" * 20_000,
        "data:image/png," + "%41" * (MOST + 1),
    ],
)
def test_too_long_a_text_is_refused_unread(text: str) -> None:
    with pytest.raises(JobError) as caught:
        decode_image_text(text, MOST)
    assert caught.value.reason is Reason.TOO_LARGE


def test_percent_encoding_is_for_small_images() -> None:
    with pytest.raises(JobError, match="send Base64") as caught:
        decode_image_text("data:," + "a" * (MAX_PERCENT_ENCODED + 1), 2**30)
    assert caught.value.reason is Reason.TOO_LARGE


@pytest.mark.parametrize(
    "text",
    ["=" * 27_000_000, "=\n" * 13_000_000, "data:;base64," + "%2B" * 9_000_000, "\n" * 27_000_000],
    ids=["padding", "padding and breaks", "escapes", "breaks"],
)
def test_hostile_texts_take_linear_time(text: str) -> None:
    began = time.process_time()
    with suppress(JobError):
        decode_image_text(text, 20 * 2**20)
    # A quadratic scan of 27 MB takes hours; the bound leaves room for a slow, busy machine.
    assert time.process_time() - began < 10


def test_messages_do_not_quote_the_image() -> None:
    with pytest.raises(JobError) as caught:
        decode_image_text(standard(RAW) * 3 + "!", MOST)
    assert len(caught.value.message) < 200
