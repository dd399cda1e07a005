"""Reading: each kind of source, what is wrong with it, and how far ahead."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.make import noise
from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError, Reason
from worker.images.prepare import Prepared
from worker.images.transform import Transform
from worker.model import Crop, Resize
from worker.predict.inputs import Source, find_sources
from worker.predict.reader import LOCAL_FETCH, Reader, read_batches
from worker.settings import DecodeSettings

TRANSFORM = Transform(Resize(48, None), Crop(32, 32))


@pytest.fixture
def reader() -> Reader:
    return Reader(TRANSFORM, DecodeSettings())


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    """Serves bytes on loopback: `serve(data)` is their URL."""
    served: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = served.get(self.path)
            self.send_response(404 if data is None else 200)
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Nothing: the tests' output is theirs."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def add(data: bytes) -> str:
        served[f"/{len(served)}.png"] = data
        return f"http://127.0.0.1:{server.server_port}/{len(served) - 1}.png"

    yield add
    server.shutdown()
    server.server_close()
    thread.join()


def refused(reader: Reader, content: object) -> JobError:
    read = reader.read(Source(None, content))  # type: ignore[arg-type]
    assert isinstance(read, JobError)
    return read


def test_files_bytes_arrays_and_urls_give_the_same(
    reader: Reader,
    make_image: Callable[..., Path],
    serve: Callable[[bytes], str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    path = make_image("a.png", (1, 2, 3), (90, 60))
    data = path.read_bytes()
    array = np.full((60, 90, 3), (1, 2, 3), np.uint8)
    for content in (path, RawImage(data), array, UrlImage(serve(data))):
        read = reader.read(Source(None, content))
        assert isinstance(read, Prepared)
        assert read.crop.shape == (32, 32, 3)
        assert read.crop[0, 0].tolist() == [3, 2, 1]
        assert read.picture is not None
        np.testing.assert_array_equal(read.picture, array)


def test_an_address_on_the_own_machine_may_be_read(
    reader: Reader, serve: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    error = refused(reader, UrlImage(serve(b"") + "/missing"))
    assert error.reason is Reason.NOT_FOUND
    assert error.message == "there is no image at the URL (HTTP 404 Not Found)"


def test_the_users_own_proxy_is_used(
    reader: Reader, serve: Callable[[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LOCAL_FETCH.trust_env
    proxy = serve(b"").rpartition("/")[0]
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    # The proxy answers 404 to the absolute URL; without it the name would not even resolve.
    error = refused(reader, UrlImage("http://images.invalid/a.jpg"))
    assert error.reason is Reason.NOT_FOUND


def test_a_url_that_cannot_be_one_is_refused(reader: Reader) -> None:
    error = refused(reader, UrlImage("ftp://example.com/a.jpg"))
    assert error.message == "the URL's scheme is 'ftp'; only http and https are fetched"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jpg", "there is no such file"),
        ("x" * 5000, "the file cannot be read: File name too long"),
        ("null\0.jpg", "no file can have this name: embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(reader: Reader, name: str, message: str) -> None:
    error = refused(reader, Path(name))
    assert (error.reason, error.message) == (Reason.NOT_FOUND, message)


def test_no_more_of_a_file_is_read_than_is_accepted() -> None:
    reader = Reader(TRANSFORM, DecodeSettings(max_bytes=1000))
    error = refused(reader, Path("/dev/zero"))
    assert error.reason is Reason.TOO_LARGE


def test_what_is_wrong_with_an_array_comes_back_as_a_value(reader: Reader) -> None:
    assert refused(reader, np.zeros((2, 2, 3), np.float32)).reason is Reason.NOT_AN_IMAGE


def test_what_was_known_before_comes_back_as_it_is(reader: Reader) -> None:
    known = JobError(Reason.NOT_FOUND, "no file matches the pattern")
    assert refused(reader, known) is known


def test_one_pillow_image_many_times_is_the_same_each_time(reader: Reader) -> None:
    file = io.BytesIO()
    Image.fromarray(noise(1200, 900)).save(file, "PNG")
    with ThreadPoolExecutor(8) as threads, Image.open(file) as image:
        batches = read_batches(find_sources([image] * 8), reader, threads, 8, 1)
        reads = [read for batch in batches for _, read in batch]
    expected = noise(1200, 900)[:, :, ::-1]
    for read in reads:
        assert isinstance(read, Prepared)
        np.testing.assert_array_equal(read.picture, expected)


def test_batches_keep_order_and_sizes(reader: Reader, executor: ThreadPoolExecutor) -> None:
    arrays = [np.full((40, 40, 3), value, np.uint8) for value in range(7)]
    sources = [Source(str(value), array) for value, array in enumerate(arrays)]
    for ahead in (0, 1, 5):
        batches = list(read_batches(sources, reader, executor, 3, ahead))
        assert [len(batch) for batch in batches] == [3, 3, 1]
        read = [pair for batch in batches for pair in batch]
        assert [source.input_path for source, _ in read] == [str(value) for value in range(7)]
        assert [
            int(prepared.crop[0, 0, 0]) for _, prepared in read if isinstance(prepared, Prepared)
        ] == list(range(7))


@pytest.mark.parametrize(("ahead", "taken"), [(0, 2), (1, 4), (2, 6)])
def test_sources_are_taken_so_far_ahead_and_no_further(
    reader: Reader, executor: ThreadPoolExecutor, ahead: int, taken: int
) -> None:
    count = 0

    def sources() -> Iterator[Source]:
        nonlocal count
        for _ in range(100):
            count += 1
            yield Source(None, np.zeros((40, 40, 3), np.uint8))

    batches = read_batches(sources(), reader, executor, 2, ahead)
    next(batches)
    assert count == taken
    next(batches)
    assert count == taken + 2
    batches.close()  # type: ignore[attr-defined]
    assert count == taken + 2
