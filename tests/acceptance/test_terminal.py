"""`serve` and `run` as the person at the terminal sees them."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from demo.broker import KafkaBroker
from demo.ports import free_ports
from tests.support.harness import Names
from tests.support.terminal import Terminal


@pytest.fixture
def environ(quick_model: Path) -> dict[str, str]:
    return {
        "WORKER_MODEL": str(quick_model),
        "WORKER_HTTP__HOST": "127.0.0.1",
        "WORKER_HTTP__PORT": "0",
        "WORKER_PREDICTOR__BACKEND": "paddle",
        "WORKER_PREDICTOR__SLOTS": "1",
        "WORKER_PREDICTOR__THREADS": "1",
        "WORKER_BATCHING__MAX_BATCH": "8",
    }


def test_serve_says_where_it_is_and_that_it_has_stopped(environ: dict[str, str]) -> None:
    with Terminal("serve", environ=environ) as terminal:
        terminal.wait_for("ready; Ctrl-C stops")
        found = re.search(r"^page     (http://127\.0\.0\.1:\d+/)$", terminal.text, re.MULTILINE)
        assert found is not None, terminal.text
        assert f"address  {found[1]}image-classification\n" in terminal.text
        with urllib.request.urlopen(found[1], timeout=30) as page:  # noqa: S310 - our own server
            assert b"<html" in page.read()
        terminal.interrupt()
        assert terminal.wait() == 0
        assert terminal.text.endswith("\nstopped\n")
        # For people: no JSON, and times without dates.
        assert re.search(r"^\d\d:\d\d:\d\d \[info\] starting ", terminal.text, re.MULTILINE)
        assert "{" not in terminal.text


def test_an_error_of_usage_breaks_no_word() -> None:
    with Terminal("predict", environ={}, columns=60) as terminal:
        assert terminal.wait() == 2
        assert max(map(len, terminal.text.splitlines())) <= 60
        assert terminal.text.endswith(
            "Error: Invalid value for INPUT: name an image, a directory\n"
            "  or a URL, as in classify-worker predict cat.jpg\n"
        )


def test_a_format_that_is_chosen_is_kept_and_nothing_comes_between(
    environ: dict[str, str],
) -> None:
    with Terminal("serve", environ=environ | {"WORKER_LOG__FORMAT": "json"}) as terminal:
        terminal.wait_for('"event":"warm"')
        terminal.interrupt()
        assert terminal.wait() == 0
        assert all(line.startswith("{") for line in terminal.text.splitlines())


def test_run_says_what_it_waits_for(
    environ: dict[str, str], broker: KafkaBroker, names: Names
) -> None:
    kafka = {
        "WORKER_KAFKA__BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "WORKER_KAFKA__CREATE_TOPICS": "true",
        **names.environ(),
    }
    with Terminal("run", environ=environ | kafka, columns=250) as terminal:
        terminal.wait_for(f"ready, waiting for jobs on {names.jobs}")
        topics = f"{names.jobs}, {names.results}, {names.dead_letters}"
        said = [line for line in terminal.text.splitlines() if not line[:2].isdigit()]
        assert said[1:] == [
            f"brokers  {broker.bootstrap_servers} (PLAINTEXT)",
            f"jobs     {names.jobs}, as a member of group {names.group}",
            f"results  {names.results}; failures also {names.dead_letters}",
            f"waiting for model {environ['WORKER_MODEL']} ...",
            f"waiting for the brokers at {broker.bootstrap_servers} and the topics {topics} ...",
            "waiting for EfficientNet-Lite0 to load ...",
            "waiting for the group to hand out partitions ...",
            f"ready, waiting for jobs on {names.jobs}; Ctrl-C stops",
        ]
        terminal.interrupt()
        assert terminal.wait() == 0
        assert terminal.text.endswith("\nstopped\n")


def test_brokers_that_are_not_there_are_waited_for_by_name(environ: dict[str, str]) -> None:
    (port,) = free_ports(1)
    kafka = {"WORKER_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}
    with Terminal("run", environ=environ | kafka, columns=250) as terminal:
        assert terminal.wait() == 3
        assert f"waiting for the brokers at 127.0.0.1:{port} and the topics" in terminal.text
        assert "stopped" not in terminal.text


def test_brokers_that_cannot_be_reached_are_told_once_in_whole_words() -> None:
    (port,) = free_ports(1)
    server = f"127.0.0.1:{port}"
    arguments = ("submit", "cat.jpg", "--bootstrap-servers", server)
    with Terminal(*arguments, environ={}, columns=60) as terminal:
        terminal.wait_for(f"connecting to {server}")
        assert terminal.wait() == 3
        _, found, error = terminal.text.partition("classify-worker: ")
        assert found
        assert "cannot use the Kafka brokers" in error
        assert "correct kafka.bootstrap_servers" in " ".join(error.split())
        assert max(map(len, f"{found}{error}".splitlines())) <= 60
        assert "aiokafka" not in terminal.text
