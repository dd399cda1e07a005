"""Downloads over connections that break, from servers that differ in what they know."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from tests.support.zoo_host import Host
from worker.clock import Clock
from worker.errors import ModelError
from worker.retry import Retry
from worker.zoo import download as module
from worker.zoo.download import Limits, discard, download, unwatched

CONTENT = bytes(range(256)) * 4000
LIMITS = Limits(max_bytes=10_000_000, timeout=10.0)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "file.tar"


def serve(host: Host, content: bytes = CONTENT) -> str:
    host.files["/file.tar"] = content
    return f"{host.url}/file.tar"


def ranges(host: Host) -> list[str | None]:
    return [request.get("Range") for request in host.requests]


def test_a_whole_file(host: Host, target: Path) -> None:
    steps: list[tuple[int, int | None]] = []
    download(serve(host), target, LIMITS, lambda have, total: steps.append((have, total)))
    assert target.read_bytes() == CONTENT
    assert steps[0] == (0, len(CONTENT))
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert ranges(host) == [None]


def test_a_cut_connection_goes_on_where_it_broke(host: Host, target: Path) -> None:
    host.cuts = [100_000, 250_000]
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert ranges(host) == [None, "bytes=100000-", "bytes=350000-"]


def test_a_second_run_goes_on_where_the_first_ended(
    host: Host, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(host)
    host.cuts = [100_000]

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(url, target, LIMITS, unwatched, clock=Clock(block=interrupt))
    assert target.stat().st_size == 100_000
    steps: list[int] = []
    download(url, target, LIMITS, lambda have, total: steps.append(have))
    assert target.read_bytes() == CONTENT
    assert steps[0] == 100_000
    assert ranges(host) == [None, "bytes=100000-"]


def test_a_file_that_changed_meanwhile_comes_from_its_beginning(host: Host, target: Path) -> None:
    url = serve(host)
    host.cuts = [100_000]
    changed = CONTENT[::-1]

    def change(seconds: float) -> None:
        host.files["/file.tar"] = changed

    download(url, target, LIMITS, unwatched, clock=Clock(block=change))
    assert target.read_bytes() == changed


@pytest.mark.parametrize("lack", ["parts", "etags"])
def test_a_server_without_ranges_or_versions_starts_over(
    host: Host, target: Path, lack: str
) -> None:
    setattr(host, lack, False)
    host.cuts = [100_000]
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT


def test_without_versions_a_cut_connection_goes_on_within_the_call_alone(
    host: Host, target: Path
) -> None:
    host.etags = False
    url = serve(host)
    host.cuts = [100_000]
    with pytest.raises(KeyboardInterrupt):
        download(url, target, LIMITS, unwatched, clock=Clock(block=_interrupt))
    host.cuts = [200_000]
    download(url, target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert ranges(host) == [None, None, "bytes=200000-"]


def test_without_versions_a_file_of_another_size_comes_from_its_beginning(
    host: Host, target: Path
) -> None:
    host.etags = False
    url = serve(host)
    host.cuts = [100_000]
    changed = CONTENT[::-1] + b"more"

    def change(seconds: float) -> None:
        host.files["/file.tar"] = changed

    download(url, target, LIMITS, unwatched, clock=Clock(block=change))
    assert target.read_bytes() == changed
    assert ranges(host) == [None, "bytes=100000-", None]


@pytest.mark.parametrize("note", ["[]", "{}", '{"url": 1}', "null", "{", '{"validator": "x"}'])
def test_a_note_that_says_nothing_counts_for_nothing(host: Host, target: Path, note: str) -> None:
    target.write_bytes(b"of something else")
    target.with_name("file.tar.json").write_text(note)
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert ranges(host) == [None]


def test_what_came_from_another_address_counts_for_nothing(host: Host, target: Path) -> None:
    host.files["/other/file.tar"] = CONTENT
    host.cuts = [100_000]
    with pytest.raises(KeyboardInterrupt):
        download(
            f"{host.url}/other/file.tar", target, LIMITS, unwatched, clock=Clock(block=_interrupt)
        )
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert ranges(host) == [None, None]


def test_a_leftover_that_is_whole_is_taken(host: Host, target: Path) -> None:
    url = serve(host)
    download(url, target, LIMITS, unwatched)
    download(url, target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert ranges(host) == [None, f"bytes={len(CONTENT)}-"]


def test_a_leftover_that_is_too_long_is_thrown_away(host: Host, target: Path) -> None:
    url = serve(host)
    download(url, target, LIMITS, unwatched)
    target.write_bytes(CONTENT + b"more")
    download(url, target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert ranges(host) == [None, f"bytes={len(CONTENT) + 4}-", None]


def test_a_server_that_has_no_range_whatever_is_asked_is_given_up(host: Host, target: Path) -> None:
    url = serve(host)
    download(url, target, LIMITS, unwatched)
    host.statuses = [416, 416]
    with pytest.raises(ModelError, match="answered 416"):
        download(url, target, LIMITS, unwatched)


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_server_that_cannot_answer_now_is_asked_again(
    host: Host, target: Path, status: int
) -> None:
    host.statuses = [status, status]
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert len(host.requests) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_is_final(host: Host, target: Path, status: int) -> None:
    host.statuses = [status]
    with pytest.raises(ModelError, match=rf"{host.url}/file.tar answered {status}"):
        download(serve(host), target, LIMITS, unwatched)
    assert len(host.requests) == 1


def test_waits_double_and_attempts_without_a_byte_end(
    host: Host, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STALLED", Retry(1.0, 5.0, attempts=5))
    host.statuses = [500] * 9
    waits: list[float] = []
    with pytest.raises(ModelError, match=r"answered 500 .* tried 5 times"):
        download(serve(host), target, LIMITS, unwatched, clock=Clock(block=waits.append))
    assert waits == [1.0, 2.0, 4.0, 5.0]
    assert len(host.requests) == 5


def test_a_connection_that_breaks_often_but_moves_is_never_given_up(
    host: Host, target: Path
) -> None:
    host.cuts = [50_000] * 20
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert len(host.requests) == 21


def test_nobody_listens(target: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/file.tar"
        with pytest.raises(ModelError, match=r"cannot be reached.*zoo.base_url"):
            download(url, target, LIMITS, unwatched)


def test_silence_is_an_interruption(target: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def accept() -> None:
            accepted.extend(server.accept()[0] for _ in range(5))

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/file.tar"
        with pytest.raises(ModelError, match="tried 5 times"):
            download(url, target, Limits(1000, 0.05), unwatched)
        thread.join()
        for connection in accepted:
            connection.close()


@pytest.mark.parametrize("lengths", [True, False])
def test_a_file_that_is_too_large_leaves_nothing(host: Host, target: Path, lengths: bool) -> None:
    host.lengths = lengths
    with pytest.raises(ModelError, match=r"above zoo.max_bytes \(500000\)"):
        download(serve(host), target, Limits(500_000, 10.0), unwatched)
    assert list(target.parent.iterdir()) == []


def test_a_part_of_a_file_that_proves_too_large_is_removed(host: Host, target: Path) -> None:
    host.cuts = [300_000]
    with pytest.raises(ModelError, match=r"above zoo.max_bytes \(500000\)"):
        download(
            serve(host), target, Limits(500_000, 10.0), unwatched, clock=Clock(block=lambda _: None)
        )
    assert list(target.parent.iterdir()) == []


def test_without_a_length_the_end_of_the_connection_is_the_end(host: Host, target: Path) -> None:
    host.lengths = False
    download(serve(host), target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT


def test_redirects_lead_to_http_alone(host: Host, target: Path, tmp_path: Path) -> None:
    url = serve(host)
    host.redirects = {"/moved": url, "/file": (tmp_path / "secret").as_uri(), "/loop": "/loop"}
    (tmp_path / "secret").write_text("secret")
    download(f"{host.url}/moved", target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    discard(target)
    for path in ("file", "loop"):
        with pytest.raises(ModelError, match=f"{host.url}/{path} answered 302"):
            download(f"{host.url}/{path}", target, LIMITS, unwatched)
    assert not target.exists()


def test_a_part_other_than_asked_for_is_refused(host: Host, target: Path) -> None:
    url = serve(host)
    host.cuts = [100_000]
    host.shift = 1
    with pytest.raises(ModelError, match="asked for bytes from 100000 on and sent others"):
        download(url, target, LIMITS, unwatched)


def test_a_proxy_comes_from_the_environment(
    host: Host, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.files["http://models.example/file.tar"] = CONTENT
    monkeypatch.setenv("http_proxy", host.url)
    download("http://models.example/file.tar", target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT


def test_the_proxys_password_stays_with_the_proxy(
    host: Host, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when an answer that came through it leads to a server that is reached directly."""
    with Host() as proxy:
        proxy.redirects["http://models.example/file.tar"] = serve(host)
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", "://me:canary@"))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        download("http://models.example/file.tar", target, LIMITS, unwatched)
    assert target.read_bytes() == CONTENT
    assert [request.get("Proxy-Authorization") for request in proxy.requests] == [
        "Basic bWU6Y2FuYXJ5"
    ]
    assert [
        name for request in host.requests for name in request if "authoriz" in name.lower()
    ] == []


def test_discarding_leaves_nothing(host: Host, target: Path, tmp_path: Path) -> None:
    download(serve(host), target, LIMITS, unwatched)
    discard(target)
    assert list(tmp_path.iterdir()) == []
    discard(target)


def _interrupt(seconds: float) -> None:
    raise KeyboardInterrupt
