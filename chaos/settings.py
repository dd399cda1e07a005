"""The settings of the workers of a run: short times, so that faults are noticed soon."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from chaos.options import Options
from chaos.topics import DEAD_LETTERS, GROUP, JOBS, MAX_TAKEN_IN, RESULTS

__all__ = ["worker_environment"]


def worker_environment(options: Options, ports: Sequence[int], model: Path) -> dict[str, str]:
    """Make the environment variables of a worker.

    Args:
        ports: at which it reaches the brokers.
        model: the directory of its model.

    Returns:
        The variables and their values.
    """
    environment = {
        "WORKER_MODEL": str(model),
        "WORKER_KAFKA__BOOTSTRAP_SERVERS": ",".join(f"127.0.0.1:{port}" for port in ports),
        "WORKER_KAFKA__JOBS_TOPIC": JOBS,
        "WORKER_KAFKA__RESULTS_TOPIC": RESULTS,
        "WORKER_KAFKA__DEAD_LETTERS_TOPIC": DEAD_LETTERS,
        "WORKER_KAFKA__GROUP_ID": GROUP,
        "WORKER_KAFKA__SESSION_TIMEOUT": "6",
        "WORKER_KAFKA__HEARTBEAT_INTERVAL": "1",
        "WORKER_KAFKA__REBALANCE_TIMEOUT": "12",
        "WORKER_KAFKA__METADATA_MAX_AGE": "2",
        "WORKER_KAFKA__REQUEST_TIMEOUT": "8",
        "WORKER_KAFKA__COMMIT_INTERVAL": "0.2",
        "WORKER_INTAKE__MAX_JOBS": str(MAX_TAKEN_IN),
        "WORKER_PREDICTOR__BACKEND": "paddle",
        "WORKER_PREDICTOR__SLOTS": "1",
        "WORKER_PREDICTOR__THREADS": "1",
        "WORKER_PREDICTOR__TIMEOUT": "5",
        "WORKER_BATCHING__MAX_BATCH": "16",
        "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32",
        "WORKER_FETCH__DEADLINE": "10",
        "WORKER_SHUTDOWN__DEADLINE": "15",
        "WORKER_LOG__LEVEL": "info",
    }
    if options.once:
        environment["WORKER_DELIVERY"] = options.delivery.value
    if options.ordered and not options.once:
        environment["WORKER_RESULTS__ORDERED"] = "true"
    return environment
