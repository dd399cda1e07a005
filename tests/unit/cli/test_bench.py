"""What `bench` refuses before it measures for minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from worker.cli.bench import _files, bench


@pytest.mark.parametrize(
    ("name", "why"), [("", "is a directory"), ("missing/file", "is no directory")]
)
def test_figures_need_a_file(tmp_path: Path, name: str, why: str) -> None:
    images, path = [tmp_path / "missing.jpg"], tmp_path / name
    for output, plot in ((path, None), (None, path)):
        with pytest.raises(typer.BadParameter, match=why):
            bench(images, output=output, plot=plot)


def test_a_directory_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(typer.BadParameter, match="holds no images"):
        _files([tmp_path])
