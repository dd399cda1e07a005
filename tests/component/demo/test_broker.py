from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from demo.broker import KafkaBroker
from demo.errors import BrokerError
from demo.ports import free_ports

MakeBroker = Callable[..., KafkaBroker]


async def create_topic(broker: KafkaBroker, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def write(broker: KafkaBroker, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=broker.bootstrap_servers, max_request_size=8 << 20
    ) as producer:
        await producer.send_and_wait(topic, value)


async def read_first(broker: KafkaBroker, topic: str) -> bytes | None:
    async with AIOKafkaConsumer(bootstrap_servers=broker.bootstrap_servers) as consumer:
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        await consumer.seek_to_beginning(partition)
        async with asyncio.timeout(20):
            record = await consumer.getone()
        value: bytes | None = record.value
        return value


async def test_serves_records_of_several_mebibytes(broker: KafkaBroker) -> None:
    value = b"x" * (5 << 20)
    await create_topic(broker, "demo-large")

    await write(broker, "demo-large", value)

    assert await read_first(broker, "demo-large") == value


async def test_a_killed_broker_comes_back_with_its_data(make_broker: MakeBroker) -> None:
    broker = make_broker()
    await asyncio.to_thread(broker.start)
    await create_topic(broker, "kept")
    await write(broker, "kept", b"before")
    address, pid = broker.bootstrap_servers, broker.pid

    broker.kill()
    assert not broker.running
    await asyncio.to_thread(broker.restart)

    assert broker.bootstrap_servers == address
    assert broker.pid != pid
    assert await read_first(broker, "kept") == b"before"


def test_a_paused_broker_still_stops(make_broker: MakeBroker) -> None:
    broker = make_broker()
    broker.start()
    process = psutil.Process(broker.pid)

    broker.pause()
    assert process.status() == psutil.STATUS_STOPPED
    broker.stop(timeout=20)

    assert not process.is_running()
    broker.stop()


def test_what_needs_a_running_broker_says_so(make_broker: MakeBroker) -> None:
    broker = make_broker()

    for action in (broker.pause, broker.resume, lambda: broker.pid):
        with pytest.raises(BrokerError, match="is not running"):
            action()
    broker.kill()


def test_a_failed_start_shows_the_end_of_the_log(make_broker: MakeBroker) -> None:
    broker = make_broker()
    host, port = broker.bootstrap_servers.split(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(BrokerError, match="Address already in use"),
    ):
        broker.start()

    assert not broker.running


def test_a_bad_configuration_shows_kafkas_own_message(make_broker: MakeBroker) -> None:
    broker = make_broker(properties={"num.partitions": "none"})

    with pytest.raises(BrokerError, match=r"(?s)could not format .*num\.partitions"):
        broker.start()


def test_the_broker_dies_with_its_owner(kafka_jars: list[Path], tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from demo.broker import KafkaBroker\n"
        "broker = KafkaBroker(Path(sys.argv[1]), [Path(jar) for jar in sys.argv[2:]])\n"
        "broker.start(); print(broker.pid, flush=True); input()"
    )
    jars = [str(jar) for jar in kafka_jars]
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), *jars],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as owner:
        assert owner.stdout is not None
        broker = psutil.Process(int(owner.stdout.readline()))
        owner.kill()

    broker.wait(10)


def test_ports_are_distinct_and_below_the_ephemeral_range() -> None:
    ports = free_ports(5)

    assert len(set(ports)) == 5
    assert max(ports) < 32_768
