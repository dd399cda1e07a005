"""Who may ask for what: some paths are open to all, the others ask for a token or a certificate."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from worker.http.tokens import Tokens
from worker.metrics.labels import NO_CERTIFICATE, NO_TOKEN

__all__ = ["Access", "Denial"]

REALM = 'Bearer realm="classify-worker"'


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a request is not answered.

    Attributes:
        cause: `NO_TOKEN` or `NO_CERTIFICATE`, for the metrics.
    """

    status: int
    message: str
    cause: str
    headers: dict[str, str] = field(default_factory=dict)


class Access:
    """Decides by a request's head, before any of its body is read.

    Args:
        open_paths: need neither. All others do, those too that nothing is at.
        tokens: one of which is needed; None if none is.
        certificate: whether a client's certificate is needed, which TLS has verified.
    """

    def __init__(
        self, open_paths: Collection[str], tokens: Tokens | None, *, certificate: bool
    ) -> None:
        self._open_paths = frozenset(open_paths)
        self._tokens = tokens
        self._certificate = certificate

    def denial(self, request: web.BaseRequest) -> Denial | None:
        """Decide about a request.

        Returns:
            What is wrong with it, or None.
        """
        if request.path in self._open_paths:
            return None
        if self._certificate and not _has_certificate(request):
            return Denial(
                403,
                "this needs a client certificate of an authority in http.tls.client_ca_file",
                NO_CERTIFICATE,
            )
        if self._tokens is None:
            return None
        given = request.headers.getall(hdrs.AUTHORIZATION, [])
        if len(given) == 1 and self._tokens.accepts(given[0]):
            return None
        challenge = f'{REALM}, error="invalid_token"' if given else REALM
        said = "this token is not accepted" if given else "this needs a token"
        return Denial(
            401,
            f"{said}; send the header Authorization: Bearer TOKEN",
            NO_TOKEN,
            {hdrs.WWW_AUTHENTICATE: challenge},
        )


def _has_certificate(request: web.BaseRequest) -> bool:
    return bool(request.transport and request.transport.get_extra_info("peercert"))
