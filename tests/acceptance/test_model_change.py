"""A worker under load changes its model: no job is lost, and results are of the model they name."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.broker import KafkaBroker
from tests.support.harness import Answers, Traffic, Worker
from tests.support.images import colour_png, job
from tests.support.networks import COLOURS, export_colours
from tests.support.workers import MakeWorker
from worker.model import load_model_spec

BOUND = 60.0
REDS = [job(colour_png(f"#{255 - shade:02x}0000"), visualize=True) for shade in range(40)]
"""More than the result cache keeps: some are computed, some are not."""

JOB = REDS[0]
CHANGES = "classify_model_changes_total"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three networks that tell colours apart, with labels of their own."""
    base = tmp_path_factory.mktemp("models")
    return {
        name: export_colours(
            base / name,
            "softmax",
            Topk={"topk": 1, "label_list": [f"{name} {colour}" for colour in COLOURS]},
        )
        for name in ("first", "second", "third")
    }


class Command:
    """`classify-worker model` for one worker, which a test waits for in a thread."""

    def __init__(self, worker: Worker) -> None:
        self._url = f"http://127.0.0.1:{worker.port}"

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error."""
        command = [sys.executable, "-m", "worker", "model", *arguments, "--url", self._url]
        done = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, text=True, timeout=BOUND, check=False
        )
        return done.returncode, done.stdout, done.stderr


def digests(models: dict[str, Path]) -> dict[str, str]:
    return {load_model_spec(path).digest: name for name, path in models.items()}


def whose(answers: Answers, names: dict[str, str]) -> list[str]:
    """The model of each job's one result, which its digest and its label agree about."""
    found = []
    for record_id, (*_, answer) in answers.items():
        assert len(answers[record_id]) == 1, "answered once"
        body = answer.body
        assert body["errorCode"] == 0, body
        name = names[body["model"]["digest"]]
        assert body["result"]["categories"][0]["name"] == f"{name} red"
        assert body["result"]["image"]
        found.append(name)
    return found


@asynccontextmanager
async def sending(traffic: Traffic) -> AsyncIterator[list[str]]:
    """Sends jobs all the time; the block is given their ids."""
    sent: list[str] = []
    done, reds = asyncio.Event(), itertools.cycle(REDS)

    async def keep_on() -> None:
        while not done.is_set():
            sent.extend(await traffic.send_all([next(reds) for _ in range(8)]))
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_on())
        yield sent
        done.set()


def ends(ids: list[str]) -> dict[int, int]:
    """One past the last offset of each partition."""
    found: dict[int, int] = {}
    for record_id in ids:
        partition, offset = map(int, record_id.rsplit("-", 2)[1:])
        found[partition] = max(found.get(partition, 0), offset + 1)
    return found


async def test_a_worker_under_load_changes_its_model(
    broker: KafkaBroker,
    make_worker: MakeWorker,
    traffic: Traffic,
    models: dict[str, Path],
    tmp_path: Path,
) -> None:
    await traffic.create_topics(partitions=2)
    link, names = tmp_path / "current", digests(models)
    link.symlink_to(models["first"])
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_MODEL_DIR=str(link),
        WORKER_MODEL_WATCH="true",
        WORKER_FAILPOINTS="predictor.slow=0.05",
        WORKER_RESULT_CACHE__MAX_ENTRIES="10",
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    rebalances = worker.value("classify_rebalances_total")
    command = Command(worker)

    # A request, with jobs in flight before, meanwhile and after.
    async with sending(traffic) as sent:
        await asyncio.to_thread(worker.wait_for_value, "classify_jobs_total", lambda n: n > 20)
        status, said, _ = await command("set", str(models["second"]))
        assert status == 0, said
        assert "in place of" in said
    assert set(whose(await traffic.results(sent), names)) == {"first", "second"}
    sent += (last := await traffic.send_all([JOB] * 8))
    assert set(whose(await traffic.results(last), names)) == {"second"}
    assert worker.value("classify_model_info", digest=_digest(models["second"])) == 1

    # A model that cannot be loaded changes nothing.
    broken = Path(shutil.copytree(models["third"], tmp_path / "broken"))
    (broken / "inference.json").write_bytes(b"{}")
    status, _, said = await command("set", str(broken))
    assert status == 1
    assert "inference.json" in said
    assert worker.value(CHANGES, outcome="bad_model") == 1
    # SIGHUP is for the configured one.
    worker.signal(signal.SIGHUP)
    await _until_served(worker, models["first"])
    sent += (last := await traffic.send_all([JOB]))
    assert whose(await traffic.results(last), names) == ["first"]

    # A link that leads elsewhere.
    (tmp_path / "next").symlink_to(models["third"])
    (tmp_path / "next").replace(link)
    await _until_served(worker, models["third"])
    sent += (last := await traffic.send_all([JOB]))
    assert whose(await traffic.results(last), names) == ["third"]

    # Counted when the model before has ended too.
    await asyncio.to_thread(
        worker.wait_for_value, CHANGES, lambda changes: changes == 3, outcome="changed"
    )
    assert worker.value("classify_rebalances_total") == rebalances, "the group noticed nothing"
    assert (await command("show"))[1].startswith("serves colours, softmax")
    assert len(await asyncio.to_thread(worker.predictors)) == 1
    everything = await traffic.all_results()
    assert everything.keys() == set(sent)
    assert {len(answers) for answers in everything.values()} == {1}
    await traffic.wait_until_committed(ends(sent))


async def test_a_request_that_is_not_allowed_or_not_understood_changes_nothing(
    broker: KafkaBroker,
    make_worker: MakeWorker,
    traffic: Traffic,
    models: dict[str, Path],
    tmp_path: Path,
) -> None:
    await traffic.create_topics()
    tokens = tmp_path / "tokens"
    tokens.write_text("a-token-of-the-operator\n", "ascii")
    tokens.chmod(0o600)
    worker = make_worker(
        broker.bootstrap_servers,
        traffic.names,
        WORKER_MODEL=str(models["first"]),
        WORKER_HTTP__TOKEN_FILE=str(tokens),
    ).start()
    await asyncio.to_thread(worker.wait_until_ready)
    command = Command(worker)
    status, _, said = await command("set", str(models["second"]))
    assert (status, "--token-file" in said) == (3, True), said
    token = ("--token-file", str(tokens))
    status, said, _ = await command("set", str(models["first"]), *token)
    assert (status, "as before" in said) == (0, True), said
    assert await asyncio.to_thread(_post, worker, b"{}") == 400
    status, said, _ = await command("show", "--json", *token)
    state: dict[str, Any] = json.loads(said)
    assert (status, state["change"]) == (0, None)
    assert state["model"]["digest"] == _digest(models["first"])
    assert state["last"]["outcome"] == "unchanged"


def _post(worker: Worker, body: bytes) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", worker.port, timeout=BOUND)
    try:
        headers = {"Authorization": "Bearer a-token-of-the-operator"}
        connection.request("POST", "/admin/model", body, headers)
        return connection.getresponse().status
    finally:
        connection.close()


def _digest(model: Path) -> str:
    return load_model_spec(model).digest


async def _until_served(worker: Worker, model: Path) -> None:
    await asyncio.to_thread(
        worker.wait_for_value, "classify_model_info", lambda n: n == 1, digest=_digest(model)
    )
