"""aiokafka's options from the settings, TLS files that cannot be used, and ends within a bound."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from tests.support.paths import DATA
from worker.errors import KafkaSetupError
from worker.kafka.client import (
    make_admin,
    make_consumer,
    make_producer,
    make_transactional_producer,
    stop_bounded,
)
from worker.kafka.record_batches import RecordBatch
from worker.settings import KafkaSettings, PublishSettings, SaslSettings, Settings, TlsSettings

TLS = DATA / "tls"
BOUND = 10.0


class Client:
    """A client whose end is the test's."""

    def __init__(self, error: BaseException | None = None, seconds: float = 0.0) -> None:
        self.error = error
        self.seconds = seconds

    async def stop(self) -> None:
        await asyncio.sleep(self.seconds)
        if self.error is not None:
            raise self.error


async def test_a_client_that_stops_is_stopped() -> None:
    assert await stop_bounded(Client(), "client")


async def test_a_client_that_does_not_stop_is_left_behind() -> None:
    async with asyncio.timeout(BOUND):
        assert not await stop_bounded(Client(seconds=3600.0), "client", timeout=0.01)


async def test_what_a_client_died_of_does_not_stop_the_rest_from_stopping() -> None:
    assert not await stop_bounded(Client(KafkaError("coordination")), "client")


async def test_what_a_client_cancelled_itself_does_not_pass_for_a_cancelled_worker() -> None:
    assert not await stop_bounded(Client(asyncio.CancelledError()), "client")


async def test_stopping_can_be_cancelled() -> None:
    stopping = asyncio.create_task(stop_bounded(Client(seconds=3600.0), "client"))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping


async def test_a_defect_while_stopping_is_no_secret() -> None:
    with pytest.raises(ZeroDivisionError):
        await stop_bounded(Client(ZeroDivisionError()), "client")


async def test_the_consumer_commits_nothing_by_itself_and_has_time_to_drain() -> None:
    consumer = make_consumer(KafkaSettings(rebalance_timeout=120.0, request_timeout=30.0))
    assert consumer._enable_auto_commit is False
    assert consumer._rebalance_timeout_ms == 120_000
    assert consumer._client._request_timeout_ms == 130_000, "a JoinGroup waits for the slowest"
    await consumer.stop()


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
async def test_the_producer_is_idempotent_and_has_all_codecs(compression: str) -> None:
    publish = PublishSettings(compression=compression, max_request_bytes=1000)
    producer = make_producer(KafkaSettings(), publish)
    assert producer._sender._acks == -1
    assert producer._txn_manager is not None
    assert producer._message_accumulator._batch_size == 1000
    await producer.stop()


async def test_a_callers_options_win() -> None:
    producer = make_producer(KafkaSettings(), PublishSettings(), max_batch_size=1)
    assert producer._message_accumulator._batch_size == 1
    await producer.stop()


def tls(**files: Any) -> KafkaSettings:
    return KafkaSettings(security_protocol="SSL", tls=TlsSettings(**files))


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({"ca_file": "missing.pem"}, "missing.pem"),
        ({"ca_file": TLS / "client.key"}, "client.key"),
        ({"cert_file": "missing.crt", "key_file": TLS / "client.key"}, "missing.crt"),
        ({"cert_file": TLS / "client.crt", "key_file": "missing.key"}, "missing.key"),
        ({"cert_file": TLS / "client.crt", "key_file": TLS / "client.crt"}, "client.crt"),
        # Without its password the key must not be asked for at the terminal.
        ({"cert_file": TLS / "client.crt", "key_file": TLS / "client.key"}, "client.key"),
        (
            {
                "cert_file": TLS / "client.crt",
                "key_file": TLS / "client.key",
                "key_password": SecretStr("wrong"),
            },
            "client.key",
        ),
    ],
)
async def test_files_that_cannot_be_used_are_named(files: dict[str, Any], named: str) -> None:
    with pytest.raises(KafkaSetupError, match=r"kafka\.tls") as raised:
        make_admin(tls(**files))
    assert named in str(raised.value)
    assert "wrong" not in str(raised.value)


async def test_a_client_certificate_is_loaded() -> None:
    settings = tls(
        ca_file=TLS / "client.crt",
        cert_file=TLS / "client.crt",
        key_file=TLS / "client.key",
        key_password=SecretStr("open-sesame"),
        verify_hostname=False,
    )
    admin = make_admin(settings)
    context = admin._client._ssl_context
    assert context.check_hostname is False
    assert len(context.get_ca_certs()) == 1
    await admin.close()


async def test_credentials_reach_the_client() -> None:
    sasl = SaslSettings(mechanism="SCRAM-SHA-512", username="me", password=SecretStr("secret"))
    admin = make_admin(KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl=sasl))
    client = admin._client
    assert (client._sasl_mechanism, client._sasl_plain_username) == ("SCRAM-SHA-512", "me")
    assert client._sasl_plain_password == "secret"
    await admin.close()


@pytest.mark.parametrize("transactional", [False, True])
async def test_batches_are_made_here_unless_they_are_compressed(transactional: bool) -> None:
    def make(publish: PublishSettings) -> AIOKafkaProducer:
        if not transactional:
            return make_producer(KafkaSettings(), publish, max_batch_size=70)
        settings = Settings.model_validate({"model": "any", "publish": publish})
        return make_transactional_producer(settings, 70, "name")

    plain, compressed = make(PublishSettings()), make(PublishSettings(compression="gzip"))
    batch = plain._message_accumulator.create_builder()
    assert isinstance(batch, RecordBatch)
    assert not isinstance(compressed._message_accumulator.create_builder(), RecordBatch)
    contents: dict[str, Any] = {"timestamp": 1, "key": None, "value": b"1234", "headers": []}
    assert batch.append(**contents)
    assert batch.append(**contents) is None, "there is no room for a second one"
    assert bool(bytes(batch._build())[22] & 0x10) is transactional
    await asyncio.gather(plain.stop(), compressed.stop())
