"""A canary in every secret, failures of every kind, and a search of all that the worker says.

Where a secret belongs is not searched: the environment of the worker itself, what it sends to the
secret's owner, and a dead letter's own record, which is the job as it came.
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


def jobs(good: ImageServer, forbidden: ImageServer) -> list[bytes]:
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
        f"http://127.0.0.1:1/?sig={canary('dead')}",
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


def said_by(worker: Worker, refused_url: str) -> dict[str, str]:
    """What a worker shows to those who ask it and to those who look at its processes."""
    process = psutil.Process(worker.pid)
    children = process.children(recursive=True)
    assert children
    return {
        **{path: worker.probe(path)[1] for path in ("/readyz", "/livez", "/metrics")},
        "HTTP": "\n".join(http_answers(worker.port, refused_url)),
        **{f"arguments of {each}": " ".join(each.cmdline()) for each in (process, *children)},
        **{f"environment of {each}": repr(each.environ()) for each in children},
    }


async def published(traffic: Traffic, ids: list[str]) -> dict[str, str]:
    """What came of the jobs."""
    results = await traffic.results(ids)
    letters = await traffic.all_letters()
    added = [
        header
        for answers in letters.values()
        for answer in answers
        for header in answer.headers
        if header[0].startswith("dead-letter-")
    ]
    return {"results": _shown(results), "dead letters": "\n".join(map(repr, added))}


def _shown(answers: Answers) -> str:
    return "\n".join(repr(answer) for found in answers.values() for answer in found)


def http_answers(port: int, url: str) -> Iterator[str]:
    """What the HTTP service says to requests with secrets in them."""
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


async def command(settings: Mapping[str, str], more: Mapping[str, str], *arguments: str) -> str:
    """What a command prints, on both streams; `more` is by the ends of the variables' names."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "worker", *arguments),
        env={**inherited, **settings, **{f"WORKER_{name}": more[name] for name in more}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), BOUND)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return printed.decode("utf-8", "replace")


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


def redirect(good: ImageServer, forbidden: ImageServer) -> None:
    for path, target in {
        "/to-forbidden": signed(forbidden.url("/cat.jpg"))[0],
        "/to-missing": signed(good.url("/missing.jpg"))[1],
        "/to-dead": f"http://127.0.0.1:1/?sig={canary('redirect')}",
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


def environment(
    secured: SecuredBroker, listener: str, token_endpoint: str, key: Path, tokens: Path
) -> dict[str, str]:
    """That of a worker, with a canary in every secret; the tracing's is not in it."""
    dead = f"http://user:{canary('proxy')}@127.0.0.1:1"
    environ = {
        **secured.client(
            listener,
            TLS__CERT_FILE=str(secured.certificates.client_cert),
            TLS__KEY_FILE=str(key),
            TLS__KEY_PASSWORD=canary("key"),
            **signed_in(listener, token_endpoint),
        ),
        "WORKER_LOG__LEVEL": "debug",
        "WORKER_HTTP__INFER": "true",
        "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32",
        "WORKER_FETCH__ATTEMPTS": "2",
        "WORKER_FETCH__BACKOFF_INITIAL": "0.01",
        "WORKER_FETCH__TRUST_ENV": "true",
        "HTTPS_PROXY": dead,
        "https_proxy": dead,
        "NO_PROXY": "",
        "no_proxy": "",
        "DATABASE_URL": f"postgres://user:{canary('dsn')}@127.0.0.1/",
        "AWS_SECRET_ACCESS_KEY": canary("aws"),
    }
    if "http.token_file" in describe():
        environ["WORKER_HTTP__TOKEN_FILE"] = str(tokens)
    return environ


def traced(collector: Collector) -> dict[str, str]:
    return {
        "WORKER_TRACING__ENABLED": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{canary('otlp')}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }


async def said_by_commands(settings: Mapping[str, str]) -> dict[str, str]:
    bad = {
        "KAFKA__SASL__MECHANISM": "NONE",
        "KAFKA__SASL__TOKEN_ENDPOINT": f"ftp://user:{canary('bad-endpoint')}@127.0.0.1/",
        "KAFKA__BOOTSTRAP_SERVERS": f"user:{canary('bad-broker')}@127.0.0.1:1",
        "ZOO__BASE_URL": f"https://user:{canary('bad-zoo')}@127.0.0.1/?sig={canary('zoo')}",
    }
    wrong_key = {"KAFKA__TLS__KEY_PASSWORD": canary("wrong")}
    commands = {
        "config": command(settings, {}, "config"),
        "config as JSON": command(settings, {}, "config", "--json"),
        "wrong settings": command(settings, bad, "run"),
        "a wrong key": command(settings, wrong_key, "run"),
    }
    printed = await asyncio.gather(*commands.values())
    assert all(printed)
    return dict(zip(commands, printed, strict=True))


async def test_no_secret_is_found_in_anything_that_workers_say(
    secured: SecuredBroker,
    make_worker: MakeWorker,
    names: Names,
    key_with_canary: Path,
    tmp_path: Path,
) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(f"{canary('http')}\n", "utf-8")
    tokens.chmod(0o600)  # the worker refuses a file that all users may read
    said: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        collector = stack.enter_context(Collector())
        endpoint = await stack.enter_async_context(secured.issuer.endpoint())
        images = {"/cat.jpg": JPEG, "/text.jpg": b"no image"}
        good = await stack.enter_async_context(ImageServer(images))
        forbidden = await stack.enter_async_context(ImageServer(images, "127.0.0.2"))
        redirect(good, forbidden)
        traffic = await stack.enter_async_context(
            Traffic(secured.client("PLAINTEXT")[SERVERS], names)
        )
        await traffic.create_topics(partitions=2)
        workers = {}
        for listener in ("SCRAM", "OAUTH"):
            environ = environment(secured, listener, endpoint, key_with_canary, tokens)
            settings = environ | traced(collector) | names.environ()
            rest = {name: value for name, value in settings.items() if name != SERVERS}
            workers[listener] = make_worker(environ[SERVERS], names, **rest).start()
            said |= {
                f"{listener}: {where}": text
                for where, text in (await said_by_commands(settings)).items()
            }
        for worker in workers.values():
            await asyncio.to_thread(worker.wait_until_ready)
        sent = jobs(good, forbidden)
        ids = [
            record_id
            for partition in range(2)
            for record_id in await traffic.send_all(sent, headers=HEADERS, partition=partition)
        ]
        said |= await published(traffic, ids)
        spans = await asyncio.to_thread(
            collector.wait_for,
            lambda spans: sum(span.name.startswith("process ") for span in spans) >= len(ids),
        )
        said["spans"] = repr(spans)
        refused_url = signed(good.url("/missing.jpg"))[0]
        for listener, worker in workers.items():
            shown = await asyncio.to_thread(said_by, worker, refused_url)
            said |= {f"{listener}: {where}": text for where, text in shown.items()}
            worker.signal(signal.SIGTERM)
        for listener, worker in workers.items():
            assert await asyncio.to_thread(worker.wait) == 0
            said[f"{listener}: log"] = worker.log_path.read_text("utf-8", "replace")
    assert all(said[f"{listener}: log"].count("job_failed") for listener in workers)
    assert_no_canary(said)
