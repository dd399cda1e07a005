"""Over HTTP: the worker and PaddleX's service, with the same requests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import aiohttp
import orjson
from rich.console import Console

from benchmarks.peers.agreement import check_agreement
from benchmarks.peers.bare_services import start_limits
from benchmarks.peers.bench import BACKENDS, Bench, Contest
from benchmarks.peers.clients import Load, Service, ask, body_of, measure
from benchmarks.peers.comparison import WORKER, in_rounds, line
from benchmarks.peers.limit import LIMITS
from benchmarks.peers.peer_process import PeerProcess, paddlex_environment
from demo.ports import free_ports
from demo.worker_process import WorkerProcess
from worker.bench.measurement import Measurement

__all__ = ["CLIENTS", "SERVICE", "SERVICES", "measure_http"]

SERVICE = "PaddleX's service"
SERVICES = (*(f"{WORKER} {backend}" for backend in BACKENDS), *LIMITS, SERVICE)

CLIENTS = (8, 1)
START = 180.0


def measure_http(
    bench: Bench, contest: Contest, names: Sequence[str], console: Console
) -> Iterator[Measurement]:
    """Check that all services answer the same, then measure all in turn.

    All run all the time: those that are not asked wait, and take nothing.

    Yields:
        Each measurement, as soon as it is made.

    Raises:
        DisagreementError: their answers differ.
        DemoError: a service does not answer; the message has the end of its log.
    """
    limits = [name for name in names if name in LIMITS]
    programs = [name for name in names if name not in LIMITS]
    answers = {}
    for name in programs:
        with ExitStack() as stack:
            service = _start(bench, name, stack, labelled=True)
            answers[name] = asyncio.run(_best(service, bench))
    console.print(check_agreement(answers))
    loads = [Load(clients, pictures) for clients in CLIENTS for pictures in (False, True)]
    images = [path.read_bytes() for path in bench.images]
    bodies = {load: [body_of(image, load.pictures) for image in images] for load in loads}
    with ExitStack() as stack:
        services = start_limits(bench, contest, limits, bodies, stack, console) if limits else {}
        for name in programs:
            services[name] = dict.fromkeys(loads, _start(bench, name, stack))
        for number, load, name in in_rounds(contest.rounds, loads, names):
            service = services[name][load]
            answered = asyncio.run(measure(service, bodies[load], load.clients, contest.seconds))
            details = {
                "load": str(load),
                "clients": load.clients,
                "round": number,
                "ms_cpu_by_kind": dict(answered.ms_cpu_by_kind),
                "ms_cpu_of_clients": answered.client_ms_cpu,
            }
            cpu = answered.ms_cpu
            found = Measurement(name, bench.name, load.pictures, answered.rate, cpu, details)
            console.print(line(found))
            yield found


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


async def _best(service: Service, bench: Bench) -> dict[str, int]:
    """The best class that a service answers for each photograph."""
    found = {}
    async with aiohttp.ClientSession(service.url) as session:
        for name, path in bench.photographs.items():
            answer = orjson.loads(await ask(session, body_of(path.read_bytes(), False)))
            found[name] = answer["result"]["categories"][0]["id"]
    return found
