"""A peer's process is talked to, and its end is noticed."""

from __future__ import annotations

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import talking_process
from benchmarks.peers.peer_process import PeerProcess
from demo.errors import DemoError

pytestmark = pytest.mark.component

PYTHON = Path(sys.executable)


def program(directory: Path, text: str) -> dict[str, str]:
    """Write a module `peer`; gives the variables by which it is found."""
    (directory / "peer.py").write_text(text)
    return {"PYTHONPATH": str(directory)}


def test_lines_are_exchanged_and_the_process_is_gone_afterwards(tmp_path: Path) -> None:
    environ = program(
        tmp_path, "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"
    )
    with PeerProcess(PYTHON, "peer", [], tmp_path / "log", environ=environ, talk=True) as peer:
        assert peer.ask("one") == "ONE"
        assert peer.ask("two") == "TWO"
        pid = peer.pid
    assert not psutil.pid_exists(pid)


def test_a_peer_that_ends_is_reported_with_its_log(tmp_path: Path) -> None:
    environ = program(tmp_path, "raise SystemExit('no model here')")
    with (
        PeerProcess(PYTHON, "peer", [], tmp_path / "log", environ=environ, talk=True) as peer,
        pytest.raises(DemoError, match="no model here"),
    ):
        peer.hear()


def test_a_service_that_ends_is_not_waited_for(tmp_path: Path) -> None:
    environ = program(tmp_path, "raise SystemExit('no port for me')")
    with (
        PeerProcess(PYTHON, "peer", [], tmp_path / "log", environ=environ) as peer,
        pytest.raises(DemoError, match="no port for me"),
    ):
        peer.wait_for_url("http://127.0.0.1:9/health", timeout=60)


def test_a_peer_that_never_answers_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(talking_process, "ANSWER", 0.01)
    environ = program(tmp_path, "import signal\nsignal.pause()")
    with (
        PeerProcess(PYTHON, "peer", [], tmp_path / "log", environ=environ, talk=True) as peer,
        pytest.raises(DemoError, match="did not answer"),
    ):
        peer.hear()
