"""Processes that decode while predictors are measured: there while wanted, and no longer."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from worker.inference.decoding_beside import decoding_beside

BOUND = 30.0


async def test_as_many_as_were_asked_for_decode_until_the_end() -> None:
    async with asyncio.timeout(BOUND):
        async with decoding_beside(2) as pids:
            found = [psutil.Process(pid) for pid in pids]
            assert len(found) == 2
            for one in found:
                before = sum(one.cpu_times()[:2])
                while sum(one.cpu_times()[:2]) <= before:  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(0.01)
                assert one.nice() == min(19, os.nice(0) + 5)
        assert not any(one.is_running() for one in found)


async def test_without_any_nothing_is_started() -> None:
    async with asyncio.timeout(BOUND), decoding_beside(0) as pids:
        assert pids == []


async def test_where_they_end_at_once_the_log_says_so_and_nothing_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    popen, started = subprocess.Popen, []

    def start_failing(_: list[str], **options: Any) -> subprocess.Popen[bytes]:
        started.append(popen([sys.executable, "-c", ""], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", start_failing)
    with capture_logs() as logged:
        async with asyncio.timeout(BOUND), decoding_beside(2) as pids:
            assert pids == []
            assert [process.returncode is None for process in started] == [False, False]
    assert [entry["event"] for entry in logged] == ["decoding_not_begun"]
