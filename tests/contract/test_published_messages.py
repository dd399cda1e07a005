"""What the worker publishes is what the schemas promise, down to the byte.

The golden messages are kept as JSON documents; a header or value here is UTF-8 text there.
"""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.support.schemas import golden, headers_validator, schema, validator
from worker import __version__
from worker.contract.dead_letters import dead_letter_message, without_value
from worker.contract.headers import RETRY_HEADERS
from worker.contract.jobs import Category, ModelIdentity, Outcome, Success
from worker.contract.parsing import parse_job, recover_job_id
from worker.contract.records import Message, Record
from worker.contract.results import result_message, without_picture
from worker.contract.retries import retry_message
from worker.errors import TRANSIENT_REASONS, Failure, JobError, Reason, Stage

MODEL = ModelIdentity(
    "PP-LCNet_x1_0",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "paddle+onednn",
)
SUCCESS = Success((Category(5, "Rabbit", 0.93), Category(285, "Ägyptische Mau", 0.04)))
DRAWN = replace(SUCCESS, picture=b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00")
TIMEOUT = Failure(
    Reason.FETCH_TIMEOUT,
    "the image did not arrive in time; serve it faster or send it as Base64",
    Stage.FETCH,
    attempts=4,
)
NAMED = Record(
    "image-jobs",
    3,
    42,
    1_795_486_969_572,
    b"rabbit",
    b'{"image": "https://example.org/rabbit.jpg", "jobId": "a-42"}',
    (
        ("content-type", b"application/json"),
        ("correlation-id", b"c-1"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("tenant", "käfig".encode()),
        ("ce_id", b"event-7"),
    ),
)
NAMELESS = Record("image-jobs", 0, 7, -1, None, b'{"image": "QUJD"}', ())
LISTED = Record("image-jobs", 0, 8, 0, None, b'["rabbit"]', (("job-id", b"b-1"),))
NOTHING = Record("image-jobs", 0, 9, 0, b"k", None, ())


# How a request body fails, not a record: the results topic never sees it.
HTTP_ONLY = {Reason.REQUEST_TIMEOUT}
REASONS = [reason for reason in Reason if reason not in HTTP_ONLY]


def parsed(record: Record) -> tuple[str | None, Failure | None]:
    try:
        return parse_job(record).job_id, None
    except JobError as error:
        return recover_job_id(record), error.as_failure()


def result(record: Record, outcome: Outcome | None = None) -> Message:
    job_id, failure = parsed(record)
    answer = failure or outcome
    assert answer is not None
    return result_message(record, job_id, answer, MODEL)


def dead_letter(record: Record, failure: Failure | None = None) -> Message:
    job_id, found = parsed(record)
    cause = found or failure
    assert cause is not None
    return dead_letter_message(record, job_id, cause)


def document(message: Message, payload: object) -> dict[str, Any]:
    return {
        "key": None if message.key is None else message.key.decode(),
        "headers": {name: value.decode() for name, value in message.headers},
        "payload": payload,
    }


RESULTS = {
    "result-with-picture": result(NAMED, DRAWN),
    "result-without-picture": result(NAMELESS, SUCCESS),
    "result-without-categories": result(NAMELESS, Success(())),
    "result-picture-omitted": without_picture(result(NAMED, DRAWN)),
    "result-failure": result(NAMED, TIMEOUT),
    "result-not-an-object": result(LISTED),
    "result-null-value": result(NOTHING),
}
DEAD_LETTERS = {
    "dead-letter-failure": dead_letter(NAMED, TIMEOUT),
    "dead-letter-not-an-object": dead_letter(LISTED),
    "dead-letter-null-value": dead_letter(NOTHING),
    "dead-letter-value-omitted": without_value(dead_letter(NAMED, TIMEOUT)),
}


RETRY = retry_message(NAMED, 1, 1_795_486_980_000, replace(TIMEOUT, transient=True))


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_golden_and_valid(name: str) -> None:
    message, expected = RESULTS[name], golden(name)
    assert message.value == orjson.dumps(expected["payload"])
    found = document(message, expected["payload"])
    assert list(found["headers"].items()) == list(expected["headers"].items())
    assert found == expected
    validator("result").validate(expected["payload"])
    headers_validator("result").validate(expected["headers"])


@pytest.mark.parametrize("name", DEAD_LETTERS)
def test_dead_letters_are_golden_and_valid(name: str) -> None:
    message, expected = DEAD_LETTERS[name], golden(name)
    expected["headers"]["dead-letter-worker-version"] = __version__
    found = document(message, None if message.value is None else message.value.decode())
    assert list(found["headers"].items()) == list(expected["headers"].items())
    assert found == expected
    validator("dead-letter").validate(expected)


def test_a_retry_is_golden_and_valid() -> None:
    expected = golden("retry")
    assert RETRY.value is not None
    found = document(RETRY, RETRY.value.decode())
    assert list(found["headers"].items()) == list(expected["headers"].items())
    assert found == expected
    validator("retry").validate(expected)


def test_retries_have_the_headers_and_reasons_of_their_schema() -> None:
    headers = schema("retry")["$defs"]["headers"]
    assert headers["required"] == list(headers["properties"]) == list(RETRY_HEADERS)
    reasons = headers["properties"]["job-retry-reason"]["enum"]
    assert reasons == [reason.label for reason in TRANSIENT_REASONS]


@pytest.mark.parametrize("name", schema("retry")["$defs"]["headers"]["required"])
def test_the_retry_schema_misses_each_header(name: str) -> None:
    headers = {k: v for k, v in golden("retry")["headers"].items() if k != name}
    assert not validator("retry").is_valid({**golden("retry"), "headers": headers})


def test_every_reason_and_stage_is_in_the_schemas() -> None:
    codes = schema("result")["properties"]["errorCode"]["enum"]
    assert sorted(codes) == sorted({0} | {reason.status for reason in REASONS})
    headers = schema("dead-letter")["$defs"]["headers"]["properties"]
    assert headers["dead-letter-reason"]["enum"] == [reason.label for reason in REASONS]
    assert headers["dead-letter-stage"]["enum"] == [stage.value for stage in Stage]


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.label)
def test_every_failure_makes_valid_messages(reason: Reason) -> None:
    failure = Failure(reason, "what to change " * 100, reason.stage)
    validator("result").validate(orjson.loads(result(NAMED, failure).value or b""))
    validator("dead-letter").validate(document(dead_letter(NAMED, failure), None))


@pytest.mark.parametrize("name", ["result", "dead-letter", "retry"])
def test_the_schemas_own_examples_are_valid(name: str) -> None:
    for example in schema(name)["examples"]:
        validator(name).validate(example)


SOUND = golden("result-with-picture")["payload"]


@pytest.mark.parametrize(
    "change",
    [
        {"id": "image-jobs"},
        {"jobId": ""},
        {"errorCode": 200},
        {"errorCode": 404},
        {"errorMsg": "fine"},
        {"result": None},
        {"result": {}},
        {"result": {"categories": [{}]}},
        {"result": {"categories": [{"id": 5, "name": "Rabbit", "score": 1.1}]}},
        {"result": {**SOUND["result"], "imageOmitted": True}},
        {"result": {"categories": SOUND["result"]["categories"], "imageOmitted": False}},
        {"model": {"name": "PP-LCNet_x1_0"}},
        {"model": {"name": "PP-LCNet_x1_0", "digest": "md5:0"}},
    ],
)
def test_the_result_schema_refuses_what_is_no_result(change: dict[str, object]) -> None:
    assert validator("result").is_valid(SOUND)
    assert not validator("result").is_valid({**SOUND, **change})


@pytest.mark.parametrize("name", ["id", "jobId", "errorCode", "errorMsg", "result", "model"])
def test_the_result_schema_misses_each_field(name: str) -> None:
    assert not validator("result").is_valid({k: v for k, v in SOUND.items() if k != name})


LETTER = golden("dead-letter-failure")


@pytest.mark.parametrize("name", schema("dead-letter")["$defs"]["headers"]["required"])
def test_the_dead_letter_schema_misses_each_header(name: str) -> None:
    assert validator("dead-letter").is_valid(LETTER)
    headers = {k: v for k, v in LETTER["headers"].items() if k != name}
    assert not validator("dead-letter").is_valid({**LETTER, "headers": headers})
