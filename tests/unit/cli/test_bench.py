"""What `bench` refuses before it measures anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from worker.cli.bench import _files, bench


def test_a_directory_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("none")
    with pytest.raises(typer.BadParameter, match="holds no images"):
        _files([tmp_path])


def test_a_directory_is_no_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="is a directory: name a file"):
        bench(output=tmp_path, sections="codec", model="a model", seconds=0.1)
