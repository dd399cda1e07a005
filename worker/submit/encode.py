"""From an image to the message that is its job. `schemas/job.schema.json` is the contract."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import pybase64

from worker.contract.messages import Message
from worker.contract.options import MAX_JOB_ID
from worker.errors import JobError
from worker.images.sniffing import sniff

__all__ = ["CORRELATION", "Envelope"]

CORRELATION = "correlation-id"
"""The header by which a result is known for ours: the worker copies it from job to result."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """All of a job but its image.

    Attributes:
        name: becomes the job's id.
        top_k: None leaves the number of categories to the worker.
        visualize: False asks for no picture; True leaves it to the worker.
    """

    name: str
    correlation: str
    top_k: int | None
    visualize: bool

    def with_base64(self, image: bytes) -> Message:
        """A JSON job that holds an encoded image."""
        return self.with_job({"image": pybase64.b64encode_as_string(image)})

    def with_raw(self, image: bytes) -> Message:
        """A job whose value is the encoded image itself; headers say what is asked for."""
        headers = [
            ("content-type", _content_type(image)),
            ("job-id", self._job_id.encode()),
            (CORRELATION, self.correlation.encode()),
        ]
        if self.top_k is not None:
            headers.append(("top-k", b"%d" % self.top_k))
        if not self.visualize:
            headers.append(("visualize", b"false"))
        return Message(None, image, tuple(headers))

    def with_url(self, url: str) -> Message:
        """A JSON job that names an image's address."""
        return self.with_job({"image": url})

    def with_job(self, written: Mapping[str, Any]) -> Message:
        """A JSON job as its author wrote it; what is asked for here applies where it is silent."""
        job = {"jobId": self._job_id, **written}
        if self.top_k is not None and not {"inferenceParams", "topK", "topk"} & job.keys():
            job["inferenceParams"] = {"topK": self.top_k}
        if not self.visualize:
            job.setdefault("visualize", False)
        headers = (
            ("content-type", b"application/json"),
            (CORRELATION, self.correlation.encode()),
        )
        return Message(None, orjson.dumps(job), headers)

    @property
    def _job_id(self) -> str:
        # Not every file's name is UTF-8, nor short.
        clean = self.name.encode(errors="replace").decode()
        return clean if len(clean) <= MAX_JOB_ID else "…" + clean[1 - MAX_JOB_ID :]


def _content_type(image: bytes) -> bytes:
    try:
        return sniff(image).media_type.encode()
    except JobError:
        # The worker says better than this command could what is wrong with it.
        return b"image/unknown"
