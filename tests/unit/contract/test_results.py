"""Results, byte by byte, their smaller forms, and how they are read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pybase64
import pytest

from tests.support.messages import FAILURE, MODEL, RECORD, SUCCESS, body, result
from tests.support.paths import GOLDEN
from worker.contract.jobs import Category, ModelIdentity, Outcome, Success
from worker.contract.records import Headers, Message, Record
from worker.contract.results import (
    outcome_fields,
    read_result,
    result_message,
    result_source,
    without_copies,
    without_picture,
)
from worker.errors import Failure, Reason, Stage

SMALL = 8 * 1024
"""No sensible topic takes less."""

MANY: Headers = [("x" * 100 + str(number), b"y" * 4000) for number in range(64)]
LARGE = Record("jobs", 3, 42, 0, b"k" * 1_000_000, b"v" * 1_000_000, MANY)
JOB_ID = "j" * 512
FEW = Success(tuple(Category(n, "a label", 0.0) for n in range(5)), b"p" * 1_000_000)
LONG = Failure(Reason.NOT_FOUND, "m" * 5000, Stage.FETCH, 4)
GOOD = {
    "errorCode": 0,
    "errorMsg": "Success",
    "result": {"categories": [{"id": 5, "name": "Rabbit", "score": 0.93}]},
}


def test_result_of_a_success() -> None:
    message = result(SUCCESS)
    assert message.key == b"\x00key"
    assert (
        message.value
        == (
            '{"id":"image-jobs-3-42","jobId":"a-42","errorCode":0,"errorMsg":"Success",'
            '"result":{"categories":[{"id":5,"name":"Rabbit","score":0.93},'
            '{"id":7,"name":"Ünï","score":0.04}],"image":"/9j/"},'
            '"model":{"name":"PP-LCNet_x1_0","digest":"sha256:ab","backend":"paddle"}}'
        ).encode()
    )


def test_result_of_a_failure_has_no_result() -> None:
    assert body(result(FAILURE)) == {
        "id": "image-jobs-3-42",
        "jobId": "a-42",
        "errorCode": 404,
        "errorMsg": "the URL answers 404",
        "model": {"name": "PP-LCNet_x1_0", "digest": "sha256:ab", "backend": "paddle"},
    }


def test_a_topic_that_is_made_anew_has_its_ids_again_with_other_timestamps() -> None:
    again = replace(RECORD, timestamp_ms=RECORD.timestamp_ms + 1)
    first, second = (dict(result(SUCCESS, record=r).headers) for r in (RECORD, again))
    assert first["result-id"] == second["result-id"]
    assert first["source-timestamp"] != second["source-timestamp"]


def test_the_same_delivery_again_gives_the_same_bytes() -> None:
    assert result(SUCCESS) == result(SUCCESS)


def test_a_job_without_a_name_goes_by_its_records_id() -> None:
    assert body(result(SUCCESS, job_id=None))["jobId"] == "image-jobs-3-42"


def test_picture_is_the_jpeg_in_base64_and_absent_when_there_is_none() -> None:
    jpeg = bytes(range(256)) * 400
    fields = outcome_fields(replace(SUCCESS, picture=jpeg))
    assert isinstance(fields["result"], dict)
    assert pybase64.b64decode(fields["result"]["image"], validate=True) == jpeg
    assert outcome_fields(replace(SUCCESS, picture=None))["result"] == {
        "categories": [
            {"id": 5, "name": "Rabbit", "score": 0.93},
            {"id": 7, "name": "Ünï", "score": 0.04},
        ]
    }


def test_a_result_without_its_picture_says_so_and_keeps_the_rest() -> None:
    message = result(replace(SUCCESS, picture=b"jpeg" * 100))
    smaller = without_picture(message)
    expected = body(message)
    assert isinstance(expected["result"], dict)
    del expected["result"]["image"]
    expected["result"]["imageOmitted"] = True
    assert body(smaller) == expected
    assert (smaller.key, smaller.headers) == (message.key, message.headers)
    assert smaller.size < message.size


def test_a_result_that_has_no_picture_stays_as_it_is() -> None:
    for message in (result(FAILURE), result(replace(SUCCESS, picture=None))):
        assert without_picture(message) is message


def test_error_messages_are_bounded_and_always_text() -> None:
    fields = outcome_fields(replace(FAILURE, message="\ud800" + "é" * 5000))
    assert fields["errorMsg"] == "?" + "é" * 1022 + "…"


def test_a_result_without_room_keeps_its_categories_and_its_name() -> None:
    message = without_copies(without_picture(large_result(FEW)))
    assert message.size < SMALL
    body = orjson.loads(message.value or b"")
    assert (body["id"], body["jobId"]) == ("jobs-3-42", "j" * 512)
    assert (body["errorCode"], len(body["result"]["categories"])) == (0, 5)
    assert body["result"]["imageOmitted"] is True
    assert message.key is None
    assert dict(message.headers) == {
        "content-type": b"application/json",
        "result-id": b"jobs-3-42",
        "source-topic": b"jobs",
        "source-partition": b"3",
        "source-offset": b"42",
        "source-timestamp": b"0",
    }


def test_a_failure_that_has_no_room_stays_the_failure_that_it_is() -> None:
    whole = large_result(LONG)
    message = without_copies(whole)
    assert whole.size > 1_000_000
    assert message.size < SMALL
    assert message.value == whole.value


def large_result(outcome: Outcome) -> Message:
    return result_message(LARGE, JOB_ID, outcome, MODEL)


def message(**changes: Any) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_a_success() -> None:
    result = read_result(message())
    assert (result.code, result.picture) == (0, None)
    assert result.categories == (Category(5, "Rabbit", 0.93),)


def test_a_success_without_a_category() -> None:
    result = read_result(message(result={"categories": []}))
    assert (result.code, result.categories) == (0, ())


def test_a_picture() -> None:
    result = read_result(message(result={**GOOD["result"], "image": "/9j/4A=="}))  # type: ignore[dict-item]
    assert result.picture == b"\xff\xd8\xff\xe0"


def test_a_picture_that_was_left_out() -> None:
    result = read_result(message(result={**GOOD["result"], "imageOmitted": True}))  # type: ignore[dict-item]
    assert (result.picture, result.picture_omitted) == (None, True)
    assert not read_result(message()).picture_omitted


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"name": "m", "digest": "sha256:0", "backend": "paddle"}, True),
        ({"name": "m", "digest": "sha256:0"}, False),
        ({"name": "m", "digest": "sha256:0", "backend": 5}, False),
        (None, False),
        ("m", False),
    ],
)
def test_the_model_is_told_if_the_result_tells_it(model: object, expected: bool) -> None:
    found = read_result(message(model=model)).model
    assert found == (ModelIdentity("m", "sha256:0", "paddle") if expected else None)


def test_a_failure() -> None:
    result = read_result(b'{"errorCode": 404, "errorMsg": "there is no image at the URL"}')
    assert (result.code, result.message) == (404, "there is no image at the URL")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("result-*.json")), ids=lambda path: path.stem)
def test_golden_results(path: Path) -> None:
    golden = json.loads(path.read_text("utf-8"))["payload"]
    result = read_result(json.dumps(golden).encode())
    assert result.code == golden["errorCode"]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"\xff",
        b"[]",
        b"5",
        b"{}",
        message(errorCode="0"),
        message(errorCode=False),
        message(errorMsg=None),
        message(result=None),
        message(result={"categories": [{"id": 1}]}),
        message(result={"categories": 5}),
        message(result={**GOOD["result"], "image": "not Base64!"}),  # type: ignore[dict-item]
        message(result={**GOOD["result"], "image": 5}),  # type: ignore[dict-item]
    ],
)
def test_anything_else_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match="does not follow the schema"):
        read_result(value)


def test_a_result_says_which_job_it_belongs_to() -> None:
    message = result(SUCCESS)
    for sent, expected in (
        (message, ("c-1", "image-jobs-3-42")),
        (without_copies(message), (None, "image-jobs-3-42")),
        (Message(None, b"", (("correlation-id", b"\xff"),)), ("\ufffd", None)),
    ):
        assert result_source(Record("results", 0, 0, 0, None, b"", sent.headers)) == expected
