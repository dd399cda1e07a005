"""onnxruntime-web, which computes in browsers: fetched once, by npm, and known by its hashes.

It is published for npm alone. npm knows the registry, the proxy and the credentials of this
machine, so it does the download; without npm its package can be named instead.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from worker.cache import cache_directory, exclusive, sha256_of, write_whole
from worker.errors import UnfitSystemError
from worker.runtime.tools import run_tool

__all__ = ["VERSION", "web_runtime"]

VERSION = "1.30.0"

PACKAGE = f"onnxruntime-web@{VERSION}"
ARCHIVE = f"onnxruntime-web-{VERSION}.tgz"

FILES: Mapping[str, tuple[str, str]] = {
    # As .js, since servers know that type and not always .mjs.
    "onnxruntime.js": (
        "package/dist/ort.wasm.bundle.min.mjs",
        "11e64bd8ffe11bd1a2a2f0d6275fdfbbba7262f0b76b99b53d228a8a22ef3d90",
    ),
    "onnxruntime.wasm": (
        "package/dist/ort-wasm-simd-threaded.wasm",
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
    ),
}
"""Where each file of a page is in the package, and its SHA-256."""

MOST_BYTES = 2**26
TIMEOUT = 300.0
"""Seconds; the package has 33 MB."""


def web_runtime(archive: Path | None = None) -> Mapping[str, Path]:
    """Find onnxruntime-web's files, in the cache from the second time on.

    Args:
        archive: the package, as `npm pack` makes it; None has npm fetch it.

    Returns:
        The files of `FILES`, by their names.

    Raises:
        UnfitSystemError: there is no npm, it cannot fetch the package, or that is another one.
        OSError: the cache cannot be written.
    """
    directory = cache_directory() / f"onnxruntime-web-{VERSION}"
    if not _whole(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with exclusive(directory / ".lock"):
            if not _whole(directory):
                _fill(directory, archive)
    return {name: directory / name for name in FILES}


def _whole(directory: Path) -> bool:
    try:
        return all(sha256_of(directory / name) == digest for name, (_, digest) in FILES.items())
    except OSError:
        return False


def _fill(directory: Path, archive: Path | None) -> None:
    if archive is not None:
        _unpack(archive, directory)
        return
    with tempfile.TemporaryDirectory(prefix="onnxruntime-web-") as work:
        _pack(Path(work))
        _unpack(Path(work) / ARCHIVE, directory)


def _pack(work: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise UnfitSystemError(
            f"the page needs {PACKAGE}, which npm fetches, and there is no npm: install Node.js; "
            f"or run `npm pack {PACKAGE}` on another machine and name its file with "
            f"--onnxruntime-web {ARCHIVE}; or leave the page out with --no-web"
        )
    command = [npm, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error"]
    try:
        # With the user's own environment, which may name the registry and the proxy.
        environ = {**os.environ, "NO_UPDATE_NOTIFIER": "1"}
        ended = run_tool(command, environ=environ, timeout=TIMEOUT, directory=work)
    except TimeoutError as error:
        raise UnfitSystemError(f"npm took more than {TIMEOUT:g} s to fetch {PACKAGE}") from error
    if ended.status != 0:
        raise UnfitSystemError(
            f"npm cannot fetch {PACKAGE} (exit status {ended.status}): {ended.lines[0]}; name the "
            f"package with --onnxruntime-web {ARCHIVE}, or leave the page out with --no-web"
        )


def _unpack(archive: Path, directory: Path) -> None:
    for name, (member, digest) in FILES.items():
        try:
            content = _read(archive, member)
        except (OSError, KeyError, tarfile.TarError) as error:
            raise UnfitSystemError(
                f"{archive} is not the package {ARCHIVE} ({error}): `npm pack {PACKAGE}` makes it"
            ) from error
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise UnfitSystemError(
                f"{archive}: {member} is not the file of {PACKAGE} that was pinned: its sha256 is "
                f"{found} instead of {digest}"
            )
        write_whole(directory / name, content)


def _read(archive: Path, member: str) -> bytes:
    with tarfile.open(archive, "r:gz") as package:
        file = package.extractfile(member)
        if file is None:
            raise KeyError(f"{member} is no file")
        return file.read(MOST_BYTES)
