"""Archives made to do harm, archives that are damaged, and good ones."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.zoo_host import make_archive, model_files
from worker.errors import ModelError
from worker.zoo.extract import MAX_MEMBERS, extract_model

LIMIT = 1_000_000


@pytest.fixture
def target(tmp_path: Path) -> Path:
    directory = tmp_path / "target"
    directory.mkdir()
    return directory


def archive_of(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    path = tmp_path / "made_infer.tar"
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            if content:
                member.size = len(content)
            tar.addfile(member, io.BytesIO(content) if content else None)
    return path


def file(name: str, content: bytes = b"x") -> tuple[tarfile.TarInfo, bytes]:
    return tarfile.TarInfo(name), content


def special(name: str, kind: bytes, link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member, b""


def read(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_official_layout(tmp_path: Path, target: Path) -> None:
    path = tmp_path / "PP-LCNet_x1_0_infer.tar"
    path.write_bytes(make_archive("PP-LCNet_x1_0"))
    extract_model(path, target, LIMIT)
    assert read(target) == model_files()


def test_files_without_a_directory_and_the_older_program(tmp_path: Path, target: Path) -> None:
    path = archive_of(
        tmp_path,
        special(".", tarfile.DIRTYPE),
        file("./inference.pdmodel", b"p"),
        file("inference.pdiparams", b"w"),
        file("inference.yml", b"{}"),
    )
    extract_model(path, target, LIMIT)
    assert set(read(target)) == {"inference.pdmodel", "inference.pdiparams", "inference.yml"}


def test_what_is_no_part_of_a_model_stays_in_the_archive(tmp_path: Path, target: Path) -> None:
    files = {**model_files(), "inference.pdiparams.info": b"i", "setup.py": b"import os"}
    path = tmp_path / "x_infer.tar"
    path.write_bytes(make_archive("x", files))
    extract_model(path, target, LIMIT)
    assert read(target) == model_files()


def test_modes_and_owners_are_not_taken_over(tmp_path: Path, target: Path) -> None:
    member, content = file("x/inference.yml")
    member.mode, member.uid, member.gid = 0o6777, 12345, 12345
    extract_model(archive_of(tmp_path, (member, content)), target, LIMIT)
    status = (target / "inference.yml").stat()
    assert status.st_mode & 0o7111 == 0
    assert status.st_uid != 12345


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (file("../inference.yml"), "leads out"),
        (file("x/../../inference.yml"), "leads out"),
        (file("/inference.yml"), "leads out"),
        (file("..\\inference.yml"), "leads out"),
        (file("C:/inference.yml"), "leads out"),
        (special("../x", tarfile.DIRTYPE), "leads out"),
        (special("x/inference.yml", tarfile.SYMTYPE, "/etc/passwd"), "is a link"),
        (special("x/other", tarfile.SYMTYPE, ".."), "is a link"),
        (special("x/inference.yml", tarfile.LNKTYPE, "/etc/passwd"), "is a link"),
        (special("x/inference.yml", tarfile.LNKTYPE, "x/inference.json"), "is a link"),
        (special("x/inference.yml", tarfile.CHRTYPE), "neither a plain file"),
        (special("x/inference.yml", tarfile.BLKTYPE), "neither a plain file"),
        (special("x/inference.yml", tarfile.FIFOTYPE), "neither a plain file"),
        (file("a/b/inference.yml"), "is deeper"),
    ],
)
def test_a_hostile_member_is_refused(
    tmp_path: Path, target: Path, member: tuple[tarfile.TarInfo, bytes], problem: str
) -> None:
    path = archive_of(tmp_path, file("x/inference.json", b"{}"), member)
    before = set(tmp_path.iterdir())
    with pytest.raises(ModelError, match=rf"made_infer.tar is refused: .* {problem}"):
        extract_model(path, target, LIMIT)
    assert set(tmp_path.iterdir()) == before
    assert set(read(target)) <= {"inference.json"}


def test_a_bomb_is_refused_by_its_announced_size(tmp_path: Path, target: Path) -> None:
    path = archive_of(
        tmp_path, file("x/inference.json", b"0" * 600_000), file("x/more", b"0" * 600_000)
    )
    with pytest.raises(ModelError, match=r"unpacks to more than zoo.max_bytes \(1000000\)"):
        extract_model(path, target, LIMIT)


def test_a_sparse_file_is_refused(tmp_path: Path, target: Path) -> None:
    member = tarfile.TarInfo("x/inference.pdiparams")
    member.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1000000000"}
    member.size = 1
    path = tmp_path / "made_infer.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(ModelError, match="refused"):
        extract_model(path, target, 2_000_000_000)
    assert read(target) == {}


def test_too_many_members_are_refused(tmp_path: Path, target: Path) -> None:
    path = archive_of(tmp_path, *(file(f"x/{n}") for n in range(MAX_MEMBERS + 1)))
    with pytest.raises(ModelError, match="more than 100 members"):
        extract_model(path, target, LIMIT)


def test_the_same_file_twice_is_refused(tmp_path: Path, target: Path) -> None:
    path = archive_of(tmp_path, file("x/inference.yml", b"1"), file("y/inference.yml", b"2"))
    with pytest.raises(ModelError, match=r"two files inference\.yml"):
        extract_model(path, target, LIMIT)


@pytest.mark.parametrize(
    "damage",
    [
        lambda archive: b"",
        lambda archive: b"<html>not found</html>",
        gzip.compress,
        lambda archive: b"\xff" * 512 + archive,
    ],
)
def test_a_damaged_archive_is_named(
    tmp_path: Path, target: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "PP-LCNet_x1_0_infer.tar"
    path.write_bytes(damage(make_archive("PP-LCNet_x1_0")))
    with pytest.raises(ModelError, match=r"^PP-LCNet_x1_0_infer.tar (is damaged|ends within)"):
        extract_model(path, target, LIMIT)


def test_an_archive_cut_within_the_weights_is_named(tmp_path: Path, target: Path) -> None:
    archive = make_archive("x", model_files(b"w" * 100_000))
    path = tmp_path / "x_infer.tar"
    path.write_bytes(archive[:60_000])
    with pytest.raises(ModelError, match=r"is damaged|ends within"):
        extract_model(path, target, LIMIT)
