"""`classify-worker dataset check` as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.images import colour_png, noise_jpeg
from tests.support.terminal import Terminal

TIMEOUT = 60.0

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A data set in PaddleX's layout, with names that have spaces, and nothing wrong."""
    root = tmp_path / "my animals"
    (root / "images").mkdir(parents=True)
    (root / "label.txt").write_text("0 tabby, tabby cat\n1 dog\n")
    for number, split in enumerate(("train", "val")):
        lines = []
        for label in range(2):
            for each in range(3):
                name = f"images/{split} {label} {each}.jpg"
                (root / name).write_bytes(noise_jpeg(100 * number + 10 * label + each))
                lines.append(f"{name} {label}\n")
        (root / f"{split}.txt").write_text("".join(lines))
    return root


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    directory = tmp_path / "scratch"
    directory.mkdir()
    return directory


@pytest.fixture
def check(tmp_path: Path, scratch: Path) -> Run:
    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "worker", "dataset", "check", *map(str, arguments)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": os.fspath(Path.cwd()), "TMPDIR": str(scratch)},
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )

    return run


def pack(root: Path) -> Path:
    path = root.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for each in root.rglob("*"):
            archive.write(each, each.relative_to(root.parent))
    return path


def test_a_good_one_in_a_table_and_packed(
    check: Run, lists: Path, scratch: Path, tmp_path: Path
) -> None:
    plain, packed = check(lists), check(pack(lists))
    assert (plain.returncode, plain.stderr) == (0, "")
    assert "my animals: PaddleX's lists" in plain.stdout
    assert [line.split() for line in plain.stdout.splitlines()[5:7]] == [
        ["0", "tabby,", "tabby", "cat", "6", "3", "3", "0"],
        ["1", "dog", "6", "3", "3", "0"],
    ]
    assert plain.stdout.endswith("12 of 12 images can be used; nothing has to be corrected\n")
    assert (packed.returncode, packed.stderr) == (0, "")
    # But for the name and the layout, the same: the digest as well.
    assert packed.stdout.splitlines()[1:] == plain.stdout.splitlines()[1:]
    assert list(scratch.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "my animals",
        "my animals.zip",
        "scratch",
    ]


def test_all_that_is_wrong_is_named_and_costs_the_exit_code(check: Run, lists: Path) -> None:
    with (lists / "label.txt").open("a") as labels:
        labels.write("3 owl\n")
    (lists / "images" / "broken one.jpg").write_text("this is no image")
    (lists / "images" / "copy.jpg").write_bytes((lists / "images" / "train 0 0.jpg").read_bytes())
    with (lists / "val.txt").open("a") as images:
        images.write("images/broken one.jpg 1\nimages/copy.jpg 1\nimages/train 1 1.jpg 9\n")
        images.write("images/nowhere.jpg 0\n")
    done = check(lists, "--format", "json")
    assert done.returncode == 1, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["usable"] is False
    assert {(each["kind"], each["where"]) for each in report["findings"] if each["wrong"]} == {
        ("id_gap", "label.txt"),
        ("unknown_id", "val.txt:9"),
        ("unreadable", "images/broken one.jpg"),
        ("unreadable", "images/nowhere.jpg"),
        ("two_labels", "images/train 0 0.jpg"),
        ("across_splits", "images/train 0 0.jpg"),
        ("empty_class", "owl"),
    }
    assert [(each["name"], each["train"], each["val"]) for each in report["classes"]] == [
        ("tabby, tabby cat", 3, 3),
        ("dog", 3, 4),
        ("owl", 0, 0),
    ]


def test_what_is_no_data_set_says_what_is_accepted(check: Run, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    done = check("void")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("classify-worker: void holds no labelled image")
    assert "DIR/{train,val,test}/CLASS/*" in done.stderr
    refused = check("void", "--set", "model=any")
    assert refused.returncode == 2
    assert "model: of no effect here" in refused.stderr


def test_ctrl_c_leaves_nothing_behind(lists: Path, scratch: Path) -> None:
    (lists / "images" / "val 0 0.jpg").write_bytes(colour_png("#fe0102"))
    environ = {"WORKER_FAILPOINTS": "decode.hang=fe0102", "TMPDIR": str(scratch)}
    with Terminal("dataset", "check", str(pack(lists)), environ=environ) as terminal:
        terminal.wait_for("11/12")
        assert len(list(scratch.iterdir())) == 1
        terminal.interrupt()
        assert terminal.wait() == 130
        assert list(scratch.iterdir()) == []
