"""The limits over HTTP: bare services for one client, and for many.

`LIMIT`: one client's image has all cores, and is decoded, computed and drawn where its request is
read. For many clients codecs and predictors are processes of their own, and all that nobody can
leave out runs at once, but no image is handed over. `APART`: each image is.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from benchmarks.bare_program import work_together
from benchmarks.peers.bench import Bench, Contest
from benchmarks.peers.clients import Load, Service, measure
from benchmarks.peers.limit import APART, LIMIT, backends
from benchmarks.peers.peer_process import PeerProcess
from demo.ports import free_ports
from worker.bench.bare import layouts
from worker.bench.codec import KEPT_MEMORY
from worker.bench.limit import Contender
from worker.inference.placement import available_cores

__all__ = ["Together", "sharings", "start_limits", "start_one_by_one", "start_together"]

START = 180.0
"""Seconds for a service to answer."""

TRIED = 2.0
"""Seconds of each trial, after one that is not measured."""

BATCHES = ((1, 1), (2, 2), (4, 4), (1, 8))
"""Images that a predictor waits for, and most at once: fixed batches, and whatever is there."""


@dataclass(frozen=True, slots=True)
class Together:
    """Codecs and predictors beside a service.

    Attributes:
        contender: what predictors compute with; no more than its batch at once.
        least: images that a predictor waits for.
    """

    contender: Contender
    least: int

    def __str__(self) -> str:
        return f"{self.contender}, {self.least} at least"


def sharings(names: Sequence[str], clients: int, cores: int) -> Iterator[Together]:
    """Choose what is tried: each backend in each layout with each kind of batches.

    Predictors that wait for whole batches hold images for which others wait: there have to be
    clients enough for one of them to have its batch. No more than all clients' images are there.

    Yields:
        Each of them.
    """
    for backend in names:
        for layout in layouts(cores):
            for least, most in BATCHES:
                if layout.processes * (least - 1) < clients and most <= clients:
                    yield Together(Contender(backend, layout, most), least)


def start_limits(
    bench: Bench,
    contest: Contest,
    limits: Sequence[str],
    bodies: Mapping[Load, Sequence[bytes]],
    stack: ExitStack,
    console: Console,
) -> dict[str, dict[Load, Service]]:
    """Start limits for each load that they are of, until `stack` is left.

    Each backend that is about the fastest is tried, where it is a process of its own in all
    `sharings`, and what gives the most answers is taken.

    Args:
        limits: of `LIMITS`.
        bodies: of each load's requests.

    Returns:
        The services of each limit.

    Raises:
        DemoError: one does not answer; the message has the end of its log.
    """
    names = [each.backend for each in backends(bench, contest.seconds, console.print)]

    def start(limit: str, load: Load) -> Service:
        rates: dict[str | Together, float] = {}
        for each in (
            names
            if limit == LIMIT and load.clients == 1
            else sharings(names, load.clients, available_cores())
        ):
            with ExitStack() as trial:
                service = _start_limit(bench, limit, each, trial, pictures=load.pictures)
                answered = asyncio.run(measure(service, bodies[load], load.clients, TRIED))
                rates[each] = answered.rate
            what = f"{load}{', pictures' if load.pictures else ''}, {each}"
            console.print(f"{limit}, {what}: {rates[each]:.1f} images/s")
        best = max(rates, key=rates.__getitem__)
        return _start_limit(bench, limit, best, stack, pictures=load.pictures)

    return {limit: {load: start(limit, load) for load in bodies} for limit in limits}


def _start_limit(
    bench: Bench, limit: str, chosen: str | Together, stack: ExitStack, *, pictures: bool
) -> Service:
    if isinstance(chosen, str):
        return start_one_by_one(bench, chosen, stack)
    return start_together(bench, chosen, stack, pictures=pictures, handed_over=limit == APART)


def start_one_by_one(bench: Bench, backend: str, stack: ExitStack) -> Service:
    """Start a service that decodes, computes and draws where it reads, until `stack` is left.

    Args:
        backend: what computes, on all cores.

    Returns:
        The service, which answers from then on.

    Raises:
        DemoError: it does not; the message has the end of its log.
    """
    threads = available_cores()
    work = {"model": str(bench.model), "backend": backend, "threads": threads}
    return _start(work, threads, bench.directory, stack)


def start_together(
    bench: Bench, together: Together, stack: ExitStack, *, pictures: bool, handed_over: bool = False
) -> Service:
    """Start a service beside codecs and predictors that do as much work, until `stack` is left.

    Args:
        pictures: whether codecs draw and encode too.
        handed_over: whether they work on the very images that are asked for.

    Returns:
        As `start_one_by_one`.

    Raises:
        DemoError: it does not answer.
    """
    work = work_together(
        bench.model,
        bench.images,
        together.contender,
        pictures=pictures,
        least=together.least,
        handed_over=handed_over,
    )
    return _start(work, 1, bench.directory, stack)


def _start(work: Mapping[str, object], threads: int, logs: Path, stack: ExitStack) -> Service:
    (port,) = free_ports(1)
    bare = stack.enter_context(
        PeerProcess(
            Path(sys.executable),
            "benchmarks.peers.programs.bare_service",
            [str(port), json.dumps(work)],
            logs / f"bare-service-{port}.log",
            environ={**KEPT_MEMORY, "OMP_NUM_THREADS": str(threads)},
        )
    )
    url = f"http://127.0.0.1:{port}"
    bare.wait_for_url(f"{url}/health", START)
    return Service(url, bare.pid)
