"""What no program can leave out, as lean as aiokafka allows: jobs read, results written.

Arguments BOOTSTRAP JOBS RESULTS GROUP WORK. WORK is a JSON object that says what is done in
between; see `bare_work.make_work`. Each job is parsed and its image read from Base64, or fetched;
see `bare_images`. Nothing is checked, bounded, measured or done again after an error. Each line on
standard input is answered with the longest delay of the event loop in the last seconds, in seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from functools import partial
from typing import Any, TextIO

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.bare_images import open_fetches, read_jobs
from benchmarks.bare_work import Work, make_work
from worker.bench.idle_loop_process import LAG
from worker.contract.jobs import ModelIdentity
from worker.contract.results import result_message
from worker.health import watch_event_loop
from worker.metrics import Metrics

MIB = 2**20
POLL = 32
"""Records at a time, as the worker reads them."""

MODEL = ModelIdentity("model", "sha256:0", "none")

COMMIT_INTERVAL = 1.0
"""Seconds, as the worker's `kafka.commit_interval`."""


async def transport(bootstrap: str, jobs: str, results: str, group: str, work: Work) -> None:
    """Answer all jobs, without end."""
    consumer = AIOKafkaConsumer(
        jobs,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * MIB,
        max_poll_records=POLL,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        acks="all",
        max_request_size=8 * MIB,
        max_batch_size=MIB,
    )
    committed = time.monotonic()
    poll = partial(consumer.getmany, timeout_ms=1000)
    async with consumer, producer, open_fetches() as fetches:
        async for jobs_read in read_jobs(poll, fetches):
            async for answers in work.answers(jobs_read):
                sent = []
                for record, outcome in answers:
                    message = result_message(record, None, outcome, MODEL)
                    sent.append(
                        await producer.send(
                            results, message.value, message.key, headers=list(message.headers)
                        )
                    )
                await asyncio.gather(*sent)
                if time.monotonic() - committed > COMMIT_INTERVAL:
                    last, _ = answers[-1]
                    partition = TopicPartition(last.topic, last.partition)
                    await consumer.commit({partition: last.offset + 1})
                    committed = time.monotonic()


async def _watched(program: Coroutine[Any, Any, None], metrics: Metrics) -> None:
    """Run the program, and beside it what notices delays, as in a worker."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(watch_event_loop(metrics))
        tasks.create_task(program)


def _answer_questions(metrics: Metrics, answers: TextIO) -> None:
    for _ in sys.stdin:
        print(metrics.registry.get_sample_value(LAG), file=answers, flush=True)


def main() -> None:
    """Read the arguments."""
    # Native libraries print to standard output while they load.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    *names, described = sys.argv[1:]
    bootstrap, jobs, results, group = names
    metrics = Metrics()
    threading.Thread(target=_answer_questions, args=(metrics, answers), daemon=True).start()
    with ExitStack() as stack:
        work = make_work(json.loads(described), stack)
        uvloop.run(_watched(transport(bootstrap, jobs, results, group, work), metrics))


if __name__ == "__main__":
    main()
