from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from worker.cache import CACHE_VARIABLE
from worker.edge import web_runtime
from worker.edge.web_runtime import ARCHIVE, PACKAGE
from worker.errors import UnfitSystemError

CONTENTS = {"package/dist/a.mjs": b"a script", "package/dist/b.wasm": b"a module"}


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of two small files, and an empty cache."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    names = zip(("a.js", "b.wasm"), CONTENTS.items(), strict=True)
    files = {
        name: (member, hashlib.sha256(content).hexdigest()) for name, (member, content) in names
    }
    monkeypatch.setattr(web_runtime, "FILES", files)


def packed(path: Path, contents: Mapping[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def read(files: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: path.read_bytes() for name, path in files.items()}


def without_npm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")


def test_a_package_that_is_named_is_kept_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_npm(monkeypatch)
    expected = {"a.js": b"a script", "b.wasm": b"a module"}
    archive = packed(tmp_path / "web.tgz", CONTENTS)
    assert read(web_runtime.web_runtime(archive)) == expected
    archive.unlink()
    assert read(web_runtime.web_runtime()) == expected


def test_a_file_that_was_changed_in_the_cache_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_npm(monkeypatch)
    archive = packed(tmp_path / "web.tgz", CONTENTS)
    web_runtime.web_runtime(archive)["a.js"].write_bytes(b"another")
    assert read(web_runtime.web_runtime(archive))["a.js"] == b"a script"


def test_without_npm_the_ways_out_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    without_npm(monkeypatch)
    with pytest.raises(UnfitSystemError) as refusal:
        web_runtime.web_runtime()
    assert str(refusal.value) == (
        f"the page needs {PACKAGE}, which npm fetches, and there is no npm: install Node.js; "
        f"or run `npm pack {PACKAGE}` on another machine and name its file with "
        f"--onnxruntime-web {ARCHIVE}; or leave the page out with --no-web"
    )


def test_another_package_is_refused(tmp_path: Path) -> None:
    other = packed(tmp_path / "web.tgz", {**CONTENTS, "package/dist/a.mjs": b"another"})
    with pytest.raises(UnfitSystemError, match=r"a\.mjs is not the file of .* that was pinned"):
        web_runtime.web_runtime(other)


@pytest.mark.parametrize("content", [b"no archive", b""])
def test_what_is_no_package_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "web.tgz").write_bytes(content)
    for path in (tmp_path / "web.tgz", tmp_path / "missing.tgz"):
        with pytest.raises(UnfitSystemError, match=f"is not the package {ARCHIVE}"):
            web_runtime.web_runtime(path)
