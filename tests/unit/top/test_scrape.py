"""Addresses of workers, and what answers there."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler

import pytest

from tests.support.exposition import Answer, saying, serving
from worker.metrics import Metrics
from worker.top.scrape import Address, ScrapeError, read_address, scrape


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:8080", Address(False, "host", 8080)),
        ("host:9090", Address(False, "host", 9090)),
        ("host", Address(False, "host", 8080)),
        ("10.0.0.1:80/", Address(False, "10.0.0.1", 80)),
        ("https://host", Address(True, "host", 443)),
        ("http://[::1]:8080", Address(False, "::1", 8080)),
        ("http://host/a/metrics?x=1", Address(False, "host", 8080, "/a/metrics?x=1")),
    ],
)
def test_addresses_are_read_as_people_write_them(text: str, expected: Address) -> None:
    assert read_address(text) == expected


@pytest.mark.parametrize(
    "text", ["", "http://", "ftp://host", "host:port", "host:99999", "host:0", "http://u:p@host"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no address of a worker; write http://host:8080"):
        read_address(text)


def test_a_workers_metrics_are_read() -> None:
    metrics = Metrics()
    metrics.jobs.labels("success", "ok").inc(3)
    with serving(saying(metrics.render().encode())) as address:
        snapshot = scrape(address)
    assert snapshot.values("classify_jobs_total", outcome="success") == [3.0]
    assert sum(snapshot.values("classify_jobs_total")) == 3.0
    assert snapshot.values("no_such_metric") == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (saying(b"", 404), "no worker: it answers 404"),
        (saying(b"<html>"), "no worker: its answer is no metrics"),
        (saying(b"\xff\xfe{{{"), "no worker: its answer is no metrics"),
        (saying(b"up 1\n"), "no worker: its metrics are of something else"),
        (saying(b"\n" * (16 * 1024 * 1024 + 1)), "no worker: its answer is too large"),
        (lambda request: request.wfile.write(b"garbage\r\n\r\n"), "garbage"),
    ],
)
def test_what_is_no_worker_is_said(answer: Answer, said: str) -> None:
    with serving(answer) as address, pytest.raises(ScrapeError, match=said):
        scrape(address)


@pytest.mark.parametrize("host", ["worker..local", f"{'a' * 64}.local"])
def test_a_host_that_is_no_name_is_said(host: str) -> None:
    with pytest.raises(ScrapeError, match="label"):
        scrape(read_address(f"http://{host}"))


def test_nothing_there_is_said(unused_port: int) -> None:
    with pytest.raises(ScrapeError, match="connection refused"):
        scrape(Address(False, "127.0.0.1", unused_port))


def test_an_answer_that_does_not_come_is_given_up() -> None:
    done = threading.Event()

    def hold(_request: BaseHTTPRequestHandler) -> None:
        done.wait(30)

    with serving(hold) as address:
        with pytest.raises(ScrapeError, match=r"no answer within 0\.2 s"):
            scrape(address, 0.2)
        done.set()


def test_an_answer_that_never_ends_is_given_up() -> None:
    done = threading.Event()

    def drip(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.end_headers()
        while not done.wait(0.01):
            request.wfile.write(b"#\n")

    with serving(drip) as address:
        with pytest.raises(ScrapeError, match=r"no answer within 0\.3 s"):
            scrape(address, 0.3)
        done.set()
