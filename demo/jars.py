"""Apache Kafka's jars: fetched with the user's own Maven settings, trusted by pinned hashes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import requests
from jgo.config import GlobalSettings
from jgo.maven import MavenContext

from demo.errors import DemoError
from worker.cache import sha256_of

__all__ = ["Jar", "Progress", "fetch_jars", "locked_jars", "parse_lock", "user_maven"]

PARALLEL_DOWNLOADS = 8

Progress = Callable[[int, int], None]
"""Called with (jars at hand, jars in all) after each one."""


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned jar.

    Attributes:
        sha256: of the jar file, 64 hexadecimal digits.
    """

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def filename(self) -> str:
        """The jar's file name in any Maven repository."""
        return f"{self.artifact}-{self.version}.jar"

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def parse_lock(text: str) -> tuple[Jar, ...]:
    """Parse a lock file: lines of `group:artifact:version sha256`, `#` begins a comment.

    Returns:
        Its jars, in order.

    Raises:
        ValueError: a line is neither.
    """
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinate, digest = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, digest))
    return tuple(jars)


def locked_jars() -> tuple[Jar, ...]:
    """Read `jars.lock` beside this file.

    Returns:
        The jars of one Kafka broker.
    """
    return parse_lock(resources.files("demo").joinpath("jars.lock").read_text("utf-8"))


def user_maven(repo_cache: Path) -> MavenContext:
    """Make a Maven client with the user's settings.

    Repositories and mirrors come from jgo's configuration (`[repositories]` in `~/.config/jgo.conf`
    or the file that `JGO_CONFIG_FILE` names) and are asked before Maven's central repository; one
    that is called `central` replaces it. Proxies and certificates come from the variables that
    `requests` reads (`HTTPS_PROXY`, `REQUESTS_CA_BUNDLE` ...). A local Maven repository is read,
    never written.

    Returns:
        A client that downloads into `repo_cache`.
    """
    settings = GlobalSettings.load()
    repositories = {**settings.repositories}
    for name, address in MavenContext().remote_repos.items():
        repositories.setdefault(name, address)
    return MavenContext(
        repo_cache=repo_cache,
        local_repos=[settings.repo_cache],
        remote_repos=repositories,
        timeout=60,
    )


def fetch_jars(
    directory: Path, jars: tuple[Jar, ...] | None = None, progress: Progress | None = None
) -> list[Path]:
    """Verify the jars in `directory`, and download the missing ones.

    A jar appears under its name only after its hash was found right, so that an interrupted run
    or a second process at the same time does no harm.

    Args:
        directory: created if it is missing.
        jars: those of `jars.lock` by default.
        progress: called for each jar, from the calling thread.

    Returns:
        The jars as files in `directory`.

    Raises:
        DemoError: a jar cannot be had, or its hash is not the pinned one.
    """
    wanted = locked_jars() if jars is None else jars
    directory.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS, "jars") as threads:
        pending = [threads.submit(_provide, jar, directory) for jar in wanted]
        try:
            for done, future in enumerate(as_completed(pending), start=1):
                future.result()
                if progress is not None:
                    progress(done, len(pending))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)
    return [directory / jar.filename for jar in wanted]


def _provide(jar: Jar, directory: Path) -> None:
    target = directory / jar.filename
    if target.exists() and sha256_of(target) == jar.sha256:
        return
    with tempfile.TemporaryDirectory(prefix=".download-", dir=directory) as download:
        found = _download(jar, Path(download))
        digest = sha256_of(found)
        if digest != jar.sha256:
            raise DemoError(
                f"{jar} is not the jar that was pinned: its sha256 is {digest} instead of "
                f"{jar.sha256}. Check the Maven repository or proxy in use ({found} came from it)."
            )
        # The jar may lie in a local Maven repository, on another file system: copy, then rename.
        staged = Path(download) / "verified.jar"
        staged.write_bytes(found.read_bytes())
        staged.replace(target)


def _download(jar: Jar, download: Path) -> Path:
    component = user_maven(download).project(jar.group, jar.artifact).at_version(jar.version)
    try:
        return Path(component.artifact().resolve())
    except (requests.RequestException, RuntimeError, OSError) as error:
        raise DemoError(
            f"{jar} could not be downloaded: {error}. Behind a proxy or a mirror, set HTTPS_PROXY "
            f"and REQUESTS_CA_BUNDLE, or name the mirror as 'central = ADDRESS' under "
            f"[repositories] in ~/.config/jgo.conf."
        ) from error
