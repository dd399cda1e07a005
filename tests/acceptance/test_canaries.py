"""A canary in every secret, failures of every kind, and a search of all that the worker says.

Where a secret belongs is not searched: the environment of the worker itself, what it sends to those
whom the secret is for, and a dead letter's own record, which is the job as it came.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from cryptography.hazmat.primitives import serialization

from demo.ports import free_ports
from tests.support.harness import BOUND, Answers, Names, Traffic, Worker
from tests.support.http_client import CLASSIFY, JSON, ask
from tests.support.images import job, noise_jpeg
from tests.support.loopback import ImageServer
from tests.support.otlp import Collector
from tests.support.secured import KEY_PASSWORD, SecuredBroker
from tests.support.workers import MakeWorker
from worker.settings.registry import describe

SERVERS = "WORKER_KAFKA__BOOTSTRAP_SERVERS"
JPEG = noise_jpeg(0)


def canary(of: str) -> str:
    """A secret that is found wherever it is, and says whose it is."""
    return f"kanarienvogel-{of}"


SASL_PASSWORD = canary("sasl")
HEADERS = [
    ("authorization", f"Bearer {canary('job-header')}".encode()),
    ("cookie", f"session={canary('job-cookie')}".encode()),
]


@pytest.fixture(scope="module")
def secured(
    kafka_jars: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredBroker]:
    made = SecuredBroker(tmp_path_factory.mktemp("canaries"), kafka_jars, {"worker": SASL_PASSWORD})
    with made.broker:
        yield made


@pytest.fixture
def key_with_canary(secured: SecuredBroker, tmp_path: Path) -> Path:
    """The client's key, encrypted with a canary."""
    key = serialization.load_pem_private_key(
        secured.certificates.client_key.read_bytes(), KEY_PASSWORD.encode()
    )
    path = tmp_path / "key.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(canary("key").encode()),
        )
    )
    return path


def signed(url: str) -> list[str]:
    """The ways in which object stores put a secret into a URL."""
    return [
        f"{url}?X-Amz-Credential={canary('id')}&X-Amz-Signature={canary('amz')}",
        f"{url}?se=2026&sp=r&sig={canary('azure')}",
        f"{url}?AWSAccessKeyId={canary('key-id')}&Signature={canary('signature')}",
        f"{url}?token={canary('token')}#{canary('fragment')}",
    ]


def jobs(good: ImageServer, forbidden: ImageServer, dead_port: int) -> list[bytes]:
    """Jobs that succeed, and that fail in every stage, each with a secret in its address."""
    address = good.url("").removeprefix("http://")
    urls = [
        *signed(good.url("/cat.jpg")),
        *signed(good.url("/missing.jpg")),
        *signed(good.url("/text.jpg")),
        *signed(good.url("/to-forbidden")),
        good.url("/to-missing"),
        good.url("/to-dead"),
        good.url("/to-itself"),
        good.url("/to-password"),
        good.url("/to-nowhere"),
        *signed(forbidden.url("/cat.jpg")),
        f"http://127.0.0.1:{dead_port}/?sig={canary('dead')}",
        f"https://{address}/cat.jpg?sig={canary('proxied')}",
        f"http://user:{canary('password')}@{address}/cat.jpg",
        f"http://{canary('host')}@[{address}/cat.jpg",
        f"ftp://user:{canary('ftp')}@{address}/cat.jpg",
        f"http://{address}/cat.jpg?sig={canary('space')} x\r\n",
    ]
    return [
        *(job(url, jobId=f"{number}") for number, url in enumerate(urls)),
        job(f"data:image/jpeg;token={canary('data-uri')};base64,AAAA"),
        b'{"image": 5, "password": "%s"}' % canary("field").encode(),
        b'{"image": "http://a/?sig=%s' % canary("cut").encode(),
    ]


async def everything_said(
    worker: Worker, traffic: Traffic, ids: list[str], collector: Collector
) -> dict[str, str]:
    """All that leaves the worker, by where it was found."""
    results = await traffic.results(ids)
    letters = await traffic.all_letters()
    spans = await asyncio.to_thread(
        collector.wait_for,
        lambda spans: sum(span.name.startswith("process ") for span in spans) >= len(ids),
    )
    said = {
        "log": worker.log_path.read_text("utf-8", "replace"),
        "results": _shown(results),
        "dead letters": "\n".join(
            repr(header)
            for answers in letters.values()
            for answer in answers
            for header in answer.headers
            if header[0].startswith("dead-letter-")
        ),
        "spans": repr(spans),
        **{path: worker.probe(path)[1] for path in ("/readyz", "/livez", "/metrics")},
    }
    process = psutil.Process(worker.pid)
    children = process.children(recursive=True)
    assert children
    for each in (process, *children):
        said[f"arguments of {each.name()} {each.pid}"] = " ".join(each.cmdline())
    for child in children:
        said[f"environment of {child.name()} {child.pid}"] = repr(child.environ())
    return said


def _shown(answers: Answers) -> str:
    return "\n".join(repr(answer) for found in answers.values() for answer in found)


def http_answers(port: int, url: str) -> Iterator[str]:
    """What the HTTP door says to requests with secrets in them."""
    secrets = {
        "Authorization": f"Bearer {canary('http')}",
        "Cookie": f"session={canary('cookie')}",
    }
    for path, body in (
        (f"{CLASSIFY}?token={canary('query')}", json.dumps({"image": url}).encode()),
        (CLASSIFY, b'{"image": "http://user:%s@127.0.0.1/"}' % canary("http-url").encode()),
        (f"/no-such-path?key={canary('path')}", b"{}"),
        (CLASSIFY, b"{"),
    ):
        answer = ask(port, "POST", path, body, {**JSON, **secrets})
        yield f"{answer.headers} {answer.body!r}"


def command(environ: Mapping[str, str], *arguments: str) -> str:
    """What a command prints, on both streams."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
    ended = subprocess.run(
        [sys.executable, "-m", "worker", *arguments],
        env=inherited | environ,
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    return (ended.stdout + ended.stderr).decode("utf-8", "replace")


def needles() -> list[str]:
    """A canary as it is, as Base64 at any place of a longer text, and the beginning of a token."""
    sung = canary("").encode()
    encoded = (base64.b64encode(b"." * before + sung).decode() for before in range(3))
    return [canary(""), "eyJhbGciOi", *(text[4:16] for text in encoded)]


def assert_no_canary(said: Mapping[str, str]) -> None:
    """Every line with a canary is shown."""
    found = [
        (where, line[:400])
        for where, text in said.items()
        for line in text.splitlines()
        if any(needle in line for needle in needles())
    ]
    assert not found


def redirect(good: ImageServer, forbidden: ImageServer, dead_port: int) -> None:
    for path, target in {
        "/to-forbidden": signed(forbidden.url("/cat.jpg"))[0],
        "/to-missing": signed(good.url("/missing.jpg"))[1],
        "/to-dead": f"http://127.0.0.1:{dead_port}/?sig={canary('redirect')}",
        "/to-itself": f"/to-itself?sig={canary('loop')}",
        "/to-password": f"http://user:{canary('redirected')}@127.0.0.1/",
        "/to-nowhere": f"file:///{canary('file')}",
    }.items():
        good.redirect(path, target)


def signed_in(listener: str, endpoint: str) -> dict[str, str]:
    if listener == "SCRAM":
        return {
            "SASL__MECHANISM": "SCRAM-SHA-512",
            "SASL__USERNAME": "worker",
            "SASL__PASSWORD": SASL_PASSWORD,
        }
    return {
        "SASL__MECHANISM": "OAUTHBEARER",
        "SASL__TOKEN_ENDPOINT": endpoint.replace("//", f"//user:{canary('endpoint')}@")
        + f"?key={canary('endpoint-query')}",
        "SASL__CLIENT_ID": "worker",
        "SASL__CLIENT_SECRET": canary("client"),
    }


def wrong(settings: Mapping[str, str], **secrets: str) -> dict[str, str]:
    return {**settings, **{f"WORKER_{name}": value for name, value in secrets.items()}}


@pytest.mark.parametrize("listener", ["SCRAM", "OAUTH"])
async def test_no_secret_is_found_in_anything_that_the_worker_says(
    listener: str,
    secured: SecuredBroker,
    make_worker: MakeWorker,
    names: Names,
    key_with_canary: Path,
    tmp_path: Path,
) -> None:
    (dead_port,) = free_ports(1)
    token_file = tmp_path / "tokens"
    token_file.write_text(f"{canary('http')}\n", "utf-8")
    proxy = f"http://user:{canary('proxy')}@127.0.0.1:{dead_port}"
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(Collector())
        endpoint = await stack.enter_async_context(secured.issuer.endpoint())
        images = {"/cat.jpg": JPEG, "/text.jpg": b"no image"}
        good = await stack.enter_async_context(ImageServer(images))
        forbidden = await stack.enter_async_context(ImageServer(images, "127.0.0.2"))
        traffic = await stack.enter_async_context(
            Traffic(secured.client("PLAINTEXT")[SERVERS], names)
        )
        redirect(good, forbidden, dead_port)
        await traffic.create_topics()
        environ = {
            **secured.client(
                listener,
                TLS__CERT_FILE=str(secured.certificates.client_cert),
                TLS__KEY_FILE=str(key_with_canary),
                TLS__KEY_PASSWORD=canary("key"),
                **signed_in(listener, endpoint),
            ),
            "WORKER_LOG__LEVEL": "debug",
            "WORKER_HTTP__INFER": "true",
            "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32",
            "WORKER_FETCH__ATTEMPTS": "2",
            "WORKER_FETCH__BACKOFF_INITIAL": "0.01",
            "WORKER_FETCH__TRUST_ENV": "true",
            "WORKER_TRACING__ENABLED": "true",
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "NO_PROXY": "",
            "no_proxy": "",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{canary('otlp')}",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "DATABASE_URL": f"postgres://user:{canary('dsn')}@127.0.0.1/",
            "AWS_SECRET_ACCESS_KEY": canary("aws"),
        }
        if "http.token_file" in describe():
            environ["WORKER_HTTP__TOKEN_FILE"] = str(token_file)
        rest = {name: value for name, value in environ.items() if name != SERVERS}
        worker = make_worker(environ[SERVERS], names, **rest).start()
        await asyncio.to_thread(worker.wait_until_ready)
        ids = await traffic.send_all(jobs(good, forbidden, dead_port), headers=HEADERS)
        refused_url = signed(good.url("/missing.jpg"))[0]
        answers = await asyncio.to_thread(lambda: list(http_answers(worker.port, refused_url)))
        said = await everything_said(worker, traffic, ids, collector)
        said["HTTP"] = "\n".join(answers)
        settings = environ | names.environ()
        bad = wrong(
            settings,
            KAFKA__SASL__MECHANISM="NONE",
            KAFKA__SASL__TOKEN_ENDPOINT=f"ftp://user:{canary('bad-endpoint')}@127.0.0.1/",
            KAFKA__BOOTSTRAP_SERVERS=f"user:{canary('bad-broker')}@127.0.0.1:1",
            ZOO__BASE_URL=f"https://user:{canary('bad-zoo')}@127.0.0.1/?sig={canary('zoo')}",
            KAFKA__TLS__KEY_PASSWORD="",
        )
        commands = {
            "config": (settings, "config"),
            "config as JSON": (settings, "config", "--json"),
            "wrong settings": (bad, "run"),
            "a wrong key": (wrong(settings, KAFKA__TLS__KEY_PASSWORD=canary("wrong")), "run"),
        }
        printed = await asyncio.gather(
            *(asyncio.to_thread(command, *each) for each in commands.values())
        )
        assert all(printed)
        said |= dict(zip(commands, printed, strict=True))
        worker.signal(signal.SIGTERM)
        assert await asyncio.to_thread(worker.wait) == 0
        said["log"] = worker.log_path.read_text("utf-8", "replace")
    assert said["log"].count("job_failed") >= len(ids) // 2
    assert_no_canary(said)
