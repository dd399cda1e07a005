"""`classify-worker submit` as its users run it: against a worker, and against odd results."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from demo.broker import KafkaBroker
from demo.images import Photograph, photographs
from tests.support.harness import Names, Traffic, Worker, until
from tests.support.stand_in_worker import answer, of_another, stand_in
from tests.support.workers import MakeWorker
from worker.contract.records import Message, Record
from worker.contract.results import without_copies

BOUND = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended.

    Attributes:
        answers: its standard output, by the job's name.
    """

    status: int
    answers: dict[str, dict[str, Any]]
    err: str
    lines: int


@dataclass(frozen=True, slots=True)
class Command:
    """`classify-worker submit` for the topics of one test."""

    bootstrap_servers: str
    names: Names

    def start(self, *arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        servers = {"WORKER_KAFKA__BOOTSTRAP_SERVERS": self.bootstrap_servers}
        return subprocess.Popen(
            [sys.executable, "-m", "worker", "submit", *arguments],
            env=inherited | servers | self.names.environ(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, given: str | None = None) -> Ended:
        process = self.start(*arguments, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(given, timeout=BOUND)
        finally:
            process.kill()
        answers = [json.loads(line) for line in out.splitlines()]
        return Ended(process.returncode, {a["job"]: a for a in answers}, err, len(answers))


@pytest.fixture(scope="module")
def photos() -> dict[str, Photograph]:
    return {photograph.name: photograph for photograph in photographs()}


@pytest.fixture
def command(broker: KafkaBroker, names: Names) -> Command:
    return Command(broker.bootstrap_servers, names)


@pytest.fixture(scope="module")
def served(broker: KafkaBroker, make_worker: MakeWorker, model_dir: Path) -> Iterator[Command]:
    """The command with a worker that answers its jobs."""
    names = Names.new()
    worker: Worker = make_worker(
        broker.bootstrap_servers,
        names,
        WORKER_MODEL=str(model_dir),  # whose answers mean something
        WORKER_KAFKA__CREATE_TOPICS="true",
        WORKER_FETCH__ALLOW_NETWORKS="127.0.0.1/32",
    )
    worker.start().wait_until_ready()
    yield Command(broker.bootstrap_servers, names)
    worker.kill()


@pytest.mark.parametrize("way", ["base64", "raw", "url"])
def test_files_are_answered_whichever_way_they_are_sent(
    served: Command, photos: dict[str, Photograph], way: str, tmp_path: Path
) -> None:
    wanted = [photos[name] for name in ("strawberry", "chelsea")]
    paths = [str(photograph.path) for photograph in wanted]
    ended = served("--as", way, "--top-k", "2", "--save-dir", str(tmp_path / "out"), *paths)
    assert ended.status == 0
    summary, pictures = ended.err.splitlines()
    assert re.fullmatch(r"classify-worker: 2 jobs in \d+\.\d s, \d+\.\d jobs/s", summary)
    assert pictures == f"classify-worker: pictures are in {tmp_path}/out, as NUMBER-NAME.jpg"
    for photograph, path in zip(wanted, paths, strict=True):
        answer = ended.answers[path]
        assert (answer["way"], answer["errorCode"]) == (way, 0)
        assert answer["categories"][0]["id"] == photograph.class_id
        assert len(answer["categories"]) == 2
        assert answer["model"].keys() == {"name", "digest", "backend"}
        assert answer["model"]["digest"].startswith("sha256:")
        assert 0 < answer["latencySeconds"] < BOUND
        drawn, given = cv2.imread(answer["picture"]), cv2.imread(path)
        assert drawn is not None
        assert given is not None
        assert drawn.shape == given.shape


def test_answers_in_a_file_that_spreadsheets_read(
    served: Command, photos: dict[str, Photograph], tmp_path: Path
) -> None:
    path = tmp_path / "new" / "answers.csv"
    good = str(photos["chelsea"].path)
    ended = served("--topk", "2", "-i", good, "no-such-file.jpg", "--output", str(path))
    assert (ended.status, ended.lines) == (1, 0)
    with path.open(newline="") as file:
        rows = {(row["input"], row["rank"]): row for row in csv.DictReader(file)}
    assert rows.keys() == {(good, "1"), (good, "2"), ("no-such-file.jpg", "")}
    assert rows[good, "1"]["name"] == "tiger cat"
    assert rows["no-such-file.jpg", ""]["error"] == "there is no such file"


def test_one_result_in_the_file_that_is_named(
    served: Command, photos: dict[str, Photograph], tmp_path: Path
) -> None:
    path = str(photos["chelsea"].path)
    ended = served("--save-dir", str(tmp_path / "new" / "out.jpg"), path)
    assert (ended.status, ended.err) == (0, f"classify-worker: saved out.jpg in {tmp_path}/new\n")
    assert ended.answers[path]["picture"] == f"{tmp_path}/new/out.jpg"
    assert cv2.imread(str(tmp_path / "new" / "out.jpg")) is not None
    without = served("--no-visualize", "--save-dir", str(tmp_path / "none.jpg"), path)
    assert (without.status, without.lines) == (1, 1)
    assert "none.jpg was not written, since the result has no picture" in without.err
    assert [each.name for each in tmp_path.iterdir()] == ["new"]


def test_what_cannot_be_done_costs_only_itself(
    served: Command, photos: dict[str, Photograph], tmp_path: Path
) -> None:
    good = str(photos["strawberry"].path)
    text = tmp_path / "text.jpg"
    text.write_text("not an image")
    ended = served(str(text), "no-such-file.jpg", "http://127.0.0.2/x.jpg?sign=secret", good)
    assert ended.status == 1
    codes = {name: answer["errorCode"] for name, answer in ended.answers.items()}
    url = "http://127.0.0.2/x.jpg"
    assert codes == {str(text): 415, "no-such-file.jpg": None, url: 403, good: 0}
    for name in (str(text), "no-such-file.jpg", url):
        assert f"{name}: {ended.answers[name]['errorMsg']}" in ended.err
    assert "no-such-file.jpg: there is no such file" in ended.err
    assert "3 of 4 jobs failed: 1 not_found, 1 with " in ended.err
    assert "403 Forbidden, the first: " in ended.err
    assert "secret" not in ended.err


def test_lines_of_standard_input(served: Command, photos: dict[str, Photograph]) -> None:
    job = json.dumps({"image": "aGVsbG8=", "jobId": "mine"})
    ended = served("--no-visualize", "-", given=f"{photos['goose'].path}\n{job}\n{{bad\n")
    assert ended.status == 1
    assert ended.answers[str(photos["goose"].path)]["categories"][0]["name"] == "goose"
    assert ended.answers["mine"]["errorCode"] == 415
    assert "line 3: the line is not JSON" in ended.err


def test_files_of_a_size_that_no_job_may_have(served: Command, tmp_path: Path) -> None:
    # Each limit has an end of its own: before it is read whole, and when it is sent.
    huge, large, empty = (tmp_path / f"{name}.jpg" for name in ("huge", "large", "empty"))
    huge.write_bytes(bytes(400_000))
    large.write_bytes(bytes(250_000))
    empty.touch()
    ended = served("--set", "publish.max_request_bytes=300000", str(huge), str(large), str(empty))
    assert ended.status == 1
    assert ended.answers[str(empty)]["errorMsg"] == "the file is empty"
    assert "more than the 300000 bytes" in ended.answers[str(huge)]["errorMsg"]
    assert "takes 300000 at most" in ended.answers[str(large)]["errorMsg"]


def test_many_more_jobs_than_may_be_outstanding(
    served: Command, photos: dict[str, Photograph]
) -> None:
    job = json.dumps({"image": "aGVsbG8="})
    ended = served("-", given=f"{job}\n" * 700)
    assert (ended.status, ended.lines, len(ended.answers)) == (1, 700, 700)


def test_a_reader_that_goes_away_ends_it(served: Command) -> None:
    process = served.start("-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    process.stdin.write('{"image": "aGVsbG8="}\n')
    process.stdin.close()
    assert process.wait(BOUND) == 1
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_kafka_that_cannot_be_used(command: Command, names: Names) -> None:
    missing = command("any.jpg")
    assert missing.status == 3
    assert names.jobs in missing.err
    unreachable = command("--bootstrap-servers", "127.0.0.1:9", "any.jpg")
    assert unreachable.status == 3
    assert "127.0.0.1:9" in unreachable.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--format", "text", "x.jpg"],
        ["--json", "--format", "csv", "x.jpg"],
        ["--output", "answers.txt", "x.jpg"],
        ["--save-dir", "out.png", "x.jpg"],
        ["--save-dir", "out.jpg", "x.jpg", "y.jpg"],
        ["--as", "pigeon", "x.jpg"],
        ["--top-k", "0", "x.jpg"],
        ["--set", "kafka.nope=1", "x.jpg"],
    ],
)
def test_wrong_usage(command: Command, arguments: list[str]) -> None:
    ended = command(*arguments)
    assert (ended.status, ended.answers) == (2, {})


async def run(command: Command, *arguments: str, given: str | None = None) -> Ended:
    return await asyncio.to_thread(command, *arguments, given=given)


JOBS = "".join(json.dumps({"image": "aGVsbG8=", "jobId": f"j{n}"}) + "\n" for n in range(20))


async def test_second_deliveries_and_results_of_others_are_left_alone(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    def respond(record: Record) -> Sequence[Message]:
        mine = answer(record, "first")
        return [of_another(record), mine, answer(record, "second"), of_another(record)]

    async with stand_in(broker.bootstrap_servers, traffic, respond):
        ended = await run(command, "-", given=JOBS)
    assert (ended.status, ended.lines, len(ended.answers)) == (0, 20, 20)
    assert {a["categories"][0]["name"] for a in ended.answers.values()} == {"first"}


async def test_results_that_were_there_before_are_not_read(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    async with stand_in(broker.bootstrap_servers, traffic, lambda r: [answer(r, "fresh")]):
        # As if the topics had been made anew: the same offsets, answered long ago.
        stale = Record(traffic.names.jobs, 0, 0, 0, None, b'{"image": "x"}', [])
        message = without_copies(answer(stale, "stale"))
        for _ in range(3):
            await traffic.producer.send_and_wait(
                traffic.names.results, message.value, headers=list(message.headers)
            )
        ended = await run(command, "-", given=JOBS)
    assert (ended.status, len(ended.answers)) == (0, 20)


async def test_a_result_that_lost_its_headers_is_known_by_its_jobs_place(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    async with stand_in(
        broker.bootstrap_servers, traffic, lambda r: [without_copies(answer(r, "any"))]
    ):
        ended = await run(command, "-", given=JOBS)
    assert ended.status == 0
    assert {a["errorCode"] for a in ended.answers.values()} == {0}
    assert len(ended.answers) == 20


async def test_a_job_that_the_broker_refuses_costs_only_itself(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    limits = {traffic.names.jobs: {"max.message.bytes": "100000"}}
    large = json.dumps({"image": "a" * 150_000, "jobId": "large"})
    async with stand_in(
        broker.bootstrap_servers, traffic, lambda r: [answer(r, "any")], configs=limits
    ):
        ended = await run(command, "-", given=f"{JOBS}{large}\n{JOBS}")
    assert (ended.status, ended.lines) == (1, 41)
    assert "takes 100000 at most" in ended.answers["large"]["errorMsg"]
    assert "1 of 41 jobs failed" in ended.err


async def test_a_result_that_makes_no_sense_fails_its_job(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    def respond(record: Record) -> Sequence[Message]:
        return [Message(None, b"{", tuple(record.headers))]

    async with stand_in(broker.bootstrap_servers, traffic, respond):
        ended = await run(command, "-", given=JOBS)
    assert ended.status == 1
    assert all("schema" in a["errorMsg"] for a in ended.answers.values())


async def test_jobs_without_a_result_time_out_and_the_others_are_answered(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    def respond(record: Record) -> Sequence[Message]:
        return [answer(record, "any")] if record.offset % 2 else []

    async with stand_in(broker.bootstrap_servers, traffic, respond):
        ended = await run(command, "--timeout", "5", "-", given=JOBS)
    assert (ended.status, ended.lines) == (1, 20)
    late = [a for a in ended.answers.values() if a["errorCode"] is None]
    assert {a["errorMsg"] for a in late} == {"no result within 5 s"}
    assert len(late) == 10
    for a in late:
        assert f"{a['job']}: no result within 5 s" in ended.err


async def test_interrupt_while_waiting(
    broker: KafkaBroker, traffic: Traffic, command: Command
) -> None:
    await traffic.create_topics()
    process = command.start("-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    # Standard input stays open: it waits for more lines as well as for the result.
    process.stdin.write('{"image": "aGVsbG8="}\n')
    process.stdin.flush()
    await _until_sent(broker.bootstrap_servers, traffic)
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(until, lambda: process.poll() is not None, "it ends", 20.0)
    out, err = process.communicate()
    assert (process.returncode, out) == (130, "")
    assert err == "classify-worker: 1 of 1 jobs were not waited for\n"


async def _until_sent(bootstrap_servers: str, traffic: Traffic) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
    await consumer.start()
    partition = TopicPartition(traffic.names.jobs, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    try:
        async with asyncio.timeout(BOUND):
            await consumer.getone()
    finally:
        await consumer.stop()
