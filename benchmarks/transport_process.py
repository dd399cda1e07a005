"""The transport alone, as lean as aiokafka allows: jobs read, results of their size written.

Arguments BOOTSTRAP JOBS RESULTS GROUP PICTURE: the last is the size of results' pictures in bytes,
or 0. Each job is parsed and its image read from Base64; then the image is dropped. Nothing is
classified, bounded, measured or done again after an error.
"""

from __future__ import annotations

import asyncio
import sys

import orjson
import pybase64
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from worker.contract.headers import CONTENT_TYPE
from worker.contract.jobs import Category, ModelIdentity, Success
from worker.contract.records import Record
from worker.contract.results import result_message

MIB = 2**20
POLL = 32
"""Records at a time, as the worker reads them."""

CATEGORIES = tuple(Category(number, f"class {number}", 0.2) for number in range(5))
MODEL = ModelIdentity("model", "sha256:0", "none")


async def transport(bootstrap: str, jobs: str, results: str, group: str, outcome: Success) -> None:
    """Answer all jobs alike, without end."""
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
    async with consumer, producer:
        while True:
            polled = await consumer.getmany(timeout_ms=1000)
            sent = []
            for records in polled.values():
                for record in records:
                    message = result_message(_read(record), None, outcome, MODEL)
                    sent.append(
                        await producer.send(
                            results, message.value, message.key, headers=list(message.headers)
                        )
                    )
            await asyncio.gather(*sent)
            await consumer.commit()


def _read(record: ConsumerRecord) -> Record:
    if dict(record.headers).get(CONTENT_TYPE, b"").startswith(b"image/"):
        image = record.value
    else:
        image = pybase64.b64decode(orjson.loads(record.value)["image"], validate=True)
    assert image
    return Record(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )


def main() -> None:
    """Read the arguments."""
    bootstrap, jobs, results, group, picture = sys.argv[1:]
    outcome = Success(CATEGORIES, b"\xff" * int(picture) or None)
    uvloop.run(transport(bootstrap, jobs, results, group, outcome))


if __name__ == "__main__":
    main()
