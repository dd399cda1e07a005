"""FastStream with a batch subscriber around the predictor of the plain consumer.

The batch is what one poll gives; offsets are committed when the subscriber has returned, which it
does when the brokers have acknowledged the results.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from pydantic import BaseModel, Field

from benchmarks.peers.programs.plain_consumer import BATCH, MIB, Classifier, parse


class Job(BaseModel):
    """What a job's record holds."""

    image: str
    jobId: str | None = None  # noqa: N815 - the field's name on the wire
    visualize: Annotated[bool, Field(strict=True)] = True


def main() -> None:
    """Answer jobs until the process ends."""
    options = parse()
    classifier = Classifier(options.model, options.threads)
    thread = ThreadPoolExecutor(1)
    broker = KafkaBroker(options.bootstrap, acks="all", max_request_size=8 * MIB)

    @broker.subscriber(  # type: ignore[untyped-decorator]
        options.jobs,
        batch=True,
        group_id=options.group,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.NACK_ON_ERROR,
        max_records=BATCH,
    )
    async def answer(jobs: list[Job]) -> None:
        loop = asyncio.get_running_loop()
        results: list[dict[str, Any]] = await loop.run_in_executor(
            thread, classifier.classify, [job.model_dump() for job in jobs]
        )
        await asyncio.gather(*(broker.publish(one, options.results) for one in results))

    asyncio.run(FastStream(broker).run())


if __name__ == "__main__":
    main()
