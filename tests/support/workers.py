"""The settings that workers of the acceptance tests share, and what makes such workers."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.harness import Worker

__all__ = ["ONE_SMALL_SLOT", "PATIENT", "SERVICE", "MakeService", "MakeWorker"]

MakeWorker = Callable[..., Worker]
MakeService = Callable[..., Worker]

ONE_SMALL_SLOT = {
    "WORKER_HTTP__HOST": "127.0.0.1",
    "WORKER_HTTP__PORT": "0",
    "WORKER_PREDICTOR__BACKEND": "paddle",
    "WORKER_PREDICTOR__SLOTS": "1",
    "WORKER_PREDICTOR__THREADS": "1",
    "WORKER_BATCHING__MAX_BATCH": "8",
    "WORKER_KAFKA__COMMIT_INTERVAL": "0.1",
}
"""One predictor and no calibration: quick to start, and two workers fit on two cores."""

PATIENT = {
    "WORKER_FETCH__ALLOW_NETWORKS": "127.0.0.1/32",
    "WORKER_FETCH__READ_TIMEOUT": "300",
    "WORKER_FETCH__TOTAL_TIMEOUT": "300",
    "WORKER_FETCH__DEADLINE": "300",
}
"""Waits as long as it takes for an image that a test holds back."""

SERVICE = {
    **ONE_SMALL_SLOT,
    **PATIENT,
    "WORKER_FETCH__ALLOW_NETWORKS": '["127.0.0.0/8"]',
    "WORKER_FETCH__ATTEMPTS": "1",
    "WORKER_DECODE__MAX_BYTES": str(1 << 20),
    "WORKER_LOG__LEVEL": "debug",
}
"""A service on loopback that tells much, and fetches from there alone."""
