"""ZIP files made to do harm, damaged ones, and good ones."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from worker.datasets import archive as module
from worker.datasets.archive import is_archive, unpack
from worker.errors import DatasetError


@pytest.fixture
def target(tmp_path: Path) -> Path:
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    def write(*members: str | zipfile.ZipInfo, content: bytes = b"x") -> Path:
        path = tmp_path / "made.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for member in members:
                opened.writestr(member, content)
        return path

    return write


def with_mode(name: str, mode: int) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.create_system, member.external_attr = 3, mode << 16
    return member


def files(directory: Path) -> list[str]:
    return sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )


def test_files_are_unpacked_but_for_hidden_ones(pack: Callable[..., Path], target: Path) -> None:
    names = ("a b/1.jpg", "c/", "c/2.jpg", "__MACOSX/c/._2.jpg", "c/.DS_Store", "c/Thumbs.db")
    unpack(pack(*names), target)
    assert files(target) == ["a b/1.jpg", "c/2.jpg"]
    assert (target / "a b" / "1.jpg").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["../a", "/a", "a/../../b", "C:/a", "..\\a", "a\\b"])
def test_paths_that_lead_out(pack: Callable[..., Path], target: Path, name: str) -> None:
    with pytest.raises(DatasetError, match=r"made.zip is refused: .* leads out of the archive"):
        unpack(pack("good/1.jpg", name), target)
    assert files(target) == []
    assert files(target.parent) == ["made.zip"]


@pytest.mark.parametrize(
    ("mode", "why"),
    [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is neither"), (stat.S_IFCHR, "is neither")],
)
def test_what_is_no_plain_file(
    pack: Callable[..., Path], target: Path, mode: int, why: str
) -> None:
    with pytest.raises(DatasetError, match=why):
        unpack(pack("good/1.jpg", with_mode("a", mode | 0o644)), target)
    assert files(target) == []


def test_a_name_that_is_there_twice(pack: Callable[..., Path], target: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = pack("a/1.jpg", "a/1.jpg")
    with pytest.raises(DatasetError, match=r"'a/1.jpg' is there twice"):
        unpack(path, target)


@pytest.mark.parametrize("names", [("a", "a/1.jpg"), ("a/1.jpg", "a")])
def test_a_file_that_is_a_folder_as_well(
    pack: Callable[..., Path], target: Path, names: tuple[str, str]
) -> None:
    with pytest.raises(DatasetError, match="is a file and a folder"):
        unpack(pack(*names), target)


def test_a_path_that_is_too_deep(pack: Callable[..., Path], target: Path) -> None:
    with pytest.raises(DatasetError, match="is more than 32 folders deep"):
        unpack(pack("a/" * 40 + "1.jpg"), target)


def test_what_zipfile_could_not_read_in_bounded_memory(
    pack: Callable[..., Path], target: Path
) -> None:
    member = zipfile.ZipInfo("a/1.jpg")
    member.compress_type = zipfile.ZIP_LZMA
    with pytest.raises(DatasetError, match="compressed in an unusual way"):
        unpack(pack(member), target)


def test_an_encrypted_one(pack: Callable[..., Path], target: Path) -> None:
    path = pack("a/1.jpg")
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError, match="is encrypted: pack the images without a password"):
        unpack(path, target)


def test_a_bomb(pack: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack("a/1.jpg", content=bytes(10_000_000))
    monkeypatch.setattr(module, "SMALL", 1000)
    with pytest.raises(DatasetError, match="unpacks to more than 200 times its size"):
        unpack(path, target)
    assert files(target) == []


def test_more_than_the_disk_has_room_for(
    pack: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEFT_FREE", 2**62)
    with pytest.raises(DatasetError, match="has room for 0: set TMPDIR to a larger place"):
        unpack(pack("a/1.jpg"), target)


def test_too_many_members(
    pack: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 2)
    with pytest.raises(DatasetError, match="has more than 2 members"):
        unpack(pack("a/1.jpg", "a/2.jpg", "a/3.jpg"), target)


def test_a_table_of_members_that_takes_too_much_memory(
    pack: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(*(f"a/{number}.jpg" for number in range(2000)))
    monkeypatch.setattr(module, "MAX_TABLE_BYTES", 100_000)
    with pytest.raises(DatasetError, match="its table of members has more than"):
        unpack(path, target)


def test_a_member_that_is_larger_than_it_says(pack: Callable[..., Path], target: Path) -> None:
    path = pack("a/1.jpg", content=bytes(1000))
    data = bytearray(path.read_bytes())
    # The uncompressed size in the archive's table, by which members are read.
    struct.pack_into("<I", data, data.index(b"PK\x01\x02") + 24, 10)
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"made.zip is damaged"):
        unpack(path, target)
    assert all(path.stat().st_size <= 10 for path in target.rglob("*.jpg"))


@pytest.mark.parametrize("kept", [0, 10, 60, -1])
def test_a_damaged_one(pack: Callable[..., Path], target: Path, kept: int) -> None:
    path = pack("a/1.jpg")
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"made.zip is damaged or no ZIP file"):
        unpack(path, target)


def test_damaged_content(pack: Callable[..., Path], target: Path) -> None:
    path = pack("a/1.jpg", content=bytes(range(256)))
    data = bytearray(path.read_bytes())
    data[60] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DatasetError, match=r"made.zip is damaged"):
        unpack(path, target)


def test_it_is_known_by_its_name() -> None:
    assert is_archive(Path("a/b.ZIP"))
    assert not is_archive(Path("zip"))
