"""Unit tests are pure: no broker, no model, no other process, no library that runs networks."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterator

import pytest

PROCESSES = frozenset({"os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
RUNTIMES = frozenset({"onnxruntime", "openvino", "paddle"})
SHARED = frozenset({"broker", "kafka_jars", "make_broker", "model_dir"})
"""Fixtures that start or load something large."""


class _Guard:
    """Watches what the interpreter does: an audit hook, which cannot be taken out again."""

    active = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.active:
            return
        if event in PROCESSES or event == "subprocess.Popen":
            pytest.fail(f"{event} in a unit test: move the test to tests/component")
        if event == "import" and arguments[0] in RUNTIMES:
            pytest.fail(f"import {arguments[0]} in a unit test: move the test to tests/component")


_guard = _Guard()
sys.addaudithook(_guard)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Refuse fixtures that unit tests have no use for."""
    used = SHARED.intersection(getattr(item, "fixturenames", ()))
    if used:
        raise pytest.UsageError(
            f"{item.nodeid} uses {', '.join(sorted(used))}: see tests/component"
        )


@pytest.fixture(autouse=True)
def _pure() -> Iterator[None]:
    _guard.active = True
    yield
    _guard.active = False


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port on 127.0.0.1 that nobody listens on: bound, so that nobody else can."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    """What a test sets up for logging ends with it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
