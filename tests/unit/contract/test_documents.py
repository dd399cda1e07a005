"""What reading a JSON document may cost, and that a bound changes nothing else."""

from __future__ import annotations

import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Callable

import orjson
import pytest

from worker.contract.documents import MAX_BESIDES, read_document, read_job_document
from worker.errors import JobError, Reason

MIB = 1 << 20
LONG = "QUJD" * MIB


def read(value: bytes) -> object:
    return read_document(value, "value", "send JSON in UTF-8")


def refused(value: bytes) -> tuple[Reason, str]:
    with pytest.raises(JobError) as caught:
        read(value)
    return caught.value.reason, str(caught.value)


def filled(length: int) -> str:
    """A member of `length` bytes beside the image."""
    return '"x":"' + "y" * (length - 6) + '"'


@pytest.mark.parametrize("data", [bytes, bytearray])
@pytest.mark.parametrize(
    "value",
    [
        '{"image":"%s"}',
        '{"image": "%s", "topk": 3, "visualize": false}',
        '{"jobId":"é","meta":{"a":[1,{}]},"image":"%s"}',
        ' \r\n{\n "image":\t"%s"\n}\n',
        '{"image":"QQ==","image":"%s"}',
        f'{{"image":"%s",{filled(MAX_BESIDES - 13)}}}',
        f'{{{filled(MAX_BESIDES - 13)},"image":"%s"}}',
    ],
)
def test_a_document_is_what_it_says(value: str, data: Callable[[bytes], bytes]) -> None:
    for text in (LONG, LONG.replace("QUJD", "Q/+D\\n")[: 4 * MIB]):
        document = (value.replace("%s", text)).encode()
        assert read(data(document)) == orjson.loads(document)


def test_padding_is_free() -> None:
    for document in (b'{"image":"QQ=="}', b'{"image":"%b"}' % LONG.encode()):
        padded = b" " * MIB + document + b"\r\n" * MIB
        assert read(padded) == orjson.loads(document)


@pytest.mark.parametrize(
    ("escaped", "text"),
    [("Q\\/", "Q/"), ("Q\\r\\n", "Q\r\n"), ("Q\\u002B\\u002f", "Q+/"), ("\\u00e9", "é")],
)
def test_escapes_in_a_long_text(escaped: str, text: str) -> None:
    assert read(b'{"image":"%b"}' % (escaped * MIB).encode()) == {"image": text * MIB}


@pytest.mark.parametrize(
    "value",
    [
        b"[" + b"{}," * MIB + b"{}]",
        b'{"image":"QQ==","x":[' + b"{}," * MIB + b"{}]}",
        b'{"image":"%b","x":[' % LONG.encode() + b"{}," * MIB + b"{}]}",
        b'{"x":[' + b"{}," * MIB + b'{}],"image":"%b"}' % LONG.encode(),
        b"[" + b'"",' * MIB + b'""]',
        # No quote for longer than that, between two that belong to different texts.
        b'{"x":[' + b"{}," * MIB + b'{}],"image":"QQ=="}',
        b'{"\xc3\xa9":"","x":[' + b"0," * MIB + b'0],"image":"QQ=="}',
        b'["x",' + b"[]," * MIB + b'"x"]',
        b'{"image"' + b" " * MIB + b':"QQ=="}',
        b'{"image":"QQ==","x":"%b"}' % LONG.encode(),
        b'{"image":"%b","image":"QQ=="}' % LONG.encode(),
        b'{"meta":{"image":"%b"}}' % LONG.encode(),
        f'{{"image":"{LONG}",{filled(MAX_BESIDES - 12)}}}'.encode(),
        b'{"image":"' + b'\\"' * MIB + b'"}',
    ],
)
def test_what_a_document_has_besides_its_image_is_bounded(value: bytes) -> None:
    reason, message = refused(value)
    assert reason is Reason.TOO_LARGE
    assert message == (
        "the value has more than 131072 bytes besides the text of its field 'image'; "
        "send the fields of a job and nothing else"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (b"[" * MIB, "depth limit exceeded"),
        (b'{"image":' * MIB, "depth limit exceeded"),
        (b"image=cat.jpg&" * MIB, "line 1 column 1 (char 0)"),
        (b'{"image":"%b"' % LONG.encode(), "unexpected end of data"),
        (b'{"image":"%b', "unexpected end of data"),
        (b'{"image":"%b",}' % LONG.encode(), f"char {len(LONG) + 11}"),
        (b'{"image":"%b\n%b"}' % (LONG.encode(), LONG.encode()), f"char {len(LONG) + 10}"),
    ],
)
def test_what_is_no_json_is_called_so_however_long_it_is(value: bytes, message: str) -> None:
    reason, said = refused(value)
    assert reason is Reason.NOT_JSON
    assert said.startswith("the value is not JSON: ")
    assert message in said


def test_what_is_no_text_is_called_so_however_long_it_is() -> None:
    jpeg = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 8192
    assert refused(jpeg) == (
        Reason.NOT_UTF8,
        "the value is not UTF-8 (byte 0); send JSON in UTF-8",
    )
    after = b'{"image":"%b","x":"\xff"}' % LONG.encode()
    assert refused(after)[1].startswith(f"the value is not UTF-8 (byte {len(LONG) + 17})")


@pytest.mark.parametrize("character", ["é", "\U0001f600", "\\ud83d\\ude00", "\\u4e2d"])
def test_one_character_does_not_quadruple_a_text(character: str) -> None:
    value = b'{"image":"%b%b"}' % (LONG.encode(), character.encode())
    tracemalloc.start()
    try:
        assert refused(value)[0] is Reason.BAD_BASE64
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * len(value)


@pytest.mark.parametrize("token", [b"{}", b'{"":0}', b'""', b"[]", b"1e9"])
def test_memory_does_not_grow_with_structure(token: bytes) -> None:
    value = b'{"image":"QQ==","x":[' + (token + b",") * (8 * MIB // len(token)) + b"0]}"
    tracemalloc.start()
    try:
        assert refused(value)[0] is Reason.TOO_LARGE
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Without bounds it is a hundred megabytes and more.
    assert peak < 16 * MIB


def test_of_a_short_document_anything_may_be_most() -> None:
    document = {"image": "QQ==", "x": [{}] * (MAX_BESIDES // 3), "jobId": "é" * 1000}
    value = orjson.dumps(document)
    assert MAX_BESIDES < len(value) <= 2 * MAX_BESIDES
    assert read(value) == document


PLAIN = b64encode(bytes(range(256)) * 40).decode()
"""As long as it must be to be decoded at once."""


def job_document(value: bytes) -> object:
    return read_job_document(value, "value", "send JSON in UTF-8")


@pytest.mark.parametrize(
    "value",
    [
        '{"image":"%s"}',
        ' {"jobId": "é\\"", "image" :\t"%s", "topk": 3, "inferenceParams": {"topK": 5}} ',
        '{"image":"QQ==","image":"%s","x":"image"}',
    ],
)
def test_plain_base64_is_decoded_at_once(value: str) -> None:
    document = value.replace("%s", PLAIN).encode()
    expected = orjson.loads(document)
    assert job_document(document) == {**expected, "image": b64decode(PLAIN)}


@pytest.mark.parametrize(
    "value",
    [
        '{"image":"%s","image":"QQ=="}',
        '{"image":"%s","x":"y","image":null}',
        '{"picture":"%s","image":"QQ=="}',
        '{"%s":"image"}',
        '{"job":{"image":"%s"}}',
        '["%s"]',
        '"%s"',
        '{"image":"data:image/jpeg;base64,%s"}',
        '{"image":"%s\\n"}',
        '{"image":"%s\\u002b%s"}',
        '{"image":"%s-_"}',
        '{"image":"%s="}',
        '{"image":"%sé"}',
        '{"image":["%s"]}',
        '{"x":"\\"%s","image":"QQ=="}',
        '{"image":"%s",' + filled(5000) + "}",
        "{" + filled(5000) + ',"image":"%s"}',
    ],
)
def test_all_else_is_read_as_any_document(value: str) -> None:
    document = value.replace("%s", PLAIN).encode()
    assert job_document(document) == read(document) == orjson.loads(document)


def test_without_memory_for_the_image_it_is_left_to_the_parser(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has an answer for that, while an error here would end the worker."""

    def decode(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("worker.contract.documents.pybase64.b64decode", decode)
    assert job_document(b'{"image":"%s"}' % PLAIN.encode()) == {"image": PLAIN}


def test_an_empty_image_stays_a_text() -> None:
    """Its refusal is another one than that of a file without bytes."""
    before, behind = '{"x":"%s","image":"', '","y":"%s"}'
    # The last quote of the first 4096 bytes opens its text, and the next byte closes it.
    before %= "x" * (4096 - len(before) + 2)
    behind %= "y" * (4096 - len(behind) + 2)
    assert job_document((before + behind).encode()) == orjson.loads(before + behind)


@pytest.mark.parametrize(
    "value",
    [
        b'{"image":"%s"',
        b'{"image":"%s}',
        b'{"image":%s"}',
        b'{"image":"%s"}}',
        b'{"image":"%s" "x":1}',
        b'{"image":"\n%s"}',
        b'{"image":"%s\0"}',
        b'{"image":"%s\\"}',
        b'{"image":"%s\\x"}',
        b'{"image":"%s","x":"\xff"}',
        b'{"image":"%s\xff"}',
        b"%s",
    ],
)
def test_what_is_wrong_is_refused_in_the_same_words(value: bytes) -> None:
    document = value.replace(b"%s", PLAIN.encode())
    with pytest.raises(JobError) as caught:
        job_document(document)
    assert (caught.value.reason, str(caught.value)) == refused(document)
