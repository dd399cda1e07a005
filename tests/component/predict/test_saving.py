"""Which files are for one image: pages are counted, of PDF files by a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from worker.contract.jobs import UrlImage
from worker.errors import SettingsError
from worker.predict.inputs import Page, Source, find_sources
from worker.predict.pages import split_pages
from worker.predict.saving import FileSaver, make_saver
from worker.settings import DecodeSettings


@pytest.mark.parametrize("suffix", [".tif", ".pdf"])
def test_pages_are_counted_before_the_first_is_classified(tmp_path: Path, suffix: str) -> None:
    scan = tmp_path / f"scan{suffix}"
    first, second = Image.new("RGB", (40, 30)), Image.new("RGB", (30, 40))
    first.save(scan, save_all=True, append_images=[second])
    with pytest.raises(SettingsError, match="there are 2: name a directory"):
        make_saver(str(tmp_path / "out.jpg"), [Source(str(scan), scan)])
    first.save(scan)
    assert isinstance(make_saver(str(tmp_path / "out.jpg"), [Source(str(scan), scan)]), FileSaver)


@pytest.mark.parametrize("suffix", [".tif", ".pdf"])
def test_pages_at_a_url_are_counted_once_it_is_fetched(tmp_path: Path, suffix: str) -> None:
    scan, url = tmp_path / f"scan{suffix}", f"https://h/scan{suffix}"
    fetched: list[str] = []

    def fetch(asked: str) -> bytes:
        fetched.append(asked)
        return scan.read_bytes()

    saver = make_saver(str(tmp_path / "out.jpg"), [Source(url, UrlImage(url))])
    assert isinstance(saver, FileSaver)
    first, *rest = (Image.new("RGB", (40, 30)) for _ in range(3))
    first.save(scan, save_all=True, append_images=rest)
    with pytest.raises(SettingsError, match=rf"there are 3 pages in {url}: name a directory"):
        saver.check(split_pages(find_sources(url), fetch, DecodeSettings()))
    first.save(scan)
    (page,) = saver.check(split_pages(find_sources(url), fetch, DecodeSettings()))
    assert page.page == Page(0, 1)
    # Its content is at hand: it is not fetched again to be classified.
    assert list(split_pages([page], fetch, DecodeSettings())) == [page]
    assert fetched == [url] * 2


@pytest.mark.parametrize("suffix", [".tif", ".pdf"])
def test_what_has_no_pages_is_one_image_whose_classifying_says_why(
    tmp_path: Path, suffix: str
) -> None:
    broken, missing = tmp_path / f"broken{suffix}", tmp_path / f"missing{suffix}"
    broken.write_text("no image")
    for path in (broken, missing):
        source = Source(str(path), path)
        assert isinstance(make_saver(str(tmp_path / "out.jpg"), [source]), FileSaver)
