"""`classify-worker dead-letters` as its users run it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.support.terminal import Terminal
from tests.support.topics import CreateTopic
from worker.contract.dead_letters import dead_letter_message
from worker.contract.records import Record
from worker.errors import Failure, Reason, Stage
from worker.settings import KafkaSettings

PNG = b"\x89PNG\r\n\x1a\n" + bytes(40)
URL = "https://user:pass@example.org/cat.jpg?signature=s3cret"
FAILURE = Failure(Reason.FETCH_TIMEOUT, "no answer\x1b[31m in time", Stage.FETCH, attempts=4)
BOUND = 60.0


class Command:
    """The command for the topics of one test."""

    def __init__(self, kafka: KafkaSettings) -> None:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WORKER_")}
        self.settings = {
            "WORKER_KAFKA__BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
            "WORKER_KAFKA__JOBS_TOPIC": kafka.jobs_topic,
            "WORKER_KAFKA__RESULTS_TOPIC": kafka.results_topic,
            "WORKER_KAFKA__DEAD_LETTERS_TOPIC": kafka.dead_letters_topic,
            "WORKER_KAFKA__GROUP_ID": kafka.group_id,
        }
        self._environ = inherited | self.settings

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "worker", "dead-letters", *arguments],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> tuple[int, list[dict[str, Any]], str]:
        """Its exit status, its JSON lines, and its standard error."""
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=BOUND)
        return process.returncode, [json.loads(line) for line in out.splitlines()], err


@pytest.fixture
async def command(kafka: KafkaSettings, create_topic: CreateTopic) -> Command:
    """With eight letters: of a raw image, of a URL with secrets, and six more."""
    await create_topic(kafka.jobs_topic)
    await create_topic(kafka.dead_letters_topic)
    raw = [("content-type", b"image/png"), ("authorization", b"Bearer t0ken")]
    values = [(PNG, raw), (json.dumps({"image": URL}).encode(), [])]
    values += [(b'{"image": "QUJD"}', [])] * 6
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers) as producer:
        for number, (value, headers) in enumerate(values):
            record = Record(kafka.jobs_topic, 0, number, 0, b"k%d" % number, value, headers)
            letter = dead_letter_message(record, f"job-{number}", FAILURE, "PP-LCNet_x1_0")
            await producer.send_and_wait(
                kafka.dead_letters_topic, letter.value, letter.key, headers=list(letter.headers)
            )
    return Command(kafka)


async def test_a_killed_replay_is_ended_by_the_next_without_doubles(
    command: Command, kafka: KafkaSettings
) -> None:
    begun = command.start("replay", "--rate", "1.9")  # so one at a time
    assert begun.stdout is not None
    with begun:
        put_back = [json.loads(begun.stdout.readline())["key"] for _ in range(3)]
        begun.send_signal(signal.SIGKILL)
        begun.communicate(timeout=BOUND)
    assert put_back == ["k0", "k1", "k2"]
    status, rest, err = command("replay")
    assert status == 0, err
    assert {each["key"] for each in rest} <= {f"k{number}" for number in range(3, 8)}
    status, none, err = command("replay", "--reason", "fetch_timeout")
    assert (status, none) == (0, [])
    assert "8 records replayed before" in err
    where = TopicPartition(kafka.jobs_topic, 0)
    async with AIOKafkaConsumer(
        bootstrap_servers=kafka.bootstrap_servers,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    ) as consumer:
        consumer.assign([where])
        [end] = (await consumer.end_offsets([where])).values()
        keys = []
        while await consumer.position(where) < end:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                keys += [record.key for record in records]
    assert keys == [b"k%d" % number for number in range(8)]
    _, listed, _ = command("list", "--limit", "2")
    assert [(each["key"], each["replayed"]) for each in listed] == [("k7", True), ("k6", True)]


def test_letters_are_shown_without_secrets_and_images_saved(
    command: Command, tmp_path: Path
) -> None:
    status, [shown], err = command("show", "job-0", "--save", str(tmp_path / "image"))
    assert status == 0, err
    assert (tmp_path / "image.png").read_bytes() == PNG
    assert shown["headers"] == [
        {"name": "content-type", "value": "image/png"},
        {"name": "authorization", "value": "[redacted]"},
    ]
    assert (shown["reason"], shown["replayed"], shown["model"]) == (
        "fetch_timeout",
        False,
        "PP-LCNet_x1_0",
    )
    with command.start("show", "0-1", "--format", "table", "--save", str(tmp_path)) as process:
        out, err = process.communicate(timeout=BOUND)
    assert process.returncode == 1
    assert "no image of its own" in err
    assert "example.org/cat.jpg?[redacted]" in out
    assert "\x1b" not in out
    assert "s3cret" not in out + err
    assert command("show", "0-99")[0] == 1


def test_a_purge_is_asked_for_tried_and_done(command: Command) -> None:
    status, _, err = command("purge", "--until", "0s")
    assert status == 2
    assert "--yes" in err
    status, [would], err = command("purge", "--to-offset", "3", "--dry-run")
    assert status == 0, err
    assert (would["first"], would["last"], would["dryRun"]) == (0, 2, True)
    status, [done], err = command("purge", "--to-offset", "3", "--yes")
    assert (status, done["last"]) == (0, 2), err
    status, listed, _ = command("list")
    assert (status, [each["offset"] for each in listed]) == (0, [3, 4, 5, 6, 7])


def test_a_purge_asks_at_a_terminal_where_ctrl_c_ends_it(command: Command) -> None:
    purge = ("dead-letters", "purge", "--to-offset", "3")
    with Terminal(*purge, environ=command.settings) as terminal:
        terminal.wait_for("Delete up to 3 dead letters")
        terminal.wait_for("[y/N]")
        terminal.interrupt()
        assert terminal.wait() == 130
    with Terminal(*purge, environ=command.settings) as terminal:
        terminal.wait_for("[y/N]")
        terminal.press("n\n")
        assert terminal.wait() == 1
        assert "nothing was deleted" in terminal.text
    assert len(command("list")[1]) == 8


def test_a_filtered_purge_is_refused_and_says_what_to_do_instead(kafka: KafkaSettings) -> None:
    status, _, err = Command(kafka)("purge", "--until", "1d", "--reason", "not_found", "--yes")
    assert status == 2
    assert "--reason: Kafka deletes only from the beginning" in " ".join(err.split())


def test_a_partition_that_is_missing_is_named(command: Command, kafka: KafkaSettings) -> None:
    for action in (("list",), ("list", "--limit", "3"), ("replay", "--dry-run")):
        status, letters, err = command(*action, "--partition", "7")
        assert (status, letters) == (2, [])
        assert f"--partition 7: topic {kafka.dead_letters_topic} has one partition, 0" in err


def test_a_topic_that_is_missing_is_named(kafka: KafkaSettings) -> None:
    status, _, err = Command(kafka)("list")
    assert status == 3
    assert f"there is no topic {kafka.dead_letters_topic}" in err
