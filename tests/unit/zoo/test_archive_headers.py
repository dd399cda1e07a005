"""Headers with which an archive makes Python's tarfile raise, recurse, or work without end."""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.zoo_host import make_archive
from worker.errors import ModelError
from worker.zoo.archive_headers import MAX_EXTENSION_BYTES, MAX_EXTENSIONS
from worker.zoo.extract import extract_model

END = bytes(2 * tarfile.BLOCKSIZE)


def block(kind: bytes, size: int, name: str = "x/inference.yml") -> bytes:
    """A header of a member or an extension."""
    member = tarfile.TarInfo(name)
    member.type, member.size = kind, size
    return member.tobuf(tarfile.GNU_FORMAT)


def extension(kind: bytes, payload: bytes, announced: int | None = None) -> bytes:
    padding = bytes(-len(payload) % tarfile.BLOCKSIZE)
    return block(kind, len(payload) if announced is None else announced) + payload + padding


def record(key: str, value: str) -> bytes:
    """A pax record, which begins with its own length."""
    rest = f" {key}={value}\n".encode()
    length = len(rest)
    while len(str(length)) + len(rest) != length:
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def pax(*records: tuple[str, str]) -> bytes:
    return extension(tarfile.XHDTYPE, b"".join(record(*each) for each in records))


FILE = block(tarfile.REGTYPE, 1) + b"x".ljust(tarfile.BLOCKSIZE, b"\0")
LONG_NAME = extension(tarfile.GNUTYPE_LONGNAME, b"x/inference.yml\0")
SPARSE_1_0 = pax(("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"))


def extract(tmp_path: Path, archive: bytes) -> dict[str, bytes]:
    path, target = tmp_path / "made_infer.tar", tmp_path / "target"
    path.write_bytes(archive)
    target.mkdir()
    extract_model(path, target, 2_000_000)
    return {file.name: file.read_bytes() for file in target.iterdir()}


@pytest.mark.parametrize(
    ("archive", "problem"),
    [
        # tarfile: ValueError.
        (pax(("GNU.sparse.map", "a,b")) + FILE, "a sparse file"),
        (pax(("GNU.sparse.size", "1"), ("GNU.sparse.offset", "z")) + FILE, "a sparse file"),
        # tarfile: reads the member's data for a number without end.
        (SPARSE_1_0 + block(tarfile.REGTYPE, 1_000_000) + b"9" * 1_000_000, "a sparse file"),
        (block(tarfile.GNUTYPE_SPARSE, 1) + bytes(512), "a sparse file"),
        # tarfile: RecursionError.
        (LONG_NAME * 5000 + FILE, "a member with more than 4 extension"),
        (pax(("mtime", "1")) * 5000 + FILE, "a member with more than 4 extension"),
        # tarfile: hours in a regular expression.
        (extension(tarfile.XHDTYPE, b"1" * 10_000_000) + FILE, "an extension header of 10000000"),
        (extension(tarfile.XGLTYPE, b"1" * 10_000_000) + FILE, "an extension header of 10000000"),
        # tarfile: takes as much memory as the header says.
        (extension(tarfile.GNUTYPE_LONGNAME, b"", 1 << 40) + FILE, "an extension header of"),
        # tarfile: reads the whole file, or the same header forever.
        (extension(tarfile.XHDTYPE, b"", -512) + FILE, "a member with a negative size"),
        (block(tarfile.REGTYPE, -512) + FILE, "a member with a negative size"),
    ],
)
def test_headers_out_of_bounds_are_refused(tmp_path: Path, archive: bytes, problem: str) -> None:
    with pytest.raises(ModelError, match=rf"^made_infer.tar is refused: it has {problem}"):
        extract(tmp_path, archive + END)
    assert list((tmp_path / "target").iterdir()) == []


def test_a_size_in_a_pax_record_is_judged_too(tmp_path: Path) -> None:
    for number, (size, problem) in enumerate(
        [("-512", "has a negative size"), ("9" * 30, r"unpacks to more than zoo\.max_bytes")]
    ):
        directory = tmp_path / str(number)
        directory.mkdir()
        with pytest.raises(ModelError, match=problem):
            extract(directory, pax(("size", size)) + FILE + END)


def test_usual_extensions_are_followed(tmp_path: Path) -> None:
    times = pax(("mtime", "1700000000.5"), ("comment", "x" * (MAX_EXTENSION_BYTES - 100)))
    assert extract(tmp_path, times + LONG_NAME * (MAX_EXTENSIONS - 1) + FILE + END) == {
        "inference.yml": b"x"
    }


@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_every_format_that_tar_writes_is_read(tmp_path: Path, kind: int) -> None:
    member = tarfile.TarInfo("x" * 90 + "/inference.yml")
    member.size, member.mtime = 1, 1_700_000_000
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        tar.addfile(member, io.BytesIO(b"x"))
    assert extract(tmp_path, buffer.getvalue()) == {"inference.yml": b"x"}


def _overwrite(archive: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    changed = bytearray(archive)
    for at, content in changes:
        changed[at : at + len(content)] = content
    return bytes(changed)


def _mend(archive: bytes) -> bytes:
    """`archive` with right checksums, without which tarfile looks no further."""
    mended = bytearray(archive)
    for start in range(0, len(mended) - 511, 512):
        head = mended[start : start + 512]
        if b"ustar" in head:
            total = sum(head[:148]) + 8 * 32 + sum(head[156:])
            mended[start + 148 : start + 156] = b"%06o\0 " % (total % 0o1000000)
    return bytes(mended)


SEEDS = (
    make_archive("x"),
    pax(("mtime", "1.5"), ("path", "x/inference.yml"), ("size", "1")) + FILE + END,
    LONG_NAME + SPARSE_1_0 + FILE + END,
)


@pytest.mark.parametrize("mend", [_mend, bytes])
@settings(max_examples=300)
@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(
        st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=12)), max_size=6
    ),
)
def test_a_changed_archive_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory,
    mend: Callable[[bytes], bytes],
    seed: bytes,
    changes: list[tuple[int, bytes]],
) -> None:
    directory = tmp_path_factory.mktemp("archive")
    with contextlib.suppress(ModelError):
        extract(directory, mend(_overwrite(seed, changes)))
