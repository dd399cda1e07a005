"""Pulling models: checked, whole, once; from a host, a directory, or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from tests.support.zoo_host import Host, make_archive, model_files
from worker.errors import ModelError
from worker.model import load_model_spec
from worker.settings import ZooSettings
from worker.zoo.catalogue import catalogue, is_local
from worker.zoo.pull import RECORDED_CHECKSUMS, STAGING, pull
from worker.zoo.resolve import resolve_model

NAME = "PP-LCNet_x0_25"

MODEL = catalogue()[NAME]

ARCHIVE = make_archive(NAME)

SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def settings(host: Host) -> ZooSettings:
    host.files[f"/{MODEL.archive}"] = ARCHIVE
    return ZooSettings(base_url=host.url)


def left_over(cache: Path) -> list[str]:
    return [p.name for p in (cache / STAGING).iterdir() if p.suffix != ".lock"]


def test_a_pulled_model_is_whole_and_its_checksum_recorded(
    cache: Path, settings: ZooSettings
) -> None:
    assert not is_local(NAME, cache)
    pulled = pull(MODEL, cache, settings)
    assert (pulled.directory, pulled.sha256, pulled.known) == (cache / NAME, SHA256, False)
    assert is_local(NAME, cache)
    assert {p.name: p.read_bytes() for p in pulled.directory.iterdir()} == model_files()
    assert (cache / RECORDED_CHECKSUMS).read_text() == f"{SHA256}  {NAME}_infer.tar\n"
    assert left_over(cache) == []


def test_a_model_that_is_here_is_not_pulled_again(
    cache: Path, settings: ZooSettings, host: Host
) -> None:
    pull(MODEL, cache, settings)
    again = pull(MODEL, cache, settings)
    assert again.sha256 is None
    assert len(host.requests) == 1


def test_a_model_that_is_here_may_be_on_a_read_only_file_system(
    cache: Path, settings: ZooSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    pull(MODEL, cache, settings)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    # The permissions of a directory do not stop a test that runs as root.
    monkeypatch.setattr(Path, "mkdir", refuse)
    monkeypatch.setattr(os, "open", refuse)
    assert pull(MODEL, cache, settings).sha256 is None


def test_a_damaged_model_is_replaced(cache: Path, settings: ZooSettings) -> None:
    pull(MODEL, cache, settings)
    (cache / NAME / "inference.pdiparams").write_bytes(b"")
    pulled = pull(MODEL, cache, settings)
    assert pulled.known
    load_model_spec(pulled.directory)


def test_a_cut_connection_is_resumed_within_a_pull_and_across_pulls(
    cache: Path, settings: ZooSettings, host: Host
) -> None:
    host.files[f"/{MODEL.archive}"] = archive = make_archive(NAME, model_files(os.urandom(300_000)))
    host.cuts = [100_000]
    host.statuses = []
    pull(MODEL, cache, settings)
    assert [r.get("Range") for r in host.requests] == [None, "bytes=100000-"]
    recorded = (cache / RECORDED_CHECKSUMS).read_text()
    assert recorded.startswith(hashlib.sha256(archive).hexdigest())


def test_a_pinned_checksum_is_verified(cache: Path, settings: ZooSettings, tmp_path: Path) -> None:
    pins = tmp_path / "pins"
    pins.write_text(f"# ours\n{SHA256.upper()} *mirror/{NAME}_infer.tar\n")
    pulled = pull(MODEL, cache, settings.model_copy(update={"checksums": pins}))
    assert pulled.known
    assert not (cache / RECORDED_CHECKSUMS).exists()


def test_a_wrong_checksum_installs_nothing_and_keeps_nothing(
    cache: Path, settings: ZooSettings, tmp_path: Path
) -> None:
    pins = tmp_path / "pins"
    pins.write_text(f"{'0' * 64}  {NAME}_infer.tar\n")
    with pytest.raises(ModelError, match=f"that {pins} knows: its sha256 is {SHA256} instead of 0"):
        pull(MODEL, cache, settings.model_copy(update={"checksums": pins}))
    assert not is_local(NAME, cache)
    assert left_over(cache) == []


def test_another_archive_than_recorded_is_refused(
    cache: Path, settings: ZooSettings, host: Host
) -> None:
    pull(MODEL, cache, settings)
    (cache / NAME / "inference.yml").unlink()
    host.files[f"/{MODEL.archive}"] = make_archive(NAME, model_files(b"changed"))
    with pytest.raises(ModelError, match="if the publisher changed it, remove its line"):
        pull(MODEL, cache, settings)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "pins cannot be read"),
        ("abc  file\n", "pins:1 is not 'SHA256  FILE'"),
        (f"{'0' * 64}  a\n{'0' * 63}  b\n", "pins:2 is not"),
    ],
)
def test_a_bad_file_of_checksums_is_named(
    cache: Path, settings: ZooSettings, tmp_path: Path, content: str | None, problem: str
) -> None:
    pins = tmp_path / "pins"
    if content is not None:
        pins.write_text(content)
    with pytest.raises(ModelError, match=problem):
        pull(MODEL, cache, settings.model_copy(update={"checksums": pins}))


@pytest.mark.parametrize("missing", list(model_files()))
def test_an_archive_without_one_of_the_files_is_no_model(
    cache: Path, settings: ZooSettings, host: Host, missing: str
) -> None:
    files = model_files()
    del files[missing]
    host.files[f"/{MODEL.archive}"] = make_archive(NAME, files)
    with pytest.raises(ModelError, match=rf"{NAME}_infer.tar holds no usable model: .*{missing}"):
        pull(MODEL, cache, settings)
    assert not is_local(NAME, cache)
    assert left_over(cache) == []
    # Nothing of it is trusted from now on.
    assert not (cache / RECORDED_CHECKSUMS).exists()


def test_a_host_without_the_archive(cache: Path, settings: ZooSettings, host: Host) -> None:
    host.files.clear()
    with pytest.raises(ModelError, match=f"{host.url}/{MODEL.archive} answered 404"):
        pull(MODEL, cache, settings)
    assert not is_local(NAME, cache)


@pytest.mark.parametrize("form", ["directory", "file"])
@pytest.mark.parametrize("offline", [True, False])
def test_a_directory_serves_as_well_offline_too(
    cache: Path, tmp_path: Path, form: str, offline: bool
) -> None:
    mirror = tmp_path / "mirror of models"
    mirror.mkdir()
    (mirror / MODEL.archive).write_bytes(ARCHIVE)
    base = mirror.as_uri() if form == "file" else str(mirror)
    pulled = pull(MODEL, cache, ZooSettings(base_url=base, offline=offline))
    assert pulled.sha256 == SHA256
    assert (mirror / MODEL.archive).read_bytes() == ARCHIVE
    assert left_over(cache) == []


def test_a_directory_without_the_archive(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=rf"{tmp_path}/{MODEL.archive} does not exist"):
        pull(MODEL, cache, ZooSettings(base_url=str(tmp_path)))


def test_an_archive_in_a_directory_is_bounded_too(cache: Path, tmp_path: Path) -> None:
    (tmp_path / MODEL.archive).write_bytes(ARCHIVE)
    with pytest.raises(ModelError, match=r"larger than zoo.max_bytes \(1000\)"):
        pull(MODEL, cache, ZooSettings(base_url=str(tmp_path), max_bytes=1000))


def test_offline_asks_no_host(cache: Path, settings: ZooSettings, host: Host) -> None:
    with pytest.raises(ModelError, match=r"zoo\.offline forbids .* zoo.base_url to a directory"):
        pull(MODEL, cache, settings.model_copy(update={"offline": True}))
    assert host.requests == []


def test_offline_takes_what_is_here(cache: Path, settings: ZooSettings, host: Host) -> None:
    pull(MODEL, cache, settings)
    host.requests.clear()
    offline = settings.model_copy(update={"offline": True})
    assert pull(MODEL, cache, offline).directory == cache / NAME
    assert resolve_model(NAME, cache, offline) == cache / NAME
    assert host.requests == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, settings: ZooSettings) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match=f"cannot be pulled into {tmp_path}/file/models"):
        pull(MODEL, tmp_path / "file" / "models", settings)


def test_what_a_killed_process_left_does_no_harm(cache: Path, settings: ZooSettings) -> None:
    half = cache / STAGING / NAME
    half.mkdir(parents=True)
    (half / "inference.json").write_bytes(b"ha")
    pull(MODEL, cache, settings)
    assert (cache / NAME / "inference.json").read_bytes() == b"{}"


def test_a_name_of_the_zoo_is_pulled_when_it_is_not_here(
    cache: Path, settings: ZooSettings
) -> None:
    announced = []

    def announce(model: object) -> object:
        announced.append(model)
        return lambda have, total: announced.append(have)

    directory = resolve_model(NAME, cache, settings, announce)  # type: ignore[arg-type]
    assert directory == cache / NAME
    assert announced[0] == MODEL
    assert announced[-1] == len(ARCHIVE)


def test_a_directory_or_a_name_in_the_cache_is_taken_as_it_is(
    cache: Path, settings: ZooSettings, host: Host, tmp_path: Path
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (cache / "tuned").mkdir(parents=True)
    assert resolve_model(str(own), cache, settings) == own
    assert resolve_model("tuned", cache, settings) == cache / "tuned"
    assert host.requests == []


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("PPLCNet_x0_25", "did you mean PP-LCNet_x0_25"),
        ("my-own-thing", "`classify-worker models list` shows"),
        ("../PP-LCNet_x0_25", "no model of that name in the model cache"),
    ],
)
def test_an_unknown_name_gets_advice(
    cache: Path, settings: ZooSettings, name: str, advice: str
) -> None:
    with pytest.raises(ModelError, match="no model of that name in the model cache") as raised:
        resolve_model(name, cache, settings)
    assert advice in str(raised.value)


def test_an_unknown_name_gets_the_names_in_the_cache_that_are_like_it(
    cache: Path, settings: ZooSettings
) -> None:
    near = cache / "EfficientNet-Lite0-57934424-1"
    near.mkdir(parents=True)
    (near / "inference.json").touch()
    with pytest.raises(ModelError, match=f"did you mean {near.name}"):
        resolve_model("EfficientNet-Lite0", cache, settings)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/models",
        "http://",
        "https://me:secret@host/models",
        "https://host/models?x=1",
        "https://host/models#x",
        "file://host/models",
        "",
    ],
)
def test_an_address_that_cannot_serve_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        ZooSettings(base_url=address)
