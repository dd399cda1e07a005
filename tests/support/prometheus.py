"""Real Prometheus and Alertmanager for tests, on loopback; scripts/prometheus.sh brings them."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from tests.support.harness import until
from worker.cache import cache_directory

__all__ = ["Server", "alertmanager", "prometheus", "tool"]

BOUND = 60.0
"""Seconds after which a server that does not answer counts as never answering."""


def tool(*names: str) -> str:
    """The path of a program by any of its names, from the path or from the cache."""
    unpacked = cache_directory() / "prometheus" / "usr" / "bin"
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=str(unpacked))
        if found:
            return found
    raise AssertionError(f"{names[0]} is missing; scripts/prometheus.sh brings it")


class Server:
    """A running server's HTTP interface."""

    def __init__(self, address: str) -> None:
        self.address = address

    def is_ready(self) -> bool:
        """Whether it answers queries: it listens before it can."""
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=BOUND):
                return True
        except urllib.error.HTTPError:
            return False

    def ask(self, path: str, **parameters: str) -> Any:
        """The JSON that a GET answers; an error of the server is an assertion with its words."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        try:
            with urllib.request.urlopen(
                f"http://{self.address}{path}{query}", timeout=BOUND
            ) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path} {parameters}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series that an expression has now."""
        answer = self.ask("/api/v1/query", query=expression)
        return cast("list[dict[str, Any]]", answer["data"]["result"])

    def wait_for(self, expression: str, timeout: float = BOUND) -> None:
        """Return once an expression has a series."""
        until(lambda: bool(self.query(expression)), expression, timeout)

    def query_range(
        self, expression: str, start: float, end: float, step: str
    ) -> list[dict[str, Any]]:
        """The series that an expression has from `start` to `end` (seconds since the epoch)."""
        answer = self.ask(
            "/api/v1/query_range", query=expression, start=str(start), end=str(end), step=step
        )
        return cast("list[dict[str, Any]]", answer["data"]["result"])


@contextmanager
def prometheus(configuration: Path, directory: Path) -> Iterator[Server]:
    """Prometheus with this configuration; its data is in `directory`."""
    command = [
        tool("prometheus"),
        f"--config.file={configuration}",
        f"--storage.tsdb.path={directory / 'data'}",
    ]
    with _running(command, directory / "prometheus.jsonl") as server:
        yield server


@contextmanager
def alertmanager(configuration: Path, directory: Path) -> Iterator[Server]:
    """An Alertmanager of its own, which looks for no others."""
    command = [
        tool("alertmanager", "prometheus-alertmanager"),
        f"--config.file={configuration}",
        f"--storage.path={directory / 'alertmanager'}",
        "--cluster.listen-address=",
    ]
    with _running(command, directory / "alertmanager.jsonl") as server:
        yield server


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[Server]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--web.listen-address=127.0.0.1:0", "--log.format=json"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(lambda: process.poll() is not None or _address(log) is not None, "it listens", BOUND)
        address = _address(log)
        assert address is not None, log.read_text("utf-8", "replace")
        server = Server(address)
        until(server.is_ready, "it is ready", BOUND)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(log: Path) -> str | None:
    """Where it listens, once its log says so."""
    for line in log.read_text("utf-8", "replace").splitlines():
        entry = json.loads(line) if line.startswith("{") and line.endswith("}") else {}
        if entry.get("msg") == "Listening on":
            return str(entry["address"])
    return None
