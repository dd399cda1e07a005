"""Executes the faults of a schedule, each of which leaves behind what can recover."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from types import MappingProxyType

import psutil

from chaos.environment import Environment
from chaos.fleet import Replica
from chaos.history import Hit
from chaos.schedule import Fault, Kind
from worker.cache import CACHE_VARIABLE

__all__ = ["Nothing", "execute"]

_SLOWNESS = 0.15
"""Seconds for which each piece of data is held up on a slow connection."""

_HOST_DELAY = 1.5

_ANEW_SECONDS = 30.0
"""For a worker that is down when the jobs topic is made again."""

_FILL_SECONDS = 2.0
"""Workers are not stopped for so long that their sessions end."""

_PREDICTORS = "worker.predictor."
_IMAGE_PROCESSES = "worker.images.forks"


class Nothing(Exception):  # noqa: N818 - no error: the fault had nothing to act on
    """There was nothing that the fault could act on."""


async def execute(fault: Fault, on: Environment) -> None:
    """Execute a fault, and return when it is over.

    Raises:
        Nothing: it could not happen.
        DemoError: what should have come up again did not.
    """
    await _ACTIONS[fault.kind](fault, on)


def _mortal(fault: Fault, on: Environment) -> Replica:
    return on.fleet.mortal[fault.target % len(on.fleet.mortal)]


def _any_replica(fault: Fault, on: Environment) -> Replica:
    return on.fleet.replicas[fault.target % len(on.fleet.replicas)]


async def _worker_kill(fault: Fault, on: Environment) -> None:
    replica = _mortal(fault, on)
    async with replica.lock:
        await replica.kill()
        await asyncio.sleep(fault.seconds)
        await replica.start()


async def _worker_term(fault: Fault, on: Environment) -> None:
    replica = _mortal(fault, on)
    async with replica.lock:
        await replica.terminate()
        await replica.start()


async def _worker_zombie(fault: Fault, on: Environment) -> None:
    replica = _any_replica(fault, on)
    async with replica.lock:
        pid = replica.process.pid
        _send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            _send(pid, signal.SIGCONT)


async def _rolling_restart(_fault: Fault, on: Environment) -> None:
    for replica in on.fleet.mortal:
        async with replica.lock:
            await replica.terminate()
            await on.fleet.start_again(replica)


async def _cache_full(fault: Fault, on: Environment) -> None:
    replica = _mortal(fault, on)
    async with replica.lock:
        await replica.terminate()
        await on.fleet.start_again(replica, {CACHE_VARIABLE: str(on.full_cache)})


def _child_signal(
    number: signal.Signals, package: str, *, noted: bool = False
) -> Callable[[Fault, Environment], Awaitable[None]]:
    async def act(fault: Fault, on: Environment) -> None:
        replica = _any_replica(fault, on)
        async with replica.lock:
            children = replica.children(package)
            if not children:
                raise Nothing
            if noted:
                on.hits.append(Hit(replica.process.pid, round(time.time() * 1000)))
            _send(children[fault.target % len(children)].pid, number)

    return act


def _send(pid: int, number: signal.Signals) -> None:
    if pid and psutil.pid_exists(pid):
        os.kill(pid, number)


async def _broker_kill(fault: Fault, on: Environment) -> None:
    async with on.brokers_lock:
        broker = on.cluster.brokers[fault.target % len(on.cluster.brokers)]
        await asyncio.to_thread(broker.kill)
        await asyncio.sleep(fault.seconds)
        await asyncio.to_thread(broker.start, 120.0)


async def _broker_pause(fault: Fault, on: Environment) -> None:
    async with on.brokers_lock:
        broker = on.cluster.brokers[fault.target % len(on.cluster.brokers)]
        await asyncio.to_thread(broker.pause)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            broker.resume()


async def _connections_cut(fault: Fault, on: Environment) -> None:
    async with on.network_lock:
        on.proxies[fault.target % len(on.proxies)].cut()


async def _connections_slow(fault: Fault, on: Environment) -> None:
    async with on.network_lock:
        proxy = on.proxies[fault.target % len(on.proxies)]
        proxy.delay = _SLOWNESS
        await asyncio.sleep(fault.seconds)
        proxy.heal()


async def _connections_silent(fault: Fault, on: Environment) -> None:
    async with on.network_lock:
        proxy = on.proxies[fault.target % len(on.proxies)]
        proxy.silence()
        await asyncio.sleep(fault.seconds)
        proxy.heal()


async def _host_slow(fault: Fault, on: Environment) -> None:
    async with on.host_lock:
        on.host.delay = _HOST_DELAY
        await asyncio.sleep(fault.seconds)
        on.host.delay = 0.0


async def _host_dies(fault: Fault, on: Environment) -> None:
    async with on.host_lock:
        on.host.dying = True
        await asyncio.sleep(fault.seconds)
        on.host.dying = False


async def _clock_skew(fault: Fault, on: Environment) -> None:
    on.traffic.ahead = fault.ahead
    on.traffic.skewed = fault.jobs


async def _more_partitions(_fault: Fault, on: Environment) -> None:
    async with on.brokers_lock:
        await on.topics.grow()


async def _records_deleted(fault: Fault, on: Environment) -> None:
    async with on.brokers_lock, _backlog(on):
        removal = await on.topics.delete_unread(fault.target, fault.jobs)
    if removal is None:
        raise Nothing
    on.traffic.remove(removal)


async def _topic_recreated(_fault: Fault, on: Environment) -> None:
    """Nothing is sent to the new topic before the group reads it from its beginning.

    By Kafka's protocol without topic ids, a consumer whose next offset exists in the new topic too
    cannot know that it is another topic.
    """
    async with on.brokers_lock, AsyncExitStack() as holding:
        async with _backlog(on):
            await holding.enter_async_context(on.traffic.held())
            removals = await on.topics.recreate()
        for removal in removals:
            on.traffic.remove(removal)
        deadline = time.monotonic() + _ANEW_SECONDS
        while not await on.topics.begun_anew() and time.monotonic() < deadline:
            await on.traffic.wait(0.5)


@asynccontextmanager
async def _backlog(on: Environment) -> AsyncIterator[None]:
    """Stop all workers until there are records that none has read, and until those are gone."""
    async with AsyncExitStack() as stack:
        for replica in on.fleet.replicas:
            await stack.enter_async_context(replica.lock)
        for replica in on.fleet.replicas:
            pid = replica.process.pid
            _send(pid, signal.SIGSTOP)
            stack.callback(_send, pid, signal.SIGCONT)
        deadline = time.monotonic() + _FILL_SECONDS
        while not on.traffic.full and time.monotonic() < deadline:
            await on.traffic.wait(0.1)
        yield


_ACTIONS: Mapping[Kind, Callable[[Fault, Environment], Awaitable[None]]] = MappingProxyType(
    {
        Kind.WORKER_KILL: _worker_kill,
        Kind.WORKER_TERM: _worker_term,
        Kind.WORKER_ZOMBIE: _worker_zombie,
        Kind.ROLLING_RESTART: _rolling_restart,
        Kind.PREDICTOR_KILL: _child_signal(signal.SIGKILL, _PREDICTORS),
        Kind.PREDICTOR_HANG: _child_signal(signal.SIGSTOP, _PREDICTORS),
        Kind.IMAGING_KILL: _child_signal(signal.SIGKILL, _IMAGE_PROCESSES, noted=True),
        Kind.IMAGING_HANG: _child_signal(signal.SIGSTOP, _IMAGE_PROCESSES, noted=True),
        Kind.BROKER_KILL: _broker_kill,
        Kind.BROKER_PAUSE: _broker_pause,
        Kind.CONNECTIONS_CUT: _connections_cut,
        Kind.CONNECTIONS_SLOW: _connections_slow,
        Kind.CONNECTIONS_SILENT: _connections_silent,
        Kind.HOST_SLOW: _host_slow,
        Kind.HOST_DIES: _host_dies,
        Kind.CLOCK_SKEW: _clock_skew,
        Kind.CACHE_FULL: _cache_full,
        Kind.MORE_PARTITIONS: _more_partitions,
        Kind.RECORDS_DELETED: _records_deleted,
        Kind.TOPIC_RECREATED: _topic_recreated,
    }
)
