"""What faults act on: everything that a run has started."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from chaos.fleet import Fleet
from chaos.history import Hit
from chaos.image_host import ImageHost
from chaos.proxy import Proxy
from chaos.topics import Topics
from chaos.traffic import Traffic
from demo.cluster import KafkaCluster

__all__ = ["Environment"]


@dataclass(frozen=True, slots=True)
class Environment:
    """All parts of a run.

    Attributes:
        proxies: between workers and brokers, one a broker.
        hits: the image processes that faults have killed or stopped so far.
        full_cache: a cache directory that cannot be written.
        brokers_lock: held by faults of brokers and of topics: one broker is down at a time, and
            topics are changed while all are up.
        network_lock: held by faults of the proxies.
        host_lock: held by faults of the image host.
    """

    cluster: KafkaCluster
    proxies: list[Proxy]
    fleet: Fleet
    topics: Topics
    traffic: Traffic
    host: ImageHost
    full_cache: Path
    hits: list[Hit] = field(default_factory=list)
    brokers_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    network_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    host_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
