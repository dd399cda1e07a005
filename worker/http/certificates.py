"""The HTTP server's certificate, key and clients' authorities, from files that may change."""

from __future__ import annotations

import ssl

from worker.errors import SettingsError
from worker.settings import HttpTlsSettings

__all__ = ["Certificates"]


class Certificates:
    """What the server's side of TLS needs.

    Attributes:
        context: for new connections, once `load` has been called.
    """

    def __init__(self, settings: HttpTlsSettings) -> None:
        self._settings = settings
        self.context: ssl.SSLContext | None = None

    def load(self) -> None:
        """Read the files. After an error the context is the one of before.

        Raises:
            SettingsError: a file cannot be read, or certificate and key do not belong together.
        """
        self.context = _context(self._settings)


def _context(settings: HttpTlsSettings) -> ssl.SSLContext:
    assert settings.cert_file is not None, "nothing is made of these without TLS"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client could make the server compute a handshake again and again.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # Without any password OpenSSL would ask for one at the terminal.
    password = settings.key_password.get_secret_value() if settings.key_password else ""
    try:
        context.load_cert_chain(settings.cert_file, settings.key_file, password)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"cannot load the certificate of http.tls (cert_file {settings.cert_file}, "
            f"key_file {settings.key_file}): {_why(error)}"
        ) from error
    if settings.client_ca_file is not None:
        try:
            context.load_verify_locations(settings.client_ca_file)
        except (OSError, ValueError) as error:
            raise SettingsError(
                f"cannot load http.tls.client_ca_file {settings.client_ca_file}: {_why(error)}"
            ) from error
        # Not required of all: probes have no certificate. `Access` requires it of others.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _why(error: OSError | ValueError) -> str:
    if not isinstance(error, ssl.SSLError):
        # A ValueError: of a password that is too long.
        return f"{getattr(error, 'strerror', None) or error}"
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key is not the certificate's"
    # OpenSSL says hardly more of a wrong password than of what is no PEM.
    return "it must be PEM, and http.tls.key_password the password of an encrypted key"
