"""In Python: `create_pipeline().predict` of PaddleX and of the worker, over the same files."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.peers.agreement import check_agreement
from benchmarks.peers.bench import BACKENDS, Bench, Contest
from benchmarks.peers.comparison import WORKER, in_rounds, line
from benchmarks.peers.peer_process import PeerProcess, paddlex_environment
from worker.bench.measurement import Measurement
from worker.bench.process_tree import look, spent

__all__ = ["LIBRARIES", "LIBRARY", "measure_python"]

LIBRARY = "PaddleX"
LIBRARIES = (*(f"{WORKER} {backend}" for backend in BACKENDS), LIBRARY)

BATCHES = (1, 8)
MODULE = "benchmarks.peers.programs.library"
WARM = 5.0
"""Seconds for which each program predicts before anything is measured."""

PASS = 64
"""Images of one call."""


def measure_python(
    bench: Bench, contest: Contest, names: Sequence[str], console: Console
) -> Iterator[Measurement]:
    """Check that all answer the same, then measure all in turn; pictures are saved in files.

    Yields:
        Each measurement, as soon as it is made.

    Raises:
        DisagreementError: their answers differ.
    """
    answers = {}
    for name in names:
        with ExitStack() as stack:
            process = _start(bench, name, stack, labelled=True)
            answers[name] = _order(process, batch=1, pictures=False, seconds=0.0)["best"]
    console.print(check_agreement(answers))
    with ExitStack() as stack:
        processes = {name: _start(bench, name, stack) for name in names}
        for process in processes.values():
            # What comes but once: the worker's other slots start when images have waited.
            _order(process, batch=1, pictures=False, seconds=WARM)
        loads = [(batch, pictures) for batch in BATCHES for pictures in (False, True)]
        for number, (batch, pictures), name in in_rounds(contest.rounds, loads, names):
            rate, cpu = _measure(processes[name], batch, pictures, contest.seconds)
            details = {"load": f"Python, batch {batch}", "batch": batch, "round": number}
            found = Measurement(name, bench.name, pictures, rate, cpu, details)
            console.print(line(found))
            yield found


def _start(bench: Bench, name: str, stack: ExitStack, *, labelled: bool = False) -> PeerProcess:
    """Start a program that predicts on demand, until `stack` is left."""
    kind = f"{name.replace(' ', '-')}-{'labelled' if labelled else 'speed'}"
    target = bench.directory / f"{kind}-pictures"
    target.mkdir()
    files = bench.photographs.values() if labelled else bench.images
    repeated = len(files) if labelled else PASS
    pipeline = bench.labelled_pipeline if labelled else bench.pipeline
    if name == LIBRARY:
        python = bench.pythons["paddlex"]
        package, fastest = "paddlex", False
        environ = paddlex_environment(python, bench.directory / "paddlex")
    else:
        python, environ = Path(sys.executable), {}
        package, fastest = "worker", name == f"{WORKER} auto"
    arguments = [package, str(pipeline), str(target), str(repeated), "hpi" if fastest else "plain"]
    process = stack.enter_context(
        PeerProcess(
            python,
            MODULE,
            [*arguments, *map(str, files)],
            bench.directory / f"{kind}-python.log",
            environ=environ,
            talk=True,
        )
    )
    process.hear()  # it is ready
    return process


def _measure(
    process: PeerProcess, batch: int, pictures: bool, seconds: float
) -> tuple[float, float]:
    """Let a program predict for a while.

    Returns:
        Images per second, and milliseconds of CPU time of it and its children for each.
    """
    # Some things are made when a batch size is new.
    _order(process, batch=batch, pictures=pictures, seconds=0.0)
    before = look(process.pid)
    done = _order(process, batch=batch, pictures=pictures, seconds=seconds)
    cpu = sum(spent(before, look(process.pid)).values())
    return done["images"] / done["seconds"], cpu * 1000 / done["images"]


def _order(process: PeerProcess, **order: object) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(process.ask(json.dumps(order)))
    return answer
