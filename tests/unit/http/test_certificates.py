"""Certificates of the server: loaded, or refused with what to change."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme
from pydantic import SecretStr, ValidationError

from worker.errors import SettingsError
from worker.http.certificates import Certificates
from worker.settings import HttpTlsSettings

DATA = Path(__file__).parents[2] / "data" / "tls"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = trustme.CA().issue_cert("127.0.0.1")
    paths = {"cert_file": tmp_path / "cert.pem", "key_file": tmp_path / "key.pem"}
    made.cert_chain_pems[0].write_to_path(str(paths["cert_file"]))
    made.private_key_pem.write_to_path(str(paths["key_file"]))
    return paths


def test_no_version_before_1_2_is_spoken(files: dict[str, Path]) -> None:
    certificates = Certificates(HttpTlsSettings(**files))
    certificates.load()
    assert certificates.context is not None
    assert certificates.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert certificates.context.verify_mode is ssl.CERT_NONE
    assert certificates.context.options & ssl.OP_NO_RENEGOTIATION


def test_an_encrypted_key_needs_its_password() -> None:
    files = {"cert_file": DATA / "client.crt", "key_file": DATA / "client.key"}
    Certificates(HttpTlsSettings(**files, key_password=SecretStr("open-sesame"))).load()
    for password in (None, SecretStr("canary-wrong"), SecretStr("canary" * 200)):
        with pytest.raises(SettingsError, match=r"cannot load the .*password") as raised:
            Certificates(HttpTlsSettings(**files, key_password=password)).load()
        assert "canary" not in str(raised.value)


def test_what_cannot_be_loaded_is_named(files: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no PEM")
    wrong: tuple[tuple[dict[str, Path], str], ...] = (
        ({"key_file": DATA / "client.key"}, "password"),
        ({"cert_file": DATA / "client.crt"}, "the key is not the certificate's"),
        ({"cert_file": tmp_path / "none"}, "No such file"),
        ({"cert_file": tmp_path / "text"}, "must be PEM"),
        ({"client_ca_file": tmp_path / "text"}, "client_ca_file"),
        ({"client_ca_file": tmp_path / "none"}, "client_ca_file"),
    )
    for changed, why in wrong:
        with pytest.raises(SettingsError, match=why):
            Certificates(HttpTlsSettings(**files | changed)).load()


def test_a_renewed_certificate_replaces_the_context_and_a_wrong_one_does_not(
    files: dict[str, Path],
) -> None:
    certificates = Certificates(HttpTlsSettings(**files))
    certificates.load()
    before = certificates.context
    key = files["key_file"].read_bytes()
    files["key_file"].write_bytes(b"")
    with pytest.raises(SettingsError):
        certificates.load()
    assert certificates.context is before
    files["key_file"].write_bytes(key)
    certificates.load()
    assert certificates.context is not before


@pytest.mark.parametrize("name", ["cert_file", "key_file", "client_ca_file"])
def test_half_of_a_pair_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cert_file and key_file"):
        HttpTlsSettings(**{name: tmp_path / "any"})
