"""A broker that is not there is named."""

from __future__ import annotations

import asyncio

import pytest

from worker.errors import KafkaSetupError
from worker.kafka.topics import ensure_topics
from worker.settings import KafkaSettings

BOUND = 30.0


async def test_no_broker_is_an_error_that_names_the_address(unused_port: int) -> None:
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{unused_port}")
    async with asyncio.timeout(BOUND):
        with pytest.raises(KafkaSetupError, match=rf"at 127\.0\.0\.1:{unused_port} \(PLAINTEXT\)"):
            await ensure_topics(kafka, [kafka.jobs_topic])
