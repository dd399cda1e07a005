"""Files of results, as programs read them while they grow and afterwards."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from worker.cli.output_file import OutputFile
from worker.cli.output_record import OutputRecord
from worker.contract.jobs import Category
from worker.errors import SettingsError, WorkerError

CAT = OutputRecord("cat.jpg", categories=(Category(1, "a, b", 0.75), Category(2, "c", 0.25)))
BAD = OutputRecord("bad.jpg", 415, 'no "image"', reason="not_an_image", page=3)


def test_every_record_is_in_the_file_before_the_next_one_comes(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.csv"
    with OutputFile(path) as file:
        file.write(CAT)
        assert len(path.read_text().splitlines()) == 3
        file.write(BAD)
        with path.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
    assert [
        (row["input"], row["page"], row["rank"], row["name"], row["score"]) for row in rows
    ] == [
        ("cat.jpg", "", "1", "a, b", "0.75"),
        ("cat.jpg", "", "2", "c", "0.25"),
        ("bad.jpg", "3", "", "", ""),
    ]
    assert rows[2]["error"] == 'no "image"'


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.JSONL"
    with OutputFile(path) as file:
        file.write(CAT)
        file.write(BAD)
    cat, bad = (json.loads(line) for line in path.read_text().splitlines())
    assert (cat["errorMsg"], len(cat["categories"])) == ("Success", 2)
    assert (bad["errorCode"], bad["reason"], bad["page"]) == (415, "not_an_image", 3)


def test_a_file_is_replaced_when_there_is_something_to_put_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("earlier")
    with OutputFile(path):
        pass
    assert path.read_text() == "earlier"
    with OutputFile(path) as file:
        file.write(BAD)
    assert "earlier" not in path.read_text()


@pytest.mark.parametrize("name", ["out.txt", "out", "out.csv.gz"])
def test_a_name_must_say_the_format(name: str) -> None:
    with pytest.raises(SettingsError, match=r"must end in \.csv or \.jsonl"):
        OutputFile(Path(name))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(SettingsError, match="is a directory: name a file"):
        OutputFile(tmp_path / "d.csv")


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        OutputFile(tmp_path / "file" / "out.csv") as file,
        pytest.raises(WorkerError, match=r"out\.csv cannot be written: "),
    ):
        file.write(BAD)


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    full = tmp_path / "full.csv"
    full.symlink_to("/dev/full")
    with (
        OutputFile(full) as file,
        pytest.raises(WorkerError, match=r"full\.csv cannot be written: No space left"),
    ):
        file.write(BAD)
