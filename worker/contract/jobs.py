"""The job, the record that carried it, and what becomes of it: plain values, no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.errors import Failure

__all__ = [
    "Category",
    "EncodedImage",
    "Headers",
    "ImageSource",
    "Job",
    "ModelIdentity",
    "Outcome",
    "Prepared",
    "RawImage",
    "Record",
    "Success",
    "UrlImage",
]

Headers = Sequence[tuple[str, bytes]]
"""Kafka record headers: an ordered multimap."""


@dataclass(frozen=True, slots=True)
class Record:
    """A Kafka record as the worker sees it, free of any client library's types.

    Attributes:
        timestamp_ms: the record's timestamp, milliseconds since the epoch; -1 if it has none.
        unreadable: why it cannot be read: then its place is known, and at best key and value. None
            for all others.
    """

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    unreadable: str | None = None

    @property
    def id(self) -> str:
        """`topic-partition-offset`, equal for every delivery: results can be told apart by it."""
        return f"{self.topic}-{self.partition}-{self.offset}"

    @property
    def size(self) -> int:
        """Bytes of key, value and headers held in memory."""
        held = sum(len(name) + len(value or b"") for name, value in self.headers)
        return held + len(self.key or b"") + len(self.value or b"")


@dataclass(frozen=True, slots=True)
class UrlImage:
    """An image to be fetched over http or https."""

    url: str

    @property
    def nbytes(self) -> int:
        """Bytes of text held."""
        return len(self.url)


@dataclass(frozen=True, slots=True)
class EncodedImage:
    """Base64 text or a whole `data:` URI."""

    text: str

    @property
    def nbytes(self) -> int:
        """Bytes of text held, which is ASCII unless it is wrong."""
        return len(self.text)


@dataclass(frozen=True, slots=True)
class RawImage:
    """The encoded image itself (JPEG, PNG, ... bytes)."""

    data: bytes

    @property
    def nbytes(self) -> int:
        """Bytes of the file."""
        return len(self.data)


ImageSource = UrlImage | EncodedImage | RawImage


@dataclass(frozen=True, slots=True)
class Job:
    """What a producer asks for.

    Attributes:
        job_id: the producer's own name for it, echoed; None if it gave none.
        top_k: how many categories to answer with; None means the worker's default.
        visualize: whether the result carries a picture; None means the worker's default.
        deadline: seconds since the epoch after which an answer is of no use; None means never.
    """

    image: ImageSource
    job_id: str | None = None
    top_k: int | None = None
    visualize: bool | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """One class of an answer: its index, its label, and its score in 0..1 (five digits)."""

    id: int
    name: str
    score: float


@dataclass(frozen=True, slots=True)
class Success:
    """An answered job.

    Attributes:
        categories: best first; empty if the model finds none that reaches its threshold.
        picture: the visualisation as encoded JPEG bytes, or None when none was asked for.
    """

    categories: tuple[Category, ...]
    picture: bytes | None = None

    @property
    def best(self) -> Category | None:
        """The best category, if there is any."""
        return self.categories[0] if self.categories else None


Outcome = Success | Failure


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model computed a result.

    Attributes:
        name: the model's own, from its `inference.yml`.
        digest: over network, weights and configuration, `sha256:...`.
        backend: what computes it, such as `paddle+onednn`; of slots that differ, all, with commas.
    """

    name: str
    digest: str
    backend: str


@dataclass(frozen=True, slots=True)
class Prepared:
    """A decoded image on its way to the predictor.

    Attributes:
        crop: `[H, W, 3] uint8`, resized and cropped as the model wants it, its channels in the
            model's order, not yet normalised.
        picture: `[h, w, 3] uint8` BGR, scaled for drawing, or None when no picture was asked for.
    """

    crop: npt.NDArray[np.uint8]
    picture: npt.NDArray[np.uint8] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of pixels held."""
        return self.crop.nbytes + (self.picture.nbytes if self.picture is not None else 0)
