"""Reads sources ahead of the predictor: several at a time, in order, and no further than asked."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from itertools import islice
from pathlib import Path

from worker.contract.jobs import Prepared, RawImage, UrlImage
from worker.errors import JobError, Reason
from worker.images.arrays import as_bgr
from worker.images.decode import check_bytes
from worker.images.fetch import ImageFetcher
from worker.images.formats import refuse_unknown
from worker.images.prepare import prepare
from worker.images.transform import Transform
from worker.predict.inputs import Source
from worker.predict.patience import patiently
from worker.settings import DecodeSettings, FetchSettings

__all__ = ["LOCAL_FETCH", "Reader", "file_errors", "local_fetch", "read_batches", "read_file"]

Read = tuple[Source, Prepared | JobError]


def local_fetch(settings: FetchSettings) -> FetchSettings:
    """The worker's limits on time, bytes and redirects, for any address.

    Whoever runs this chose the URL: there is nobody to protect, an image server on the own machine
    or network is an ordinary one, and the proxy is the user's own.
    """
    anywhere = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))
    return settings.model_copy(update={"allow_networks": anywhere, "trust_env": True})


LOCAL_FETCH = local_fetch(FetchSettings())


class Reader:
    """Reads single images; safe to use from several threads.

    Args:
        transform: the model's own scaling and cropping.
        limits: what is refused before decoding.
        fetch: how URLs are fetched.
    """

    def __init__(
        self, transform: Transform, limits: DecodeSettings, fetch: FetchSettings = LOCAL_FETCH
    ) -> None:
        self._transform = transform
        self._limits = limits
        self._fetch = fetch

    def read(self, source: Source) -> Prepared | JobError:
        """The image in full size and as the model sees it, or what is wrong with it.

        What gets no memory is tried again before it is given up.
        """
        try:
            return patiently(lambda: self._read(source))
        except JobError as error:
            return error

    def load(self, source: Source) -> bytes:
        """The encoded image of a source that is a file, a URL, or bytes.

        Raises:
            JobError: it cannot be had, or is larger than the limit.
        """
        match source.content:
            case Path() as path:
                data = read_file(path, self._limits.max_bytes)
            case UrlImage(url):
                data = asyncio.run(_fetch(url, self._fetch))
                refuse_unknown(data)
            case RawImage(data):
                pass
            case other:
                raise TypeError(f"{type(other).__name__} has no bytes")
        check_bytes(data, self._limits)
        return data

    def _read(self, source: Source) -> Prepared:
        match source.content:
            case JobError() as error:
                raise error
            case Path() | UrlImage() | RawImage():
                # No image that is accepted is larger than `max_side`: the picture keeps its size.
                data = self.load(source)
                return prepare(data, self._transform, self._limits, self._limits.max_side)
            case array:
                bgr = as_bgr(array)
                return Prepared(self._transform(bgr), bgr)


def read_batches(
    sources: Iterable[Source], reader: Reader, executor: Executor, size: int, ahead: int
) -> Iterator[list[Read]]:
    """The sources in batches of up to `size`, read on the executor's threads, in order.

    Args:
        ahead: batches that are being read while the caller works on one; 0 never takes more from
            `sources` than the batch needs.
    """
    begun: deque[list[tuple[Source, Future[Prepared | JobError]]]] = deque()
    remaining = iter(sources)
    try:
        while batch := list(islice(remaining, size)):
            begun.append([(source, executor.submit(reader.read, source)) for source in batch])
            if len(begun) > ahead:
                yield [(source, future.result()) for source, future in begun.popleft()]
        while begun:
            yield [(source, future.result()) for source, future in begun.popleft()]
    finally:
        for _, future in (each for batch in begun for each in batch):
            future.cancel()


def read_file(path: Path, most: int) -> bytes:
    """The file's bytes; one more than `most` at most, so that its size can be objected to.

    Raises:
        JobError: it cannot be read; the message says why.
    """
    with file_errors(), path.open("rb") as file:
        return file.read(most + 1)


@contextmanager
def file_errors() -> Iterator[None]:
    """What goes wrong with opening and reading a file, as a JobError that says why."""
    try:
        yield
    except FileNotFoundError as error:
        raise JobError(Reason.NOT_FOUND, "there is no such file") from error
    except OSError as error:
        why = error.strerror or error
        raise JobError(Reason.NOT_FOUND, f"the file cannot be read: {why}") from error
    except ValueError as error:
        raise JobError(Reason.NOT_FOUND, f"no file can have this name: {error}") from error


async def _fetch(url: str, settings: FetchSettings) -> bytes:
    async with ImageFetcher(settings) as fetcher:
        return await fetcher.fetch(url)
