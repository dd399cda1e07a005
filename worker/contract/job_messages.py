"""Jobs as messages, from the producer's side; `schemas/job.schema.json` is the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from worker.contract.headers import CONTENT_TYPE, CORRELATION_ID, JOB_ID, TOP_K, VISUALIZE
from worker.contract.job_options import MAX_JOB_ID
from worker.contract.records import Message

__all__ = ["JobEnvelope"]


@dataclass(frozen=True, slots=True)
class JobEnvelope:
    """All of a job but its image.

    Attributes:
        name: becomes the job's id, shortened if it is too long.
        correlation: travels as `correlation-id` and comes back with the result.
        top_k: None leaves the number of categories to the worker.
        visualize: whether a picture is asked for; None leaves it to the worker.
    """

    name: str
    correlation: str
    top_k: int | None = None
    visualize: bool | None = None

    def with_base64(self, image: bytes) -> Message:
        """Make a JSON job that holds an encoded image."""
        return self.with_job({"image": pybase64.b64encode_as_string(image)})

    def with_raw(self, image: bytes, content_type: str) -> Message:
        """Make a job whose value is the encoded image itself; its options are headers.

        Args:
            content_type: `image/...`.

        Returns:
            The message, without a key.
        """
        headers = [
            (CONTENT_TYPE, content_type.encode()),
            (JOB_ID, self._job_id.encode()),
            (CORRELATION_ID, self.correlation.encode()),
        ]
        if self.top_k is not None:
            headers.append((TOP_K, b"%d" % self.top_k))
        if self.visualize is not None:
            headers.append((VISUALIZE, b"true" if self.visualize else b"false"))
        return Message(None, image, tuple(headers))

    def with_url(self, url: str) -> Message:
        """Make a JSON job that names an image's address."""
        return self.with_job({"image": url})

    def with_job(self, written: Mapping[str, Any]) -> Message:
        """Make a job from a JSON object that its author wrote.

        Returns:
            The message, without a key. The fields of `written` win over the envelope's options.
        """
        job = {"jobId": self._job_id, **written}
        if self.top_k is not None and not {"inferenceParams", "topK", "topk"} & job.keys():
            job["inferenceParams"] = {"topK": self.top_k}
        if self.visualize is not None:
            job.setdefault("visualize", self.visualize)
        headers = (
            (CONTENT_TYPE, b"application/json"),
            (CORRELATION_ID, self.correlation.encode()),
        )
        return Message(None, orjson.dumps(job), headers)

    @property
    def _job_id(self) -> str:
        # The name of a file may be anything but UTF-8, and long.
        clean = self.name.encode(errors="replace").decode()
        return clean if len(clean) <= MAX_JOB_ID else "…" + clean[1 - MAX_JOB_ID :]
