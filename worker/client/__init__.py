"""A client for producers: images in, categories out, over Kafka or over HTTP.

    async with KafkaClient("localhost:9092") as client:
        result = await client.classify("cat.jpg", top_k=3)
        async for outcome in client.classify_many(paths):
            print(outcome.source, outcome.result or outcome.error)

`HttpClient` has the same methods; `SyncKafkaClient` and `SyncHttpClient` have them for programs
without an event loop. `docs/client.md` says more.

Names are loaded when they are first used: a client for Kafka takes a moment to load. No codec and
no model is ever loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from worker.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from worker.client.errors import (
        ClientClosed,
        ClientError,
        JobRefused,
        ResultTimeout,
        ServiceError,
    )
    from worker.client.http import HttpClient, SyncHttpClient
    from worker.client.kafka import KafkaClient, SyncKafkaClient
    from worker.client.outcomes import Classification, JobOutcome
    from worker.client.requests import JobRequest, Source
    from worker.contract.jobs import Category, ModelIdentity
    from worker.errors import KafkaSetupError

__all__ = [
    "Category",
    "Classification",
    "ClientClosed",
    "ClientError",
    "HttpClient",
    "JobOutcome",
    "JobRefused",
    "JobRequest",
    "KafkaClient",
    "KafkaSetupError",
    "ModelIdentity",
    "ResultTimeout",
    "ServiceError",
    "Source",
    "SyncHttpClient",
    "SyncKafkaClient",
]

__getattr__ = lazy_names(
    __name__,
    {
        "Category": "outcomes",
        "Classification": "outcomes",
        "ClientClosed": "errors",
        "ClientError": "errors",
        "HttpClient": "http",
        "JobOutcome": "outcomes",
        "JobRefused": "errors",
        "JobRequest": "requests",
        "KafkaClient": "kafka",
        "KafkaSetupError": "errors",
        "ModelIdentity": "outcomes",
        "ResultTimeout": "errors",
        "ServiceError": "errors",
        "Source": "requests",
        "SyncHttpClient": "http",
        "SyncKafkaClient": "kafka",
    },
)
