"""A broker that asks for a name and a password."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tests.integration.conftest import MakeWorker
from tests.integration.harness import Names, Traffic
from tests.integration.images import job, noise_jpeg
from worker.demo.broker import KafkaBroker

SASL = {
    "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_PLAINTEXT",
    "sasl.enabled.mechanisms": "PLAIN",
    "inter.broker.listener.name": "PLAINTEXT",
    "sasl.mechanism.inter.broker.protocol": "PLAIN",
    "listener.name.plaintext.plain.sasl.jaas.config": (
        "org.apache.kafka.common.security.plain.PlainLoginModule required "
        'username="broker" password="b" user_broker="b" user_worker="secret";'
    ),
}


async def test_the_worker_signs_in_or_says_that_it_may_not(
    make_broker: Callable[..., KafkaBroker], make_worker: MakeWorker, names: Names
) -> None:
    broker = make_broker(properties=SASL)
    await asyncio.to_thread(broker.start)
    worker = make_worker(
        broker.bootstrap_servers,
        names,
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_KAFKA__SECURITY_PROTOCOL="SASL_PLAINTEXT",
        WORKER_KAFKA__SASL__USERNAME="worker",
    )
    worker.start(WORKER_KAFKA__SASL__PASSWORD="wrong-one")
    assert await asyncio.to_thread(worker.wait) == 3
    assert "SASL_PLAINTEXT" in worker.tail()
    assert "wrong-one" not in worker.tail()
    worker.start(WORKER_KAFKA__SASL__PASSWORD="secret")
    await asyncio.to_thread(worker.wait_until_ready)
    async with Traffic(
        broker.bootstrap_servers,
        names,
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        sasl_plain_username="worker",
        sasl_plain_password="secret",
    ) as traffic:
        answer = await traffic.result(await traffic.send(job(noise_jpeg(0))))
        assert answer.body["errorCode"] == 0
