"""PDF files: pages as pixels, limits before rendering, and what damage costs."""

from __future__ import annotations

import gc
import io
import os
import resource
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.support.make import encode, noise
from tests.support.make_pdf import (
    LEFT_HALF_RED,
    black_image,
    encrypted,
    nested_forms,
    page,
    pdf,
    stream,
)
from worker.errors import JobError, Reason
from worker.images import pdf as pdf_module
from worker.images.pdf import PdfFile, is_pdf
from worker.settings import DecodeSettings

LIMITS = DecodeSettings()
RED, WHITE, BLACK = [0, 0, 255], [255, 255, 255], [0, 0, 0]
DRAWS_IMAGE = b"100 0 0 50 0 0 cm /I Do"


def opened(data: bytes) -> closing[PdfFile]:
    return closing(PdfFile(io.BytesIO(data)))


def refused(data: bytes, index: int = 0, limits: DecodeSettings = LIMITS) -> JobError:
    with pytest.raises(JobError) as caught, opened(data) as file:
        file.render(index, limits)
    return caught.value


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (pdf(page()), True),
        (b"\xef\xbb\xbf\r\n%PDF-1.7", True),
        (b"junk " * 200 + b"%PDF-1.7", True),
        (b"junk " * 300 + b"%PDF-1.7", False),
        (b"", False),
        (b"a text", False),
        (b"\xff\xd8\xff\xe1 application/pdf %PDF-1.7", False),
    ],
)
def test_a_pdf_is_known_by_its_mark(head: bytes, expected: bool) -> None:
    assert is_pdf(head) is expected


def test_a_page_has_two_pixels_per_point_and_a_white_ground() -> None:
    with opened(pdf(page(content=4), extra=[stream(LEFT_HALF_RED)])) as file:
        assert len(file) == 1
        pixels = file.render(0, LIMITS)
    assert pixels.shape == (100, 200, 3)
    assert pixels.dtype == np.uint8
    # Closing has left the array its memory.
    assert pixels[:, :100].reshape(-1, 3).tolist() == [RED] * 100 * 100
    assert pixels[:, 100:].reshape(-1, 3).tolist() == [WHITE] * 100 * 100


def test_fractions_of_a_pixel_count_as_one() -> None:
    with opened(pdf(page(10.3, 0.001))) as file:
        assert file.render(0, LIMITS).shape == (1, 21, 3)


def test_a_page_is_turned_as_it_asks() -> None:
    data = pdf(page(content=4, more=b"/Rotate 90"), extra=[stream(LEFT_HALF_RED)])
    with opened(data) as file:
        pixels = file.render(0, LIMITS)
    assert pixels.shape == (200, 100, 3)
    assert [pixels[0, 0].tolist(), pixels[-1, 0].tolist()] == [RED, WHITE]


def test_pages_that_another_program_wrote_come_in_order() -> None:
    first, *rest = (Image.fromarray(noise(64, 48, seed)) for seed in range(3))
    with opened(encode(first, "PDF", save_all=True, append_images=rest)) as file:
        for index, original in enumerate([first, *rest]):
            halved = Image.fromarray(file.render(index, LIMITS)[..., ::-1]).resize((64, 48))
            difference = np.abs(np.asarray(halved, int) - np.asarray(original, int))
            assert difference.mean() < 10


@pytest.mark.parametrize(
    ("data", "reason", "message"),
    [
        (encrypted(), Reason.NOT_AN_IMAGE, "the PDF file is encrypted: save a copy that needs"),
        (pdf(), Reason.CORRUPT_IMAGE, "the PDF file is cut off or damaged, or it has no pages"),
        (b"%PDF-1.7\n", Reason.CORRUPT_IMAGE, "the PDF file is cut off or damaged"),
        (pdf(page())[:60], Reason.CORRUPT_IMAGE, "the PDF file is cut off or damaged"),
        (
            encode(noise(64, 48), "PDF")[:-900],
            Reason.CORRUPT_IMAGE,
            "the PDF file is cut off or damaged",
        ),
        (b"", Reason.CORRUPT_IMAGE, "the PDF file is cut off or damaged"),
    ],
    ids=["encrypted", "no pages", "mark alone", "cut off", "cut off in the image", "empty"],
)
def test_a_file_that_cannot_be_used_says_why(data: bytes, reason: Reason, message: str) -> None:
    error = refused(data)
    assert error.reason is reason
    assert error.message.startswith(message)


def test_a_file_without_pages_is_not_blamed_for_the_one_before() -> None:
    assert refused(encrypted()).reason is Reason.NOT_AN_IMAGE
    assert refused(pdf()).reason is Reason.CORRUPT_IMAGE


def test_a_damaged_page_costs_only_itself() -> None:
    data = pdf(page(), b"null", page())
    error = refused(data, 1)
    assert error.reason is Reason.CORRUPT_IMAGE
    assert error.message == "it is damaged (Failed to load page.): save the PDF file again"
    with opened(data) as file:
        assert [file.render(index, LIMITS).shape for index in (0, 2)] == [(100, 200, 3)] * 2


def test_a_file_without_its_end_keeps_the_pages_that_can_be_found() -> None:
    data = pdf(page(content=4), extra=[stream(LEFT_HALF_RED)])
    with opened(data[: data.index(b"startxref")]) as file:
        assert len(file) == 1
        assert file.render(0, LIMITS)[0, 0].tolist() == RED


@pytest.mark.parametrize(
    ("size", "limits", "said"),
    [
        ((14400, 14400), LIMITS, "28800x28800 pixels; at most 64000000 in all are accepted"),
        ((15001, 10), LIMITS, "30002x20 pixels; its longest side may be 30000"),
        ((100, 50), DecodeSettings(max_pixels=19_999), "200x100 pixels; at most 19999 in all are"),
    ],
)
def test_a_huge_page_is_refused(size: tuple[int, int], limits: DecodeSettings, said: str) -> None:
    error = refused(pdf(page(*size)), limits=limits)
    assert error.reason is Reason.TOO_MANY_PIXELS
    assert error.message.startswith(f"the page, at 144 pixels per inch, is {said}")


def test_a_page_of_the_limit_itself_is_rendered() -> None:
    with opened(pdf(page())) as file:
        assert file.render(0, DecodeSettings(max_pixels=20_000, max_side=200)).size == 60_000


@pytest.mark.parametrize("nested", [False, True], ids=["on the page", "in a form"])
def test_a_huge_image_on_a_small_page_is_refused(nested: bool) -> None:
    resources = b"/Resources<</XObject<</I 5 0 R>>>>"
    form = stream(DRAWS_IMAGE, b"/Type/XObject/Subtype/Form/BBox[0 0 100 50]" + resources)
    if nested:
        shown = page(content=4, more=b"/Resources<</XObject<</F 6 0 R>>>>")
        data = pdf(shown, extra=[stream(b"/F Do"), black_image(150), form])
    else:
        data = pdf(page(content=4, more=resources), extra=[stream(DRAWS_IMAGE), black_image(150)])
    with opened(data) as file:
        assert file.render(0, DecodeSettings(max_pixels=22_500))[50, 100].tolist() == BLACK
    error = refused(data, limits=DecodeSettings(max_pixels=22_499))
    assert error.reason is Reason.TOO_MANY_PIXELS
    assert error.message.startswith("an image on the page is 150x150 pixels; at most 22499 in all")


def test_closing_again_does_nothing() -> None:
    file = PdfFile(io.BytesIO(pdf(page())))
    file.close()
    file.close()


def test_threads_share_a_file() -> None:
    greys = [b"%.4f g 0 0 100 50 re f" % (number / 16) for number in range(16)]
    pages = [page(content=3 + len(greys) + number) for number in range(len(greys))]
    with opened(pdf(*pages, extra=[stream(grey) for grey in greys])) as file:
        with ThreadPoolExecutor(4) as threads:
            found = threads.map(lambda index: file.render(index, LIMITS)[50, 50, 0], range(16))
        np.testing.assert_allclose(list(found), np.arange(16) * 255 / 16, atol=1)


def test_many_threads_get_their_own_pages() -> None:
    def render(number: int) -> int:
        grey = b"%.2f g 0 0 100 50 re f" % (number / 20)
        with opened(pdf(page(content=4), extra=[stream(grey)])) as file:
            return int(file.render(0, LIMITS)[50, 50, 0])

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(render, range(20)))
    np.testing.assert_allclose(found, np.arange(20) * 255 / 20, atol=1)


def rendering_processes() -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process().children()
        if "worker.images.pdf_process" in child.cmdline()
    ]


def test_a_page_that_takes_all_memory_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "MEMORY_BYTES", 200 << 20)
    data = nested_forms(10, 10)
    assert len(data) < 3000
    with opened(data) as file:
        with pytest.raises(
            JobError, match="needs more than 200 MiB of memory, or crashes"
        ) as caught:
            file.render(0, LIMITS)
        assert caught.value.reason is Reason.CORRUPT_IMAGE
        assert file.render(1, LIMITS).shape == (100, 200, 3)


def test_a_page_that_takes_for_ever_costs_only_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_module, "PAGE_SECONDS", 1)
    monkeypatch.setattr(pdf_module, "MEMORY_BYTES", 1 << 40)
    with opened(nested_forms(10, 10)) as file:
        with pytest.raises(JobError, match="takes more than 1 s of processor time"):
            file.render(0, LIMITS)
        assert file.render(1, LIMITS).shape == (100, 200, 3)


def test_a_killed_renderer_costs_one_page_and_no_file_more_than_a_few() -> None:
    with opened(pdf(page(), page())) as file:
        for _ in range(pdf_module.MAX_DEATHS):
            (process,) = rendering_processes()
            process.kill()
            with pytest.raises(JobError, match="crashes the renderer"):
                file.render(0, LIMITS)
            if _ < pdf_module.MAX_DEATHS - 1:
                assert file.render(1, LIMITS).shape == (100, 200, 3)
        with pytest.raises(JobError, match="3 other pages of the PDF file could not be rendered"):
            file.render(1, LIMITS)
    assert rendering_processes() == []


def test_the_process_ends_with_the_file() -> None:
    file = PdfFile(io.BytesIO(pdf(page())))
    assert len(rendering_processes()) == 1
    file.close()
    assert rendering_processes() == []
    file = PdfFile(io.BytesIO(pdf(page())))
    del file
    gc.collect()
    assert rendering_processes() == []


def test_where_no_process_can_be_started_nothing_stays_open() -> None:
    process = psutil.Process()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()
    before = process.num_fds()
    with open(os.devnull, "rb") as file:  # noqa: PTH123 - a descriptor that can be had twice
        for more in (2, 3, 4):  # for the sockets, the pixels, the file
            resource.setrlimit(resource.RLIMIT_NOFILE, (_lowest_free() + more, hard))
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    PdfFile(file)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            assert process.num_fds() == before + 1


def _lowest_free() -> int:
    """The descriptor that the next file gets."""
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor


def test_many_pages_take_the_memory_of_one() -> None:
    with opened(pdf(*[page(500, 500)] * 40)) as file:
        tracemalloc.start()
        for index in range(len(file)):
            assert file.render(index, LIMITS).nbytes == 3_000_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert 3_000_000 <= peak < 7_000_000


def test_a_file_that_is_open_at_the_end_costs_no_word() -> None:
    script = """
import io, sys, weakref
weakref.finalize(sys, int)  # Python ends such things in one go, now after PDFium
from worker.images.pdf import PdfFile
assert "pypdfium2" not in sys.modules, "loaded before a PDF is read"
left_open = PdfFile(io.BytesIO(sys.stdin.buffer.read()))
print(len(left_open))
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        input=pdf(page()),
        capture_output=True,
        check=True,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == (b"1", b"")
