"""A job fails, its cause is mended, its record is put back, and the worker answers it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

from demo.broker import KafkaBroker
from tests.support.harness import Names, Traffic
from tests.support.images import job, noise_jpeg
from tests.support.loopback import ImageServer
from tests.support.workers import MakeWorker

BOUND = 60.0


async def replay(bootstrap_servers: str, names: Names, *arguments: str) -> list[dict[str, Any]]:
    """What `dead-letters replay` put back."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
    servers = {"WORKER_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "worker", "dead-letters", "replay", *arguments],
        env=inherited | servers | names.environ(),
        capture_output=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]


async def test_a_job_is_answered_once_its_cause_is_mended(
    broker: KafkaBroker, names: Names, traffic: Traffic, make_worker: MakeWorker
) -> None:
    await traffic.create_topics()
    images: dict[str, bytes] = {}
    allowed = {"WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32"}
    worker = make_worker(broker.bootstrap_servers, names, **allowed).start()
    async with ImageServer(images) as server:
        value = job(server.url("/cat.jpg"), jobId="a-42")
        first = await traffic.send(value, b"key", [("x-tenant", b"t")])
        letter = await traffic.letter(first)
        model = (await traffic.result(first)).body["model"]["name"]
        assert letter.header("dead-letter-model") == model

        # Still not there: a new letter, which counts.
        assert len(await replay(broker.bootstrap_servers, names)) == 1
        second = f"{names.jobs}-0-1"
        again = await traffic.letter(second)
        assert (again.key, again.value) == (b"key", value)
        assert (again.header("x-tenant"), again.header("replay-attempts")) == ("t", "1")

        images["/cat.jpg"] = noise_jpeg(1)
        [put_back] = await replay(broker.bootstrap_servers, names, "--job-id", "a-42")
        assert (put_back["sourceId"], put_back["replayAttempts"]) == (second, 1)
        third = f"{names.jobs}-0-3"  # behind the marker of the first replay's transaction
        result = await traffic.result(third)
        assert (result.body["jobId"], result.body["errorCode"]) == ("a-42", 0)
        assert result.header("x-tenant") == "t"
        assert await replay(broker.bootstrap_servers, names) == []
        assert set(await traffic.all_results()) == {first, second, third}
    worker.kill()
