"""Targets: files of models and settings."""

from __future__ import annotations

import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.fuzz.target import MiB, check_text, target
from worker.errors import ModelError, SettingsError
from worker.model.inference_config import read_config
from worker.model.yaml_tree import ConfigError
from worker.settings.sources import load
from worker.zoo.checksums import read_checksums
from worker.zoo.extract import WANTED, extract_model

MOST_EXTRACTED = 16 * 1024
CANARY = "canary-of-a-password"
SECRET = f"kafka: {{sasl: {{password: {CANARY}"


@cache
def _directory() -> TemporaryDirectory[str]:
    """Where files of this process are; gone with it."""
    made = TemporaryDirectory(prefix="fuzz-")
    (Path(made.name) / "labels.txt").write_text("0 cat\n1 dog\n", "utf-8")
    return made


def _path(name: str) -> Path:
    return Path(_directory().name) / name


@target(longest=2048, most_memory=32 * MiB)
def inference_yml(data: bytes) -> None:
    """A model's description is understood as a whole, or refused with its line."""
    directory = _path("")
    try:
        config = read_config(data, directory)
    except ConfigError as error:
        check_text(error)
        return
    assert config.post.top_k >= 1
    assert all(path.parent == directory for path in config.post.files)
    for label in config.post.labels:
        label.encode()
        assert "\n" not in label
    assert config.name is None or config.name.strip()


@target(longest=6144, most_memory=16 * MiB)
def archive(data: bytes) -> None:
    """An archive gives a model's files and nothing else, or is refused."""
    path, into = _path("made_infer.tar"), _path("into")
    into.mkdir(exist_ok=True)
    path.write_bytes(_with_checksums(data))
    try:
        extract_model(path, into, MOST_EXTRACTED)
    except ModelError as error:
        check_text(error, longest=2000)  # a name of 200 characters may be shown as six each
    found = list(into.rglob("*"))
    try:
        assert {each.name for each in found} <= WANTED
        assert all(each.is_file() and not each.is_symlink() for each in found)
        assert sum(each.stat().st_size for each in found) <= MOST_EXTRACTED
    finally:
        for each in found:
            each.unlink()
    assert {each.name for each in _path("").iterdir()} <= {
        *("labels.txt", "made_infer.tar", "into", "worker.yaml", "SHA256SUMS")
    }


def _with_checksums(data: bytes) -> bytes:
    """Correct the sums of the headers, which no made-up input would have right."""
    made = bytearray(data)
    for at in range(0, len(made) - tarfile.BLOCKSIZE + 1, tarfile.BLOCKSIZE):
        block = made[at : at + tarfile.BLOCKSIZE]
        if block[257:262] == b"ustar" or (at == 0 and any(block)):
            total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
            made[at + 148 : at + 156] = b"%06o\0 " % total
    return bytes(made)


@target(longest=2048, most_memory=32 * MiB)
def settings_file(data: bytes) -> None:
    """A file of settings is understood as a whole, or refused without showing its secrets."""
    path = _path("worker.yaml")
    # In the second file the input goes on where a password is.
    for content in (data, SECRET.encode() + data):
        path.write_bytes(content)
        try:
            loaded = load(path, environ={})
        except SettingsError as error:
            # Of a key that is unknown the name is shown, of nothing else the text.
            shown = str(error)
        else:
            shown = repr(loaded)
        assert content is data or CANARY not in shown, shown


@target(longest=1024, examples=150)
def checksums(data: bytes) -> None:
    """A file of checksums is read line by line, or refused."""
    path = _path("SHA256SUMS")
    path.write_bytes(data)
    try:
        found = read_checksums(path)
    except ModelError as error:
        check_text(error)
        return
    for name, digest in found.items():
        assert "/" not in name
        assert len(digest) == 64
        assert int(digest, 16) >= 0
