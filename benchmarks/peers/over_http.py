"""Over HTTP: the worker and PaddleX's service, with the same requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

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
from worker.bench.measurement import Measurement
from worker.bench.process_tree import look, spent
from worker.inference.placement import available_cores

__all__ = ["SERVICE", "SERVICES", "measure_http"]

SERVICE = "PaddleX's service"
SERVICES = (*(f"{WORKER} {backend}" for backend in BACKENDS), LIMIT, SERVICE)

CLIENTS = (8, 1)
PATH = "/image-classification"
START = 180.0
WARM = 1.0
"""Seconds of requests before a measurement begins."""


@dataclass(frozen=True, slots=True)
class _Service:
    url: str
    pid: int


def measure_http(
    bench: Bench, contest: Contest, names: Sequence[str], console: Console
) -> Iterator[Measurement]:
    """Check that all services answer the same, then measure all in turn.

    All run all the time: those that are not asked wait, and take nothing.

    The limit of many clients is what the cores can do in the CPU time of network, codecs and the
    clients themselves; that of one client is one image after the other, and the client's time.

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
        loads = [(clients, pictures) for clients in CLIENTS for pictures in (False, True)]
        images = [path.read_bytes() for path in bench.images]
        bodies = {
            pictures: [_body(image, pictures) for image in images] for pictures in (False, True)
        }
        for number, (clients, pictures), name in in_rounds(contest.rounds, loads, names):
            measured = _measure(services[name], bodies[pictures], clients, contest.seconds)
            rate, cpu, client = asyncio.run(measured)
            load = f"HTTP, {clients} client{'s' if clients > 1 else ''}"
            details = {"load": load, "clients": clients, "round": number}
            found = Measurement(name, bench.name, pictures, rate, cpu, details)
            console.print(line(found))
            yield found
            if limit is not None and name == in_turn(names, number)[-1]:
                rate, cpu, parts = _at_best(limit, clients, client, pictures)
                details = {**details, "ms_cpu_by_kind": parts}
                found = Measurement(LIMIT, bench.name, pictures, rate, cpu, details)
                console.print(line(found))
                yield found


def _at_best(
    limit: Limit, clients: int, client: float, pictures: bool
) -> tuple[float, float, dict[str, float]]:
    """Images/s and CPU time of a service that takes nothing besides network and codecs."""
    cpu, parts = limit.measure(pictures=pictures)
    if clients == 1:
        return 1 / (limit.alone(pictures=pictures) + client / 1000), cpu, parts
    return available_cores() * 1000 / (cpu + client), cpu, parts


def _start(bench: Bench, name: str, stack: ExitStack, *, labelled: bool = False) -> _Service:
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
        return _Service(url, peer.pid)
    settings = {
        "WORKER_MODEL": str(bench.labelled if labelled else bench.model),
        "WORKER_PREDICTOR__BACKEND": name.removeprefix(WORKER).strip(),
    }
    worker = stack.enter_context(WorkerProcess(settings, log, "serve"))
    worker.wait_until_ready(START)
    return _Service(worker.url, worker.pid)


def _body(image: bytes, pictures: bool) -> bytes:
    return orjson.dumps({"image": pybase64.b64encode_as_string(image), "visualize": pictures})


async def _best(service: _Service, bench: Bench) -> dict[str, int]:
    """The best class that a service answers for each photograph."""
    found = {}
    async with aiohttp.ClientSession(service.url) as session:
        for name, path in bench.photographs.items():
            answer = orjson.loads(await _ask(session, _body(path.read_bytes(), False)))
            found[name] = answer["result"]["categories"][0]["id"]
    return found


async def _measure(
    service: _Service, bodies: Sequence[bytes], clients: int, seconds: float
) -> tuple[float, float, float]:
    """Let clients ask, each its next question when the last is answered.

    Returns:
        Answers per second, and milliseconds of CPU time of the service and of clients for each.
    """
    done, end = 0, False

    async def ask(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal done
        while not end:
            await _ask(session, bodies[number % len(bodies)])
            done += 1
            number += 1

    async with aiohttp.ClientSession(service.url) as session, asyncio.TaskGroup() as group:
        for number in range(clients):
            group.create_task(ask(session, number))
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


async def _ask(session: aiohttp.ClientSession, body: bytes) -> bytes:
    headers = {"Content-Type": "application/json"}
    async with session.post(PATH, data=body, headers=headers) as response:
        response.raise_for_status()
        return await response.read()
