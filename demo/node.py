"""The configuration of a Kafka node that is broker and controller at once."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MAX_MESSAGE_BYTES", "Member", "new_cluster_id", "single_node"]

MAX_MESSAGE_BYTES = 8 * 1024 * 1024
_ONE_REPLICA = ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")


@dataclass(frozen=True, slots=True)
class Member:
    """A node's place among several that form one cluster.

    Attributes:
        port: for clients.
        controller_port: for the nodes' talk with each other about the cluster.
        cluster_id: the same for all nodes, from `new_cluster_id`.
        voters: all nodes as the formatting tool wants them, `ID@HOST:PORT:DIRECTORY_ID,...`.
    """

    port: int
    controller_port: int
    cluster_id: str
    voters: str


def single_node(broker: str, controller: str, data: Path) -> dict[str, str]:
    """Write the contents of `server.properties`.

    Args:
        broker: `host:port` for clients.
        controller: `host:port` for the node's talk with itself.
        data: the log directory.

    Returns:
        The properties and their values.
    """
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.bootstrap.servers": controller,
        "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"PLAINTEXT://{broker}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": data.as_posix(),
        **{f"{topic}.replication.factor": "1" for topic in _ONE_REPLICA},
        "offsets.topic.num.partitions": "1",
        "transaction.state.log.num.partitions": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.min.isr": "1",
        # The first member of a group need not wait for others.
        "group.initial.rebalance.delay.ms": "0",
        # How long a restarted broker must wait for its killed predecessor to count as gone.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "log.cleaner.dedupe.buffer.size": "2097152",
    }


def new_cluster_id() -> str:
    """Make a random id in Kafka's form.

    Returns:
        16 bytes in URL-safe Base64 without padding.
    """
    while True:
        cluster_id = base64.urlsafe_b64encode(secrets.token_bytes(16)).rstrip(b"=").decode()
        # The formatting tool would take a leading dash for an option.
        if not cluster_id.startswith("-"):
            return cluster_id
