"""What a caller may pass, and which images that is; no named file is opened."""

from __future__ import annotations

import gzip
import io
import itertools
import os
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageSequence

from tests.support.make import noise
from worker.contract.jobs import RawImage, UrlImage
from worker.errors import JobError, Reason
from worker.predict.inputs import Source, find_sources
from worker.settings import DecodeSettings


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A directory with images in subdirectories, and with what is not to be taken for one."""
    for name in (
        "b.jpg",
        "a.PNG",
        "sub/c.webp",
        "sub/deeper/d.tiff",
        "notes.txt",
        "noext",
        ".hidden.jpg",
        ".cache/e.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def paths(given: object) -> list[str | None]:
    return [source.input_path for source in find_sources(given)]


def test_an_array_is_one_image_and_stays_the_same_object() -> None:
    array = np.zeros((2, 2, 3), np.uint8)
    (source,) = find_sources(array)
    assert source.input_path is None
    assert source.content is array


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_are_an_encoded_image(kind: type) -> None:
    (source,) = find_sources(kind(b"\xff\xd8"))
    assert source == Source(None, RawImage(b"\xff\xd8"))


def test_open_files_are_encoded_images(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"skipped\nline\nline")
    with path.open("rb") as file:
        assert file.readline() == b"skipped\n"
        # From where it stands, and not line by line.
        assert list(find_sources(file)) == [Source(str(path), RawImage(b"line\nline"))]
    assert list(find_sources(io.BytesIO(b"a\nb"))) == [Source(None, RawImage(b"a\nb"))]
    with tempfile.TemporaryFile() as file:
        assert list(find_sources([file])) == [Source(None, RawImage(b""))]


def test_a_file_that_comes_in_pieces_is_read_to_its_end() -> None:
    content = os.urandom(300_000)  # more than a pipe holds
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(content)

    with ThreadPoolExecutor(1) as threads, os.fdopen(reading, "rb", buffering=0) as pipe:
        written = threads.submit(write)
        assert list(find_sources(pipe)) == [Source(None, RawImage(content))]
        written.result()


def test_a_file_that_raises_something_of_its_own_costs_only_itself() -> None:
    packed = gzip.compress(os.urandom(1000))
    with gzip.open(io.BytesIO(packed[:-20])) as file:
        cut, good = find_sources([file, b"good"])
    assert isinstance(cut.content, JobError)
    assert cut.content.message.startswith("the file cannot be read: Compressed file ended")
    assert good.content == RawImage(b"good")


def test_no_more_of_an_open_file_is_read_than_is_accepted() -> None:
    with open("/dev/zero", "rb") as file:  # noqa: PTH123 - any file without an end
        (source,) = find_sources(file)
    assert isinstance(source.content, RawImage)
    assert len(source.content.data) == DecodeSettings().max_bytes + 1


def test_a_closed_file_is_an_error_of_its_own() -> None:
    file = io.BytesIO(b"x")
    file.close()
    closed, good = find_sources([file, b"good"])
    assert isinstance(closed.content, JobError)
    assert good.content == RawImage(b"good")


def test_a_text_file_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8")
    with (
        path.open() as file,
        pytest.raises(TypeError, match=r"open the file with open\(path, 'rb'"),
    ):
        list(find_sources(file))


def test_a_pillow_image_is_taken_when_its_turn_comes(tmp_path: Path) -> None:
    image = Image.new("RGB", (2, 2))
    (source,) = find_sources(image)
    assert source.input_path is None
    assert isinstance(source.content, np.ndarray)
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        assert paths([opened]) == [str(tmp_path / "a.png")]
    with Image.open(tmp_path / "a.png") as never_loaded:
        pass
    closed, good = find_sources([never_loaded, image])
    assert isinstance(closed.content, JobError)
    assert isinstance(good.content, np.ndarray)


def test_each_frame_of_a_pillow_image_is_an_image_of_its_own() -> None:
    first, *rest = (Image.new("RGB", (2, 2), (grey, grey, grey)) for grey in (10, 20, 30))
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=rest)
    with Image.open(file) as opened:
        # It is one object that goes from frame to frame.
        sources = list(find_sources(ImageSequence.Iterator(opened)))
    assert [int(np.asarray(source.content)[0, 0, 0]) for source in sources] == [10, 20, 30]


def test_one_pillow_image_many_times_is_the_same_each_time() -> None:
    file = io.BytesIO()
    Image.fromarray(noise(1200, 900)).save(file, "PNG")
    with Image.open(file) as image:
        sources = list(find_sources([image] * 4))
    for source in sources:
        np.testing.assert_array_equal(source.content, noise(1200, 900)[:, :, ::-1])


def test_a_long_text_that_is_no_file_is_not_repeated() -> None:
    for text in (
        "iVBORw0KGgo" * 100,
        "/9j/4AAQSkZJRg" * 1000,
        "data:image/png;base64," + "A" * 300,
        "x" * 5000,
    ):
        (source,) = find_sources(text)
        assert source.input_path == f"{text[:40]}…"
        assert isinstance(source.content, JobError)
        assert "Base64 has to be decoded first" in source.content.message
        assert text[:50] not in source.content.message
    (source,) = find_sources('["' + "iVBORw0KGgo" * 100 + '"]')  # taken for a pattern
    assert source.input_path == '["iVBORw0KGgoiVBORw0KGgoiVBORw0KGgoiVBOR…'


@pytest.mark.parametrize(
    "url", ["https://example.com/a.jpg?x=1", "HTTP://example.com/a", "ftp://example.com/a.jpg"]
)
def test_urls_are_told_from_paths(url: str) -> None:
    assert list(find_sources(url)) == [Source(url, UrlImage(url))]


def test_a_named_file_is_taken_whatever_it_is_called(photos: Path) -> None:
    for name in ("noext", "notes.txt", ".hidden.jpg", "missing.jpg"):
        assert paths(str(photos / name)) == paths(photos / name) == [str(photos / name)]


def test_a_directory_is_its_images_sorted_and_without_hidden_ones(photos: Path) -> None:
    found = [str(photos / name) for name in ("a.PNG", "b.jpg", "sub/c.webp", "sub/deeper/d.tiff")]
    assert paths(str(photos)) == paths(photos) == found


def test_a_directory_without_images_is_an_error_of_its_own(tmp_path: Path) -> None:
    (source,) = find_sources(tmp_path)
    assert source.input_path == str(tmp_path)
    assert isinstance(source.content, JobError)
    assert source.content.reason is Reason.NOT_FOUND
    assert source.content.message.startswith("the directory holds no images (.bmp .gif")


def test_a_directory_is_listed_without_pipes_but_with_broken_links(photos: Path) -> None:
    os.mkfifo(photos / "sub/pipe.jpg")
    (photos / "sub/linked.png").symlink_to(photos / "b.jpg")
    (photos / "sub/broken.png").symlink_to("nowhere.png")
    assert paths(photos / "sub") == [
        str(photos / "sub" / name)
        for name in ("broken.png", "c.webp", "deeper/d.tiff", "linked.png")
    ]


def test_an_empty_path_is_not_the_current_directory(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    (source,) = find_sources("")
    assert source.input_path == ""
    assert isinstance(source.content, JobError)
    assert source.content.message.startswith("the path is empty")
    assert len(paths(".")) == 4


def test_patterns_are_expanded_sorted(photos: Path) -> None:
    assert paths(f"{photos}/*.[jP]*") == [str(photos / name) for name in ("a.PNG", "b.jpg")]
    assert paths(f"{photos}/**/*.tiff") == [str(photos / "sub/deeper/d.tiff")]
    assert paths(f"{photos}/s*") == [str(photos / "sub/c.webp"), str(photos / "sub/deeper/d.tiff")]


def test_a_pattern_without_matches_is_an_error_of_its_own(photos: Path) -> None:
    (source,) = find_sources(f"{photos}/*.gif")
    assert isinstance(source.content, JobError)
    assert source.content.message == "no file matches the pattern"


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    path = tmp_path / "a[1].jpg"
    path.touch()
    assert list(find_sources(str(path))) == [Source(str(path), path)]


def test_what_cannot_be_a_files_name_is_left_to_the_reader() -> None:
    assert paths("null\0character.jpg") == ["null\0character.jpg"]


def test_a_dict_holds_one_of_the_others(photos: Path) -> None:
    assert paths({"img": str(photos / "b.jpg")}) == [str(photos / "b.jpg")]
    assert paths({"img": [photos / "b.jpg", np.zeros((1, 1, 3), np.uint8)]}) == [
        str(photos / "b.jpg"),
        None,
    ]


@pytest.mark.parametrize("given", [{}, {"image": "a.jpg"}, {"img": "a.jpg", "topk": 5}])
def test_another_dict_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"pass \{'img': image\}"):
        list(find_sources(given))


def test_lists_hold_all_kinds_in_order(photos: Path) -> None:
    given = [
        np.zeros((1, 1, 3), np.uint8),
        str(photos / "sub"),
        ("https://example.com/a.jpg", [photos / "b.jpg"]),
    ]
    assert paths(given) == [
        None,
        str(photos / "sub/c.webp"),
        str(photos / "sub/deeper/d.tiff"),
        "https://example.com/a.jpg",
        str(photos / "b.jpg"),
    ]


def test_an_endless_iterator_is_read_as_far_as_asked() -> None:
    def frames() -> Iterator[str]:
        for number in itertools.count():
            assert number < 3, "read too far"
            yield f"{number}.jpg"

    found = find_sources(frames())
    assert [next(found).input_path for _ in range(3)] == ["0.jpg", "1.jpg", "2.jpg"]


@pytest.mark.parametrize("given", [5, 1.5, None, ["a.jpg", 5], object()])
def test_what_is_no_image_is_refused(given: object) -> None:
    with pytest.raises(
        TypeError, match=r"is no image: pass a uint8 array, a Pillow image, a path, a URL"
    ):
        list(find_sources(given))
