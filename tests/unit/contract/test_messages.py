"""What is published about a job, byte by byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import orjson
import pybase64
import pytest

from tests.support.paths import ROOT
from worker import __version__
from worker.contract.jobs import Category, ModelIdentity, Record, Success
from worker.contract.messages import (
    SECRET_HEADERS,
    Message,
    dead_letter_message,
    outcome_fields,
    result_message,
    without_picture,
    without_value,
)
from worker.errors import Failure, Reason, Stage

RECORD = Record(
    "image-jobs",
    3,
    42,
    1_795_486_969_572,
    b"\x00key",
    b'{"image": "QUJD"}',
    (
        ("Content-Type", b"application/json"),
        ("correlation-id", b"c-1"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-tenant", b"\xff\x00"),
        ("x-tenant", b"second"),
        ("certificate", b"ceremonial"),
        ("ce_id", b"event"),
        ("CE-type", b"t"),
        ("topK", b"5"),
        ("job-id", b"from-header"),
        ("source-topic", b"elsewhere"),
        ("Result_Id", b"forged"),
        ("dead-letter-reason", b"earlier"),
    ),
)
MODEL = ModelIdentity("PP-LCNet_x1_0", "sha256:ab", "paddle")
SUCCESS = Success((Category(5, "Rabbit", 0.93), Category(7, "Ünï", 0.04)), picture=b"\xff\xd8\xff")
FAILURE = Failure(Reason.NOT_FOUND, "the URL answers 404", Stage.FETCH, attempts=1)

SECRET = [
    # RFC 9110, RFC 6265, gateways and clouds.
    "authorization", "proxy-authorization", "x-forwarded-authorization", "authentication-info",
    "www-authenticate", "proxy-authenticate", "cookie", "cookie2", "set-cookie", "set-cookie2",
    "api-key", "apikey", "x-api-key", "x-api-token", "x-api-secret", "x-auth-key",
    "x-auth-token", "auth-token", "x-access-token", "access-token", "refresh-token",
    "x-refresh-token", "id-token", "x-id-token", "x-session-token", "x-session-id",
    "session-id", "x-csrf-token", "x-xsrf-token", "csrf-token", "token", "x-token", "secret",
    "x-secret", "client-secret", "x-client-secret", "password", "x-password", "credentials",
    "x-credentials", "bearer", "jwt", "x-jwt", "x-jwt-assertion", "dpop", "private-token",
    "job-token", "x-service-token", "x-user-token", "x-vault-token", "x-consul-token",
    "x-github-token", "x-gitlab-token", "x-shopify-access-token", "x-amz-security-token",
    "x-amzn-oidc-accesstoken", "x-amzn-oidc-data", "x-goog-api-key", "x-goog-iap-jwt-assertion",
    "x-goog-iam-authorization-token", "x-ms-authorization-auxiliary",
    "x-ms-token-aad-access-token", "x-ms-token-aad-id-token", "x-ms-token-aad-refresh-token",
    "x-functions-key", "ocp-apim-subscription-key", "x-forwarded-access-token",
    "cf-access-token", "cf-access-jwt-assertion", "cf-access-client-secret",
    # The same behind what a bridge from HTTP, or a program, puts before or after.
    "http-authorization", "http.authorization", "http.header.authorization",
    "x-original-authorization", "authorization ", "kafka:authorization", "http-cookie",
    "x-auth", "x-amz-credential", "db-password", "user.passwd", "x.api.key", "ssh-private-key",
    "x-aws-access-key",
]  # fmt: skip


def result(
    outcome: Success | Failure, *, job_id: str | None = "a-42", record: Record = RECORD
) -> Message:
    return result_message(record, job_id, outcome, MODEL)


def body(message: Message) -> dict[str, object]:
    assert message.value is not None
    decoded = orjson.loads(message.value)
    assert isinstance(decoded, dict)
    return decoded


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


def test_result_headers_copy_what_the_producer_may_need_and_nothing_that_would_lie() -> None:
    assert result(SUCCESS).headers == (
        ("content-type", b"application/json"),
        ("result-id", b"image-jobs-3-42"),
        ("source-topic", b"image-jobs"),
        ("source-partition", b"3"),
        ("source-offset", b"42"),
        ("source-timestamp", b"1795486969572"),
        ("correlation-id", b"c-1"),
        ("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-tenant", b"\xff\x00"),
        ("x-tenant", b"second"),
        ("certificate", b"ceremonial"),
    )


@pytest.mark.parametrize("name", SECRET)
@pytest.mark.parametrize(
    "spell",
    [str.lower, str.upper, str.title, lambda name: name.replace("-", "_").title()],
    ids=["lower", "upper", "title", "underscored"],
)
def test_no_result_holds_a_secret_header_and_its_dead_letter_holds_all(
    name: str, spell: Callable[[str], str]
) -> None:
    headers = ((spell(name), b"canary"), ("tracestate", b"kept"))
    record = replace(RECORD, headers=headers)
    for outcome in (SUCCESS, FAILURE):
        message = result(outcome, record=record)
        assert message.headers[6:] == (("tracestate", b"kept"),)
        assert b"canary" not in (message.value or b"")
    # Put back into the jobs topic it is the same job.
    assert dead_letter_message(record, None, FAILURE).headers[:2] == headers


def test_the_schema_lists_the_headers_that_are_never_copied() -> None:
    schema = orjson.loads((ROOT / "schemas/result.schema.json").read_bytes())
    listed = schema["$defs"]["headers"]["description"].partition("end in one of: ")[2]
    assert listed.rstrip(".").split(", ") == sorted(SECRET_HEADERS)


def test_copied_headers_are_bounded_in_size_and_number() -> None:
    many = tuple((f"h{i}", b"x") for i in range(100))
    record = replace(RECORD, headers=(("big", b"x" * 4094), ("fits", b"x" * 4092), *many))
    copied = [name for name, _ in result(SUCCESS, record=record).headers[6:]]
    assert copied == ["fits", *(f"h{i}" for i in range(63))]


def test_a_topic_that_is_made_anew_has_its_ids_again_with_other_timestamps() -> None:
    again = replace(RECORD, timestamp_ms=RECORD.timestamp_ms + 1)
    first, second = (dict(result(SUCCESS, record=r).headers) for r in (RECORD, again))
    assert first["result-id"] == second["result-id"]
    assert first["source-timestamp"] != second["source-timestamp"]


def test_the_same_delivery_again_gives_the_same_bytes() -> None:
    assert result(SUCCESS) == result(SUCCESS)


def test_a_job_without_a_name_goes_by_its_records_id() -> None:
    assert body(result(SUCCESS, job_id=None))["jobId"] == "image-jobs-3-42"
    letter = dead_letter_message(RECORD, None, FAILURE)
    assert dict(letter.headers)["dead-letter-job-id"] == b"image-jobs-3-42"


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
    letter = dead_letter_message(RECORD, "a-42", replace(FAILURE, message="é" * 5000))
    assert dict(letter.headers)["dead-letter-message"].decode() == "é" * 1023 + "…"


def test_dead_letter_is_the_record_and_why_it_failed() -> None:
    letter = dead_letter_message(RECORD, "a-42", replace(FAILURE, attempts=4))
    assert (letter.key, letter.value) == (RECORD.key, RECORD.value)
    originals = tuple(header for header in RECORD.headers if header[0] != "dead-letter-reason")
    assert letter.headers == (
        *originals,
        ("dead-letter-id", b"image-jobs-3-42"),
        ("dead-letter-job-id", b"a-42"),
        ("dead-letter-source-topic", b"image-jobs"),
        ("dead-letter-source-partition", b"3"),
        ("dead-letter-source-offset", b"42"),
        ("dead-letter-source-timestamp", b"1795486969572"),
        ("dead-letter-stage", b"fetch"),
        ("dead-letter-reason", b"not_found"),
        ("dead-letter-code", b"404"),
        ("dead-letter-message", b"the URL answers 404"),
        ("dead-letter-attempts", b"4"),
        ("dead-letter-worker-version", __version__.encode()),
    )


def test_dead_letter_of_nothing_stays_nothing() -> None:
    letter = dead_letter_message(replace(RECORD, key=None, value=None, headers=()), None, FAILURE)
    assert letter.key is None
    assert letter.value is None


def test_a_dead_letter_that_is_too_large_keeps_its_headers() -> None:
    letter = dead_letter_message(RECORD, "a-42", FAILURE)
    smaller = without_value(letter)
    assert (smaller.key, smaller.value) == (RECORD.key, None)
    assert smaller.headers == (*letter.headers, ("dead-letter-value-omitted", b"17"))


def test_size_counts_key_value_and_headers() -> None:
    assert Message(b"k", b"value", (("é", b"12"), ("n", None))).size == 1 + 5 + 4 + 1  # type: ignore[arg-type]
    assert Message(None, None, ()).size == 0
