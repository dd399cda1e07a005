"""Each method of authentication at a broker that requires it, and the errors when one fails."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.support.harness import BOUND, Names, Traffic, Worker, until
from tests.support.images import job, noise_jpeg
from tests.support.secured import KEY_PASSWORD, SecuredBroker
from tests.support.workers import MakeWorker
from worker.client import KafkaClient
from worker.errors import KafkaSetupError
from worker.kafka.topics import ensure_topics
from worker.settings.sources import load

SERVERS = "WORKER_KAFKA__BOOTSTRAP_SERVERS"
PASSWORD = "hush-hush"
SIGNED_IN = {"SASL__USERNAME": "worker", "SASL__PASSWORD": PASSWORD}
STRANGER = {"SASL__USERNAME": "worker", "SASL__PASSWORD": "wrong-one"}

MakeClient = Callable[[dict[str, str]], Worker]


@pytest.fixture(scope="module")
def secured(
    kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredBroker]:
    directory = tmp_path_factory.mktemp("secured")
    made = SecuredBroker(directory, kafka_jars, {"worker": PASSWORD})
    with made.broker:
        yield made


@pytest.fixture
async def traffic(secured: SecuredBroker, names: Names) -> AsyncIterator[Traffic]:
    """The test's topics, by the listener that asks for nothing."""
    address = secured.client("PLAINTEXT")[SERVERS]
    async with Traffic(address, names) as traffic:
        await traffic.create_topics()
        yield traffic


@pytest.fixture
def make_client(make_worker: MakeWorker, names: Names) -> Iterator[MakeClient]:
    """Makes workers, not started, from the environment that says how they reach the broker."""
    with ExitStack() as cleanup:

        def make(environ: dict[str, str]) -> Worker:
            rest = {name: value for name, value in environ.items() if name != SERVERS}
            worker = make_worker(environ[SERVERS], names, **rest)
            cleanup.callback(worker.kill)
            return worker

        yield make


async def assert_answers(worker: Worker, traffic: Traffic) -> None:
    worker.start()
    await asyncio.to_thread(worker.wait_until_ready)
    answer = await traffic.result(await traffic.send(job(noise_jpeg(0))))
    assert answer.body["errorCode"] == 0
    assert "Traceback" not in worker.tail()


def was_cut_off(worker: Worker) -> bool:
    return any(" closed" in entry["message"] for entry in worker.events("aiokafka_message"))


def submit(environ: dict[str, str]) -> None:
    """Have one image answered by the command."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
    ended = subprocess.run(
        [sys.executable, "-m", "worker", "submit", "-"],
        env=inherited | environ,
        input=job(noise_jpeg(1)),
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert json.loads(ended.stdout)["errorCode"] == 0


def assert_refused(worker: Worker, *words: str) -> None:
    """It ends with one line that names what to change, and without its secrets."""
    assert worker.start().wait() == 3
    last = worker.tail().splitlines()[-1]
    assert last.startswith("classify-worker: cannot use the Kafka brokers at ")
    for word in words:
        assert word in last
    assert "Traceback" not in worker.tail()
    assert "wrong-one" not in worker.tail()


async def test_worker_and_submit_trust_a_private_authority(
    secured: SecuredBroker, make_client: MakeClient, traffic: Traffic
) -> None:
    environ = secured.client("TLS")
    await assert_answers(make_client(environ), traffic)
    await asyncio.to_thread(submit, environ | traffic.names.environ())


def test_a_worker_that_does_not_know_the_authority_says_so(
    secured: SecuredBroker, make_client: MakeClient
) -> None:
    assert_refused(
        make_client(secured.client("TLS", TLS__CA_FILE="")), "certificate", "kafka.tls.ca_file"
    )


def test_a_worker_that_finds_another_host_says_so(
    secured: SecuredBroker, make_client: MakeClient
) -> None:
    environ = secured.client("TLS")
    address = environ[SERVERS].replace("127.0.0.1", "localhost")
    assert_refused(
        make_client(environ | {SERVERS: address}),
        "'localhost'",
        "kafka.bootstrap_servers",
        "kafka.tls.verify_hostname: false",
    )


async def test_mutual_tls_with_an_encrypted_key(
    secured: SecuredBroker, make_client: MakeClient, traffic: Traffic, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{KEY_PASSWORD}\n", "utf-8")
    environ = secured.client(
        "MUTUAL",
        TLS__CERT_FILE=str(secured.certificates.client_cert),
        TLS__KEY_FILE=str(secured.certificates.client_key),
        TLS__KEY_PASSWORD_FILE=str(secret),
    )
    await assert_answers(make_client(environ), traffic)


def test_a_worker_without_a_certificate_says_that_it_needs_one(
    secured: SecuredBroker, make_client: MakeClient
) -> None:
    assert_refused(
        make_client(secured.client("MUTUAL")),
        "client certificate",
        "kafka.tls.cert_file",
        "kafka.tls.key_file",
    )


async def test_a_worker_signs_in_in_plain_text(
    secured: SecuredBroker, make_client: MakeClient, traffic: Traffic
) -> None:
    await assert_answers(make_client(secured.client("PLAIN", **SIGNED_IN)), traffic)


async def test_worker_submit_and_client_sign_in_by_scram(
    secured: SecuredBroker, make_client: MakeClient, traffic: Traffic
) -> None:
    longer, shorter = (
        secured.client("SCRAM", SASL__MECHANISM=mechanism, **SIGNED_IN)
        for mechanism in ("SCRAM-SHA-512", "SCRAM-SHA-256")
    )
    await assert_answers(make_client(longer), traffic)
    await asyncio.to_thread(submit, shorter | traffic.names.environ())
    settings = load(environ=longer | traffic.names.environ()).settings
    async with KafkaClient(settings=settings.kafka) as client:
        assert (await client.classify(noise_jpeg(2))).categories


def test_a_worker_with_a_wrong_password_says_so(
    secured: SecuredBroker, make_client: MakeClient
) -> None:
    environ = secured.client("SCRAM", SASL__MECHANISM="SCRAM-SHA-512", **STRANGER)
    assert_refused(make_client(environ), "credentials", "kafka.sasl.password")


async def test_a_worker_signs_in_with_tokens_from_an_endpoint_again_and_again(
    secured: SecuredBroker, make_client: MakeClient, traffic: Traffic
) -> None:
    async with secured.issuer.endpoint() as url:
        environ = secured.client(
            "OAUTH",
            SASL__MECHANISM="OAUTHBEARER",
            SASL__TOKEN_ENDPOINT=url,
            SASL__CLIENT_ID="worker",
            SASL__CLIENT_SECRET="secret",
            SASL__SCOPE="jobs",
        )
        worker = make_client(environ | {"NO_PROXY": "127.0.0.1"})
        await assert_answers(worker, traffic)
        await asyncio.to_thread(until, lambda: was_cut_off(worker), "the broker ends a session")
        answer = await traffic.result(await traffic.send(job(noise_jpeg(1))))
        assert answer.body["errorCode"] == 0
    identity = base64.b64encode(b"worker:secret").decode()
    form = {"grant_type": "client_credentials", "scope": "jobs"}
    assert secured.issuer.requests
    assert all(asked == (f"Basic {identity}", form) for asked in secured.issuer.requests)


@pytest.mark.parametrize(
    ("listener", "settings", "words"),
    [
        ("TLS", {"SECURITY_PROTOCOL": "PLAINTEXT"}, "not speak PLAINTEXT"),
        ("PLAINTEXT", {"SECURITY_PROTOCOL": "SSL"}, "not speak SSL"),
        ("PLAIN", {"SECURITY_PROTOCOL": "PLAINTEXT"}, "not speak PLAINTEXT"),
        ("TLS", {"SECURITY_PROTOCOL": "SASL_SSL", **SIGNED_IN}, "kafka.security_protocol: SSL"),
        ("PLAIN", {"SASL__MECHANISM": "SCRAM-SHA-256", **SIGNED_IN}, "kafka.sasl.mechanism"),
        ("PLAIN", STRANGER, "kafka.sasl.password"),
        ("SCRAM", {"SASL__MECHANISM": "SCRAM-SHA-256", **STRANGER}, "kafka.sasl.password"),
    ],
)
async def test_a_refusal_names_the_setting(
    secured: SecuredBroker, listener: str, settings: dict[str, str], words: str
) -> None:
    assert words in await refusal(secured.client(listener, **settings))


async def test_a_certificate_of_a_stranger_is_refused(
    secured: SecuredBroker, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "stranger.crt", tmp_path / "stranger.key"
    stranger = trustme.CA().issue_cert("stranger.example")
    stranger.cert_chain_pems[0].write_to_path(str(certificate))
    stranger.private_key_pem.write_to_path(str(key))
    said = await refusal(
        secured.client("MUTUAL", TLS__CERT_FILE=str(certificate), TLS__KEY_FILE=str(key))
    )
    assert "refuses the client certificate" in said


async def test_a_token_for_somebody_else_is_refused(secured: SecuredBroker, tmp_path: Path) -> None:
    file = tmp_path / "token"
    await asyncio.to_thread(file.write_text, secured.issuer.token(audience="somebody else"))
    settings = {"SASL__MECHANISM": "OAUTHBEARER", "SASL__TOKEN_FILE": str(file)}
    assert "refuses the OAUTHBEARER token" in await refusal(secured.client("OAUTH", **settings))
    await asyncio.to_thread(file.unlink)
    assert "kafka.sasl.token_file" in await refusal(secured.client("OAUTH", **settings))


async def test_each_brokers_reason_is_given(secured: SecuredBroker) -> None:
    plain, mutual = (secured.client(listener)[SERVERS] for listener in ("PLAINTEXT", "MUTUAL"))
    said = await refusal(secured.client("TLS", BOOTSTRAP_SERVERS=f"{plain},{mutual}"))
    assert f"{plain}: the broker hangs up" in said
    assert f"{mutual}: the broker wants a client certificate" in said


async def refusal(environ: dict[str, str]) -> str:
    """What the clients of the worker say, within the test's own process."""
    with pytest.raises(KafkaSetupError) as raised:
        await ensure_topics(load(environ=environ).settings.kafka, ())
    return str(raised.value)
