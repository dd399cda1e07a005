"""Over HTTP: the worker and PaddleX's service, with the same requests."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson
import pybase64
from rich.console import Console

from benchmarks.peers.agreement import check_agreement
from benchmarks.peers.bench import BACKENDS, Bench, Contest
from benchmarks.peers.comparison import WORKER, in_rounds, in_turn, line
from benchmarks.peers.limit import LIMIT, Limit
from benchmarks.peers.peer_process import PeerProcess, paddlex_environment
from demo.ports import free_ports
from demo.worker_process import WorkerProcess
from worker.bench.codec import KEPT_MEMORY
from worker.bench.measurement import Measurement
from worker.bench.process_tree import look, spent
from worker.inference.placement import available_cores

__all__ = [
    "SERVICE",
    "SERVICES",
    "Service",
    "ask",
    "body_of",
    "measure",
    "measure_http",
    "start_bare",
]

SERVICE = "PaddleX's service"
SERVICES = (*(f"{WORKER} {backend}" for backend in BACKENDS), LIMIT, SERVICE)

CLIENTS = (8, 1)
PATH = "/image-classification"
START = 180.0
WARM = 1.0
"""Seconds of requests before a measurement begins."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers.

    Attributes:
        url: its address, without a slash at the end.
        pid: its process, below which all others of it are.
    """

    url: str
    pid: int


def measure_http(
    bench: Bench, contest: Contest, names: Sequence[str], console: Console
) -> Iterator[Measurement]:
    """Check that all services answer the same, then measure all in turn.

    All run all the time: those that are not asked wait, and take nothing.

    The limit of many clients is what the cores can do in the CPU time of network, codecs and the
    clients themselves; that of one client is a bare service, which is measured as all others are.

    Yields:
        Each measurement, as soon as it is made.

    Raises:
        DisagreementError: their answers differ.
    """
    answers = {}
    limit = Limit(bench, contest.seconds, console.print) if LIMIT in names else None
    names = [name for name in names if name != LIMIT]
    for name in names:
        with ExitStack() as stack:
            service = _start(bench, name, stack, labelled=True)
            answers[name] = asyncio.run(_best(service, bench))
    console.print(check_agreement(answers))
    with ExitStack() as stack:
        services = {name: _start(bench, name, stack) for name in names}
        bare = None
        if limit is not None:
            bare = start_bare(bench.model, limit.backend, bench.directory, stack)
        loads = [(clients, pictures) for clients in CLIENTS for pictures in (False, True)]
        images = [path.read_bytes() for path in bench.images]
        bodies = {
            pictures: [body_of(image, pictures) for image in images] for pictures in (False, True)
        }
        for number, (clients, pictures), name in in_rounds(contest.rounds, loads, names):
            measured = measure(services[name], bodies[pictures], clients, contest.seconds)
            rate, cpu, client = asyncio.run(measured)
            load = f"HTTP, {clients} client{'s' if clients > 1 else ''}"
            details = {"load": load, "clients": clients, "round": number}
            found = Measurement(name, bench.name, pictures, rate, cpu, details)
            console.print(line(found))
            yield found
            if limit is not None and bare is not None and name == in_turn(names, number)[-1]:
                if clients == 1:
                    measured = measure(bare, bodies[pictures], clients, contest.seconds)
                    rate, cpu, _ = asyncio.run(measured)
                else:
                    cpu, parts = limit.measure(pictures=pictures)
                    rate = available_cores() * 1000 / (cpu + client)
                    details = {**details, "ms_cpu_by_kind": parts}
                found = Measurement(LIMIT, bench.name, pictures, rate, cpu, details)
                console.print(line(found))
                yield found


def start_bare(model: Path, backend: str, directory: Path, stack: ExitStack) -> Service:
    """Start a service that decodes, computes and draws where it reads, until `stack` is left.

    Args:
        backend: what computes, on all cores.
        directory: for its log.

    Returns:
        The service, which answers from then on.

    Raises:
        DemoError: it does not; the message has the end of its log.
    """
    (port,) = free_ports(1)
    threads = str(available_cores())
    bare = stack.enter_context(
        PeerProcess(
            Path(sys.executable),
            "benchmarks.peers.programs.bare_service",
            [str(port), str(model), backend, threads],
            directory / "bare-service.log",
            environ={**KEPT_MEMORY, "OMP_NUM_THREADS": threads},
        )
    )
    url = f"http://127.0.0.1:{port}"
    bare.wait_for_url(f"{url}/health", START)
    return Service(url, bare.pid)


def _start(bench: Bench, name: str, stack: ExitStack, *, labelled: bool = False) -> Service:
    """Start a service, which answers from then on, until `stack` is left."""
    log = bench.directory / f"{name.replace(' ', '-')}-{'labelled' if labelled else 'speed'}.log"
    if name == SERVICE:
        python = bench.pythons["paddlex"]
        pipeline = bench.labelled_pipeline if labelled else bench.pipeline
        (port,) = free_ports(1)
        arguments = ["--serve", "--pipeline", str(pipeline)]
        peer = stack.enter_context(
            PeerProcess(
                python,
                "paddlex",
                [*arguments, "--host", "127.0.0.1", "--port", str(port)],
                log,
                environ=paddlex_environment(python, bench.directory / "paddlex"),
            )
        )
        url = f"http://127.0.0.1:{port}"
        peer.wait_for_url(f"{url}/health", START)
        return Service(url, peer.pid)
    settings = {
        "WORKER_MODEL": str(bench.labelled if labelled else bench.model),
        "WORKER_PREDICTOR__BACKEND": name.removeprefix(WORKER).strip(),
    }
    worker = stack.enter_context(WorkerProcess(settings, log, "serve"))
    worker.wait_until_ready(START)
    return Service(worker.url, worker.pid)


def body_of(image: bytes, pictures: bool) -> bytes:
    """Make the body of a request.

    Args:
        pictures: whether it asks for the labelled picture.

    Returns:
        JSON.
    """
    return orjson.dumps({"image": pybase64.b64encode_as_string(image), "visualize": pictures})


async def _best(service: Service, bench: Bench) -> dict[str, int]:
    """The best class that a service answers for each photograph."""
    found = {}
    async with aiohttp.ClientSession(service.url) as session:
        for name, path in bench.photographs.items():
            answer = orjson.loads(await ask(session, body_of(path.read_bytes(), False)))
            found[name] = answer["result"]["categories"][0]["id"]
    return found


async def measure(
    service: Service, bodies: Sequence[bytes], clients: int, seconds: float
) -> tuple[float, float, float]:
    """Let clients ask, each its next question when the last is answered.

    Args:
        bodies: of the requests, in turn.
        seconds: that are measured, after a second of the same.

    Returns:
        Answers per second, and milliseconds of CPU time of the service and of clients for each.
    """
    done, end = 0, False

    async def keep_asking(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal done
        while not end:
            await ask(session, bodies[number % len(bodies)])
            done += 1
            number += 1

    async with aiohttp.ClientSession(service.url) as session, asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(keep_asking(session, number))
        await asyncio.sleep(WARM)
        before, first, began = look(service.pid), done, time.perf_counter()
        own = time.process_time()
        await asyncio.sleep(seconds)
        own = time.process_time() - own
        after, last, ended = look(service.pid), done, time.perf_counter()
        end = True
    images = max(1, last - first)
    cpu = sum(spent(before, after).values())
    return (last - first) / (ended - began), cpu * 1000 / images, own * 1000 / images


async def ask(session: aiohttp.ClientSession, body: bytes) -> bytes:
    """Send a request.

    Returns:
        The answer's body.

    Raises:
        ClientError: it is refused, or the service is gone.
    """
    headers = {"Content-Type": "application/json"}
    async with session.post(PATH, data=body, headers=headers) as response:
        response.raise_for_status()
        return await response.read()
