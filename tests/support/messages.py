"""A record, outcomes, and the messages about them, for tests of the wire contract."""

from __future__ import annotations

import orjson

from worker.contract.jobs import Category, ModelIdentity, Success
from worker.contract.records import Message, Record
from worker.contract.results import result_message
from worker.errors import Failure, Reason, Stage

__all__ = ["FAILURE", "MODEL", "RECORD", "SUCCESS", "body", "result"]

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
SUCCESS = Success((Category(5, "Rabbit", 0.93), Category(7, "Ünï", 0.04)), picture=b"\xff\xd8\xff")
MODEL = ModelIdentity("PP-LCNet_x1_0", "sha256:ab", "paddle")
FAILURE = Failure(Reason.NOT_FOUND, "the URL answers 404", Stage.FETCH, attempts=1)


def result(
    outcome: Success | Failure, *, job_id: str | None = "a-42", record: Record = RECORD
) -> Message:
    return result_message(record, job_id, outcome, MODEL)


def body(message: Message) -> dict[str, object]:
    assert message.value is not None
    decoded = orjson.loads(message.value)
    assert isinstance(decoded, dict)
    return decoded
