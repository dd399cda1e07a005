"""What jobs are answered: each kind of bad one, and good ones in every form."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import zlib
from dataclasses import dataclass

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic, Worker
from tests.support.images import job, noise_jpeg
from tests.support.loopback import ImageServer
from tests.support.workers import MakeWorker

JPEG = noise_jpeg(0)
LIMIT = 100_000
"""`decode.max_bytes` and `fetch.max_bytes` of these tests' worker."""


def huge_png() -> bytes:
    """A PNG of few bytes whose header promises 60000 x 60000 pixels."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
    )


@dataclass(frozen=True, slots=True)
class Case:
    """A bad record, and how it must be answered."""

    name: str
    value: bytes | None
    code: int
    reason: str
    stage: str
    says: str
    headers: tuple[tuple[str, bytes], ...] = ()
    attempts: int = 1


RAW = (("content-type", b"image/jpeg"),)

CASES = [
    Case("null", None, 400, "null_value", "parse", "null value"),
    Case("empty", b"", 400, "empty_value", "parse", "empty value"),
    Case("not-utf8", b"\xff\xfe{}", 400, "not_utf8", "parse", "not UTF-8 (byte 0)"),
    Case("not-json", b'{"image": ', 400, "not_json", "parse", "not JSON"),
    Case("array", b"[1]", 400, "not_object", "parse", "an array"),
    Case("no-image", b'{"topk": 1}', 422, "missing_field", "parse", "'image' is missing"),
    Case("image-null", b'{"image": null}', 422, "missing_field", "parse", "'image' is null"),
    Case("image-number", b'{"image": 7}', 422, "wrong_field", "parse", "'image' must be a string"),
    Case("topk-zero", job(JPEG, topk=0), 422, "wrong_field", "parse", "'topk' must be a whole"),
    Case(
        "params", job(JPEG, inferenceParams=[]), 422, "wrong_field", "parse", "'inferenceParams'"
    ),
    Case("visualize", job(JPEG, visualize="no"), 422, "wrong_field", "parse", "'visualize'"),
    Case("deadline", job(JPEG, deadlineMs="soon"), 422, "wrong_field", "parse", "'deadlineMs'"),
    Case(
        "content-type", JPEG, 415, "content_type", "parse", "'video/mp4' is not accepted",
        (("content-type", b"video/mp4"),),
    ),
    Case("base64", job("aGk*"), 400, "bad_base64", "fetch", "3"),
    Case("url-scheme", job("ftp://example.com/x"), 400, "bad_url", "fetch", "'ftp'"),
    Case("private", job("http://10.0.0.1/x"), 403, "forbidden_url", "fetch", "ALLOW_NETWORKS"),
    Case("absent", job("URL/absent.jpg"), 404, "not_found", "fetch", "404"),
    Case("long-url", job("URL/large.jpg"), 413, "too_large", "fetch", str(LIMIT)),
    Case("text", b"hello, this is no picture", 415, "not_an_image", "decode", "", RAW),
    Case("truncated", JPEG[: len(JPEG) // 2], 422, "corrupt_image", "decode", "", RAW),
    Case("large", JPEG + bytes(LIMIT), 413, "too_large", "fetch", str(LIMIT), RAW),
    Case("pixels", huge_png(), 413, "too_many_pixels", "decode", "60000", RAW),
    Case("late", job(JPEG, deadlineMs=1), 504, "deadline_exceeded", "infer", "deadlineMs"),
    Case(
        "broken-server", job("http://127.0.0.1:9/x"), 502, "fetch_failed", "fetch", "", attempts=2
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def shared_names() -> Names:
    return Names.new()


@pytest.fixture(scope="module")
def worker(broker: KafkaBroker, make_worker: MakeWorker, shared_names: Names) -> Worker:
    """One worker for all cases, which must survive them all."""
    return make_worker(
        broker.bootstrap_servers,
        shared_names,
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_KAFKA__TOPICS__PARTITIONS="1",
        WORKER_FETCH__ALLOW_NETWORKS="127.0.0.1/32",
        WORKER_FETCH__MAX_BYTES=str(LIMIT),
        WORKER_FETCH__ATTEMPTS="2",
        WORKER_FETCH__BACKOFF_INITIAL="0.01",
        WORKER_DECODE__MAX_BYTES=str(LIMIT),
    ).start()


async def test_each_kind_of_bad_input_has_its_answer_and_its_dead_letter(
    broker: KafkaBroker, worker: Worker, shared_names: Names
) -> None:
    await asyncio.to_thread(worker.wait_until_ready)
    async with (
        Traffic(broker.bootstrap_servers, shared_names) as traffic,
        ImageServer({"/large.jpg": bytes(LIMIT + 1)}) as server,
    ):
        sent: dict[str, Case] = {}
        for case in CASES:
            value = case.value and case.value.replace(b"URL", server.url("").encode())
            record_id = await traffic.send(
                value, case.name.encode(), (*case.headers, ("trace-me", case.name.encode()))
            )
            sent[record_id] = Case(
                case.name, value, case.code, case.reason, case.stage, case.says, case.headers,
                case.attempts,
            )  # fmt: skip
        good = await traffic.send(job(JPEG, jobId="good"))
        results = await traffic.results([*sent, good])
        letters = await traffic.letters(sent)
        assert results[good][0].body["errorCode"] == 0
        assert (await traffic.all_letters()).keys() == sent.keys(), "the good job has none"
    for number, (record_id, case) in enumerate(sent.items()):
        (result,), (letter,) = results[record_id], letters[record_id]
        body = result.body
        assert (body["errorCode"], "result" in body) == (case.code, False), (case.name, body)
        assert case.says in body["errorMsg"], (case.name, body["errorMsg"])
        assert "\n" not in body["errorMsg"]
        assert result.key == letter.key == case.name.encode()
        assert result.header("trace-me") == letter.header("trace-me") == case.name
        assert letter.value == case.value, case.name
        for name, value in case.headers:
            assert letter.header(name) == value.decode()
        told = {
            name: letter.header(f"dead-letter-{name}")
            for name in (
                "source-topic", "source-partition", "source-offset", "stage", "reason", "code",
                "attempts", "message",
            )
        }  # fmt: skip
        assert told == {
            "source-topic": shared_names.jobs,
            "source-partition": "0",
            "source-offset": str(number),
            "stage": case.stage,
            "reason": case.reason,
            "code": str(case.code),
            "attempts": str(case.attempts),
            "message": body["errorMsg"],
        }, case.name


async def test_a_truncated_image_after_a_good_one_leaves_no_trace_of_either(
    broker: KafkaBroker, worker: Worker, shared_names: Names
) -> None:
    """OpenCV 4.10 blended an earlier image's pixels into a corrupt one."""
    await asyncio.to_thread(worker.wait_until_ready)
    first, second = noise_jpeg(1, 640, 480), noise_jpeg(2, 640, 480)
    truncated = second[: len(second) * 2 // 3]
    async with Traffic(broker.bootstrap_servers, shared_names) as traffic:
        answers = []
        for data in (first, truncated, second, truncated, first, second):
            record_id = await traffic.send(data, headers=RAW)
            answers.append((await traffic.result(record_id)).body)
    assert [answer["errorCode"] for answer in answers] == [0, 422, 0, 422, 0, 0]
    one, _, two, _, one_again, two_again = (answer.get("result") for answer in answers)
    assert one == one_again
    assert two == two_again
    assert one != two


async def test_every_way_in(broker: KafkaBroker, worker: Worker, shared_names: Names) -> None:
    await asyncio.to_thread(worker.wait_until_ready)
    encoded = base64.b64encode(JPEG).decode()
    async with (
        Traffic(broker.bootstrap_servers, shared_names) as traffic,
        ImageServer({"/photo": JPEG}) as server,
    ):
        correlation = ("correlation-id", b"c-1")
        sent = {
            "json": await traffic.send(job(JPEG, jobId="json"), b"key", [correlation]),
            "lines": await traffic.send(job(base64.encodebytes(JPEG).decode(), jobId="lines")),
            "url-safe": await traffic.send(
                job(base64.urlsafe_b64encode(JPEG).decode().rstrip("="), jobId="url-safe")
            ),
            "data": await traffic.send(job(f"data:image/jpeg;base64,{encoded}", jobId="data")),
            "url": await traffic.send(job(server.url("/photo"), jobId="url")),
            "raw": await traffic.send(
                JPEG,
                b"\x00\xff",
                [
                    ("Content-Type", b"image/jpeg"),
                    ("job-id", b"raw"),
                    ("top-k", b"2"),
                    ("visualize", b"false"),
                    ("traceparent", b"00-1-2-01"),
                ],
            ),
            "cloud": await traffic.send(
                JPEG,
                None,
                [
                    ("ce_specversion", b"1.0"),
                    ("ce_id", b"cloud"),
                    ("ce_type", b"image"),
                    ("ce_source", b"/camera"),
                    ("content-type", b"image/jpeg"),
                ],
            ),
        }
        found = await traffic.results(sent.values())
    answers = {name: found[record_id][0] for name, record_id in sent.items()}
    bodies = {name: answer.body for name, answer in answers.items()}
    assert {name: body["errorCode"] for name, body in bodies.items()} == dict.fromkeys(sent, 0)
    assert {body["jobId"] for body in bodies.values()} == set(sent)
    best = bodies["json"]["result"]["categories"]
    for name, body in bodies.items():
        expected = best[:2] if name == "raw" else best
        assert body["result"]["categories"] == expected, name
        assert ("image" in body["result"]) == (name != "raw"), name
    picture = base64.b64decode(bodies["json"]["result"]["image"])
    assert picture.startswith(b"\xff\xd8\xff")
    assert (answers["json"].key, answers["raw"].key) == (b"key", b"\x00\xff")
    assert answers["json"].header("correlation-id") == "c-1"
    assert answers["raw"].header("traceparent") == "00-1-2-01"
    for answer in answers.values():
        assert answer.header("content-type") == "application/json"
        assert not [name for name, _ in answer.headers if name.startswith("ce_")]
        assert answer.header("source-topic") == shared_names.jobs
        assert answer.body["id"] == answer.header("result-id")


async def test_options_of_a_job(broker: KafkaBroker, worker: Worker, shared_names: Names) -> None:
    await asyncio.to_thread(worker.wait_until_ready)
    async with Traffic(broker.bootstrap_servers, shared_names) as traffic:
        plain = await traffic.send(job(JPEG, inferenceParams={"topK": 3}, visualize=False))
        many = await traffic.send(job(JPEG, topk=100_000, visualize=False))
        in_time = await traffic.send(job(JPEG, deadlineMs=4_102_444_800_000))
        found = await traffic.results([plain, many, in_time])
    result = found[plain][0].body["result"]
    assert len(result["categories"]) == 3
    assert "image" not in result
    scores = [category["score"] for category in found[many][0].body["result"]["categories"]]
    assert len(scores) == 1000, "all that the model knows"
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1, abs=0.01)
    assert found[plain][0].body["jobId"] == plain, "the record's id names a job without a name"
    assert found[in_time][0].body["errorCode"] == 0
    assert json.loads(found[plain][0].value or b"") == found[plain][0].body
