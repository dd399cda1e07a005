"""Traces over the wire: a worker, a real broker, and a collector that takes what it exports."""

from __future__ import annotations

import asyncio
import signal

from demo.broker import KafkaBroker
from tests.support.harness import Answer, Names, Traffic
from tests.support.http_client import classify
from tests.support.images import job, noise_jpeg
from tests.support.loopback import ImageServer
from tests.support.otlp import Collector, Exported
from tests.support.workers import PATIENT, MakeWorker

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{SPAN}-01"
SAMPLED = 1
CONTINUED = ("traceparent", TRACEPARENT.encode())
RAW = ("content-type", b"image/jpeg")
JPEG = noise_jpeg(0)


async def test_jobs_are_traced_from_their_producer_to_their_results(
    broker: KafkaBroker, make_worker: MakeWorker, traffic: Traffic, names: Names
) -> None:
    await traffic.create_topics()
    with Collector() as collector:
        worker = make_worker(
            broker.bootstrap_servers,
            names,
            **PATIENT,
            WORKER_TRACING__ENABLED="true",
            WORKER_HTTP__INFER="true",
            # Three jobs are one batch: the slot waits for the third one.
            WORKER_BATCHING__MAX_BATCH="3",
            WORKER_BATCHING__LINGER="10",
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint,
            OTEL_EXPORTER_OTLP_TIMEOUT="60",
            OTEL_BSP_SCHEDULE_DELAY="100",
        ).start()
        await asyncio.to_thread(worker.wait_until_ready)
        async with ImageServer({"/photo": JPEG}) as server:
            batch = [
                await traffic.send(job(server.url("/photo")), headers=[CONTINUED]),
                await traffic.send(JPEG, headers=[RAW, ("traceparent", b"\xff\x00 no trace")]),
                await traffic.send(JPEG, headers=[RAW]),
            ]
            answers = await traffic.results(batch)
        letter = await traffic.letter(await traffic.send(b"no image", headers=[RAW, CONTINUED]))
        request = {"Content-Type": "image/jpeg", "traceparent": TRACEPARENT}
        response = await asyncio.to_thread(classify, worker.port, b"no image", request)
        assert response.status == 415
        spans = await asyncio.to_thread(collector.wait_for, is_complete)

        check_jobs(spans, [answers[record_id][0] for record_id in batch], names)
        check_batch(spans)
        check_failures(spans, letter, names)

        # A collector that says nothing holds up neither jobs nor the end.
        collector.fall_silent()
        await traffic.result(await traffic.send(b"no image", headers=[RAW]))
        await asyncio.to_thread(collector.wait_until_asked)
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        assert worker.events("spans_lost")
        assert await traffic.committed() == {0: 5}


def check_jobs(spans: list[Exported], answers: list[Answer], names: Names) -> None:
    """The spans of three jobs: a URL with a traceparent, and two images without a valid one."""
    jobs = jobs_by_offset(spans)
    assert [jobs[offset].kind for offset in range(3)] == ["CONSUMER"] * 3
    assert jobs[0].name == f"process {names.jobs}"
    assert (jobs[0].trace_id, jobs[0].parent_id, jobs[0].links) == (TRACE, SPAN, [(TRACE, SPAN)])
    assert [(jobs[offset].parent_id, jobs[offset].links) for offset in (1, 2)] == [("", [])] * 2
    for offset, answer in enumerate(answers):
        children = {span.name: span for span in spans if span.parent_id == jobs[offset].span_id}
        send = children.pop(f"send {names.results}")
        fetched = {"fetch"} if offset == 0 else set()
        assert children.keys() == {"decode", "batch wait", "draw"} | fetched
        assert {span.kind for span in children.values()} == {"INTERNAL"}
        assert send.kind == "PRODUCER"
        (context,) = (value.decode() for name, value in answer.headers if name == "traceparent")
        *sending, flags = context.split("-")
        assert sending == ["00", send.trace_id, send.span_id]
        assert int(flags, 16) & SAMPLED


def check_batch(spans: list[Exported]) -> None:
    """The span of the batch of these jobs."""
    jobs = jobs_by_offset(spans)
    (batch,) = called(spans, "infer")
    assert batch.attributes["messaging.batch.message_count"] == 3
    assert batch.parent_id == ""
    assert batch.trace_id not in {job.trace_id for job in jobs.values()}
    linked = [(jobs[offset].trace_id, jobs[offset].span_id) for offset in range(3)]
    assert sorted(batch.links) == sorted(linked)
    waits = called(spans, "batch wait")
    assert [wait.links for wait in waits] == [[(batch.trace_id, batch.span_id)]] * 3
    assert all(wait.began <= wait.ended <= batch.ended for wait in waits)


def check_failures(spans: list[Exported], letter: Answer, names: Names) -> None:
    """The spans of a job and of a request that are no images."""
    failed = jobs_by_offset(spans)[3]
    assert failed.failed
    assert failed.attributes["error.type"] == "not_an_image"
    assert letter.header("traceparent") == TRACEPARENT, "a dead letter is the record as it came"
    (sent,) = called(spans, f"send {names.dead_letters}")
    assert (sent.kind, sent.links) == ("CLIENT", [(TRACE, SPAN)])
    (request,) = called(spans, "POST /image-classification")
    assert (request.kind, request.trace_id, request.parent_id) == ("SERVER", TRACE, SPAN)
    assert request.attributes["http.response.status_code"] == 415


def called(spans: list[Exported], name: str) -> list[Exported]:
    return [span for span in spans if span.name == name]


def jobs_by_offset(spans: list[Exported]) -> dict[int, Exported]:
    jobs = (span for span in spans if span.name.startswith("process "))
    return {span.attributes["messaging.kafka.offset"]: span for span in jobs}


def is_complete(spans: list[Exported]) -> bool:
    """Whether the last span of each job, of the batch and of the request is there."""
    ended = called(spans, "infer") and called(spans, "POST /image-classification")
    return bool(ended) and len(jobs_by_offset(spans)) == 4
