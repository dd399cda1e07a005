"""Brings a published model onto this machine: whole, verified, and only once at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from worker.cache import exclusive, sha256_of
from worker.errors import ModelError
from worker.model import load_model_spec
from worker.settings import ZooSettings
from worker.zoo.catalogue import ZooModel, addresses
from worker.zoo.checksums import read_checksums, record_checksum
from worker.zoo.download import Limits, Progress, discard, download, unwatched
from worker.zoo.extract import extract_model

__all__ = ["RECORDED_CHECKSUMS", "Pulled", "pull"]

RECORDED_CHECKSUMS = "SHA256SUMS"
"""In the cache: the checksums of archives when they first came."""

STAGING = ".pulling"
"""In the cache: what is not whole yet, and locks."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is on this machine.

    Attributes:
        directory: with its files.
        sha256: of the archive; None when the model was there already.
        known: the checksum was pinned or recorded before, so that it could be compared.
    """

    directory: Path
    sha256: str | None
    known: bool


def pull(
    model: ZooModel,
    cache: Path,
    settings: ZooSettings,
    progress: Progress = unwatched,
) -> Pulled:
    """Bring a model into the cache, unless it is there and not damaged.

    Others that pull it at the same time, in other processes or on other machines that share the
    cache, wait and find it. It appears under its name only when it is whole.

    Args:
        cache: made if it is missing.
        progress: called with the progress of the download, from the calling thread.

    Returns:
        Where it is, and what is known of its archive.

    Raises:
        ModelError: it cannot be had or is not what it should be; the message says what to do.
    """
    present = Pulled(cache / model.name, None, known=False)
    # Before anything is written: a cache that is filled may be read-only.
    if _intact(present.directory):
        return present
    staging = cache / STAGING
    try:
        staging.mkdir(parents=True, exist_ok=True)
        with exclusive(staging / f"{model.name}.lock"):
            if _intact(present.directory):
                return present
            return _pull(model, cache, settings, progress)
    except OSError as error:
        raise ModelError(f"{model.name} cannot be pulled into {cache}: {error}") from error


def _pull(model: ZooModel, cache: Path, settings: ZooSettings, progress: Progress) -> Pulled:
    recorded = cache / RECORDED_CHECKSUMS
    with _archive(model, cache, settings, progress) as archive:
        sha256 = sha256_of(archive)
        known = _check(archive, sha256, settings.checksums, recorded)
        _install(model, archive, cache, settings.max_bytes)
    if not known:
        # One file for all models, while each has a lock of its own.
        with exclusive(cache / STAGING / f"{RECORDED_CHECKSUMS}.lock"):
            record_checksum(recorded, model.archive, sha256)
    return Pulled(cache / model.name, sha256, known)


@contextmanager
def _archive(
    model: ZooModel, cache: Path, settings: ZooSettings, progress: Progress
) -> Iterator[Path]:
    """Provide the archive as a file; a downloaded one is removed afterwards, good or bad."""
    base = settings.base_url or addresses().archives
    directory = _as_directory(base)
    if directory is not None:
        archive = directory / model.archive
        if not archive.is_file():
            raise ModelError(f"{archive} does not exist: correct zoo.base_url, or put it there")
        if archive.stat().st_size > settings.max_bytes:
            raise ModelError(f"{archive} is larger than zoo.max_bytes ({settings.max_bytes})")
        yield archive
        return
    if settings.offline:
        raise ModelError(
            f"{model.name} is not in the model cache, and zoo.offline forbids to download it: put "
            f"its files into {cache / model.name}, or set zoo.base_url to a directory with "
            f"{model.archive}"
        )
    archive = cache / STAGING / model.archive
    limits = Limits(settings.max_bytes, settings.timeout)
    download(f"{base.rstrip('/')}/{model.archive}", archive, limits, progress)
    try:
        yield archive
    finally:
        discard(archive)


def _as_directory(base: str) -> Path | None:
    """Find the directory that a base address names; None when it names a host."""
    parts = urlsplit(base)
    if parts.scheme in ("http", "https"):
        return None
    path = url2pathname(parts.path) if base.startswith("file:") else base
    return Path(path).expanduser()


def _check(archive: Path, sha256: str, pins: Path | None, recorded: Path) -> bool:
    """Compare the checksum with the known ones.

    Returns:
        Whether it was known.

    Raises:
        ModelError: it is known to be another one.
    """
    known = [] if pins is None else [(pins, "get the right archive, or correct that file")]
    if recorded.exists():
        known.append((recorded, "if the publisher changed it, remove its line there"))
    for path, remedy in known:
        expected = read_checksums(path).get(archive.name)
        if expected == sha256:
            return True
        if expected is not None:
            raise ModelError(
                f"{archive.name} is not the archive that {path} knows: its sha256 is {sha256} "
                f"instead of {expected}; {remedy}"
            )
    return False


def _install(model: ZooModel, archive: Path, cache: Path, max_bytes: int) -> None:
    made, target = cache / STAGING / model.name, cache / model.name
    # What a killed process left, which had the lock before.
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir()
    try:
        extract_model(archive, made, max_bytes)
        _inspect(made, archive)
        if target.exists():
            shutil.rmtree(target)  # damaged
        made.rename(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _inspect(directory: Path, archive: Path) -> None:
    try:
        load_model_spec(directory)
    except ModelError as error:
        raise ModelError(f"{archive.name} holds no usable model: {error}") from error


def _intact(directory: Path) -> bool:
    if not directory.is_dir():
        return False
    try:
        load_model_spec(directory)
    except ModelError:
        return False
    return True
