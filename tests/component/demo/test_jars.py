from __future__ import annotations

import functools
import hashlib
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo.errors import DemoError
from demo.jars import Jar, fetch_jars, locked_jars, parse_lock
from demo.ports import free_ports

CONTENT = b"PK-like bytes"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(CONTENT).hexdigest())


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep the test's output to itself."""


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Maven repository on loopback that the user configured; the directory of JAR's version."""
    root = tmp_path / "mirror"
    version = root / "org/example/thing/1.0"
    version.mkdir(parents=True)
    handler = functools.partial(QuietHandler, directory=str(root))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        settings = tmp_path / "jgo.conf"
        settings.write_text(
            f"[settings]\nrepo_cache = {tmp_path / 'local'}\n"
            f"[repositories]\ncentral = http://127.0.0.1:{server.server_port}\n"
        )
        monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield version
        finally:
            server.shutdown()
            thread.join()


def publish(mirror: Path, content: bytes) -> None:
    (mirror / JAR.filename).write_bytes(content)


def test_downloads_from_the_mirror_that_the_user_configured(mirror: Path, tmp_path: Path) -> None:
    publish(mirror, CONTENT)
    seen: list[tuple[int, int]] = []

    (path,) = fetch_jars(tmp_path / "jars", (JAR,), lambda done, total: seen.append((done, total)))

    assert path.read_bytes() == CONTENT
    assert seen == [(1, 1)]
    assert [entry.name for entry in (tmp_path / "jars").iterdir()] == [JAR.filename]


def test_takes_a_jar_from_the_local_maven_repository(tmp_path: Path) -> None:
    local = tmp_path / "local/org/example/thing/1.0"
    local.mkdir(parents=True)
    (local / JAR.filename).write_bytes(CONTENT)

    (path,) = fetch_jars(tmp_path / "jars", (JAR,))

    assert path.read_bytes() == CONTENT
    assert (local / JAR.filename).exists()


def test_a_verified_jar_is_not_downloaded_again(mirror: Path, tmp_path: Path) -> None:
    publish(mirror, CONTENT)
    fetch_jars(tmp_path / "jars", (JAR,))
    publish(mirror, b"changed")

    (path,) = fetch_jars(tmp_path / "jars", (JAR,))

    assert path.read_bytes() == CONTENT


def test_a_damaged_jar_is_replaced(mirror: Path, tmp_path: Path) -> None:
    publish(mirror, CONTENT)
    (path,) = fetch_jars(tmp_path / "jars", (JAR,))
    path.write_bytes(CONTENT[:-1])

    fetch_jars(tmp_path / "jars", (JAR,))

    assert path.read_bytes() == CONTENT


def test_a_jar_with_another_hash_is_refused_by_name(mirror: Path, tmp_path: Path) -> None:
    publish(mirror, b"something else")

    with pytest.raises(DemoError, match=r"org\.example:thing:1\.0 is not the jar .* pinned"):
        fetch_jars(tmp_path / "jars", (JAR,))

    assert list((tmp_path / "jars").iterdir()) == []


def test_an_unreachable_repository_names_jar_and_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "unreachable.conf"
    (port,) = free_ports(1)
    settings.write_text(f"[repositories]\ncentral = http://127.0.0.1:{port}\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(settings))

    with pytest.raises(DemoError, match=r"org\.example:thing:1\.0 could not .* \[repositories\]"):
        fetch_jars(tmp_path / "jars", (JAR,))


def test_the_lock_pins_one_broker() -> None:
    jars = locked_jars()

    assert len({jar.filename for jar in jars}) == len(jars) == 46
    assert all(len(jar.sha256) == 64 for jar in jars)
    assert "org.apache.kafka:kafka_2.13:4.3.1" in map(str, jars)


def test_a_broken_lock_is_noticed() -> None:
    with pytest.raises(ValueError, match="unpack"):
        parse_lock("# comment\norg.example:thing 00\n")
