"""The image in a letter, in each way in which it can be sent."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.support.messages import FAILURE
from worker.contract.dead_letters import dead_letter_message
from worker.contract.records import Headers, Record
from worker.dead_letters.image import image_of, save_image
from worker.errors import WorkerError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
TEXT = base64.b64encode(PNG).decode()


def letter(value: bytes | None, headers: Headers = ()) -> Record:
    record = Record("jobs", 0, 1, 0, None, value, headers)
    return Record("dead", 0, 0, 0, None, value, dead_letter_message(record, None, FAILURE).headers)


@pytest.mark.parametrize(
    "record",
    [
        letter(PNG, [("content-type", b"image/png")]),
        letter(json.dumps({"image": TEXT}).encode()),
        letter(json.dumps({"image": f"data:image/png;base64,{TEXT}"}).encode()),
    ],
)
def test_the_bytes_are_those_that_were_sent(record: Record) -> None:
    assert image_of(record) == PNG


def test_a_url_is_named_without_its_secrets() -> None:
    url = "https://user:pass@example.org/cat.jpg?signature=s3cret"
    with pytest.raises(WorkerError, match=r"example.org/cat.jpg\?\[redacted\]") as raised:
        image_of(letter(json.dumps({"image": url}).encode()))
    assert "s3cret" not in str(raised.value)
    assert "pass" not in str(raised.value)


@pytest.mark.parametrize("record", [letter(None), letter(b"{")])
def test_what_has_no_image_says_so(record: Record) -> None:
    with pytest.raises(WorkerError, match="no image"):
        image_of(record)


def test_a_file_gets_its_suffix_and_is_never_replaced(tmp_path: Path) -> None:
    assert save_image(PNG, tmp_path / "cat", "x") == tmp_path / "cat.png"
    assert save_image(PNG, tmp_path / "cat.data", "x") == tmp_path / "cat.data"
    assert save_image(b"text", tmp_path, "dead-0-1") == tmp_path / "dead-0-1.bin"
    assert save_image(PNG, tmp_path / "new" / "cat", "x").read_bytes() == PNG
    with pytest.raises(WorkerError, match=r"cat.png exists"):
        save_image(PNG, tmp_path / "cat", "x")
