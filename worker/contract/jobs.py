"""A job and its outcome: plain values, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.errors import Failure

__all__ = [
    "Category",
    "Duplicate",
    "EncodedImage",
    "Ending",
    "ImageSource",
    "Job",
    "ModelIdentity",
    "Outcome",
    "Postponed",
    "RawImage",
    "Success",
    "UrlImage",
]


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
        """Bytes of text held. Valid text is ASCII, one byte a character."""
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
        job_id: the producer's own name for the job, which the result repeats; None if it gave none.
        top_k: number of categories wanted; None means the worker's default.
        visualize: whether the result carries a picture; None means the worker's default.
        deadline: seconds since the epoch after which a result is of no use; None means never.
    """

    image: ImageSource
    job_id: str | None = None
    top_k: int | None = None
    visualize: bool | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """A class that the model found: its index, its label, and its score in 0..1 (five digits)."""

    id: int
    name: str
    score: float


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
class Success:
    """The outcome of a job that was done.

    Attributes:
        categories: best first; empty if no score reaches the model's threshold.
        picture: the labelled picture as JPEG bytes, or None when none was asked for.
        model: what computed it, which need not be the one that serves now; None if that is not
            known. Answers are equal if they say the same.
    """

    categories: tuple[Category, ...]
    picture: bytes | None = None
    model: ModelIdentity | None = field(default=None, compare=False, repr=False)

    @property
    def best(self) -> Category | None:
        """The best category, or None if there is none."""
        return self.categories[0] if self.categories else None


Outcome = Success | Failure
"""How a job ended, as its producer hears it."""


@dataclass(frozen=True, slots=True)
class Postponed:
    """A job that failed for a passing reason and is tried again later; no answer yet.

    Attributes:
        failure: what becomes of it if it cannot be postponed.
        job_id: the producer's own name for the job, if it gave one.
        delay: seconds until then.
    """

    failure: Failure
    job_id: str | None
    delay: float


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A record of a job that was answered under the same jobId before; it gets no answer."""

    job_id: str


Ending = Outcome | Postponed | Duplicate
"""What becomes of a record."""
