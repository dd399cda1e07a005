"""Whether the brokers can be used, and the topics are what the worker needs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from worker.doctor.findings import Finding, Status
from worker.errors import KafkaSetupError
from worker.kafka.inspection import Cluster, TopicState, inspect_cluster
from worker.kafka.transaction_check import try_transactions
from worker.settings import Settings

__all__ = ["judge_topic", "look_at_kafka"]


def look_at_kafka(settings: Settings, timeout: float) -> Sequence[Finding]:
    """Check the brokers, the three topics, and transactions if they are used; no topic is created.

    Args:
        timeout: seconds for all answers.

    Returns:
        A finding for the brokers, and one for each topic and for transactions if they answer.
    """
    kafka = settings.kafka
    names = (kafka.jobs_topic, kafka.results_topic, kafka.dead_letters_topic)
    where = f"{kafka.bootstrap_servers} ({kafka.security_protocol})"
    try:
        cluster = asyncio.run(inspect_cluster(kafka, names, timeout))
    except KafkaSetupError as error:
        return [Finding("Brokers", Status.FAIL, f"{where} cannot be used", str(error))]
    except TimeoutError:
        remedy = "correct kafka.bootstrap_servers, or see what lies between here and there"
        found = f"{where}: no answer within {timeout:.0f} s"
        return [Finding("Brokers", Status.FAIL, found, remedy)]
    roles = zip(("Jobs topic", "Results topic", "Dead letters"), names, strict=True)
    return [
        _judge_brokers(cluster, where),
        *(judge_topic(subject, name, cluster, settings) for subject, name in roles),
        *([_try_transactions(settings, timeout)] if settings.delivery == "exactly_once" else []),
    ]


def _try_transactions(settings: Settings, timeout: float) -> Finding:
    try:
        asyncio.run(try_transactions(settings, timeout))
    except KafkaSetupError as error:
        return Finding("Transactions", Status.FAIL, "they cannot be used", str(error))
    found = f"allowed; they time out after {settings.transactions.timeout:g} s"
    return Finding("Transactions", Status.OK, found)


def _judge_brokers(cluster: Cluster, where: str) -> Finding:
    found = f"{where}: {cluster.brokers} broker(s), {1000 * cluster.latency:.0f} ms"
    if cluster.unreachable:
        faults = "; ".join(f"{address}: {fault}" for address, fault in cluster.unreachable.items())
        remedy = f"brokers advertise addresses that do not work from here ({faults})"
        return Finding("Brokers", Status.FAIL, found, remedy)
    return Finding("Brokers", Status.OK, found)


def judge_topic(subject: str, name: str, cluster: Cluster, settings: Settings) -> Finding:
    """Check that a topic exists or will be created, and that it is large and safe enough.

    Returns:
        What was found, and what to do.
    """
    state = cluster.topics.get(name)
    if state is None:
        if settings.kafka.create_topics:
            return Finding(subject, Status.OK, f"{name} is missing; it is created at the start")
        remedy = "create it, correct its name, or set kafka.create_topics: true"
        return Finding(subject, Status.FAIL, f"{name} is missing", remedy)
    found = f"{name}: {state.partitions} partition(s), {state.replicas} replica(s)"
    if not state.config:
        remedy = "its configuration may not be read: grant DESCRIBE_CONFIGS"
        return Finding(subject, Status.WARN, found, remedy)
    config = state.config
    found += (
        f", max.message.bytes {config.get('max.message.bytes')}"
        f", cleanup.policy {config.get('cleanup.policy')}"
        f", min.insync.replicas {config.get('min.insync.replicas')}"
    )
    written = name != settings.kafka.jobs_topic
    faults = _faults(state, written=written)
    if faults:
        return Finding(subject, Status.FAIL, found, "; ".join(faults))
    cautions = _cautions(state, cluster, settings, written=written)
    return Finding(subject, Status.WARN if cautions else Status.OK, found, "; ".join(cautions))


def _faults(state: TopicState, *, written: bool) -> list[str]:
    """What keeps the worker from working."""
    if not written:
        return []
    faults = []
    if out_of_sync := _out_of_sync(state):
        faults.append(f"{out_of_sync}: no result can be written; bring the brokers back")
    if "compact" in state.config.get("cleanup.policy", ""):
        faults.append("compaction refuses messages without a key: set cleanup.policy=delete")
    return faults


def _cautions(
    state: TopicState, cluster: Cluster, settings: Settings, *, written: bool
) -> list[str]:
    """What works, but may be unintended."""
    cautions = []
    if state.replicas == 1 and cluster.brokers > 1:
        cautions.append("one replica: what a lost broker held is lost; use a higher replication")
    largest = int(state.config.get("max.message.bytes", 0))
    if written and 0 < largest < settings.publish.max_request_bytes:
        cautions.append(
            "results that are larger come without their picture: raise max.message.bytes to "
            f"{settings.publish.max_request_bytes}, or lower publish.max_request_bytes to it"
        )
    if not written and (out_of_sync := _out_of_sync(state)):
        cautions.append(f"{out_of_sync}: no job can be written; bring the brokers back")
    if not written and "compact" in state.config.get("cleanup.policy", ""):
        cautions.append("compaction forgets jobs of the same key: set cleanup.policy=delete")
    return cautions


def _out_of_sync(state: TopicState) -> str:
    """Why writers with `acks=all` are refused; empty if they are not."""
    least = int(state.config.get("min.insync.replicas", 1))
    if least <= state.in_sync:
        return ""
    return f"{state.in_sync} replica(s) in sync, below min.insync.replicas ({least})"
