"""Decides which web pages may use the worker: its own, and those that the settings name.

A browser sends a page's request to any server, without asking, if an HTML form could have sent it.
But the browser names the page's origin (`Origin`, `Sec-Fetch-Site`), and pages cannot change that.
Clients other than browsers send neither header and are always answered.

With DNS rebinding, an attacker's domain name resolves to the worker's address, and the browser
takes the worker for the page's own server. So a page counts as the worker's own only under a name
that nobody outside can register: an IP address, `localhost`, a name without a public domain. It
also counts under https, since then somebody put a proxy with a certificate in front. Other names
must be listed in `http.allowed_hosts`.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import web

__all__ = ["Origins"]

PROBES = frozenset({"/livez", "/readyz", "/metrics"})
"""Answered for every host: they change nothing, and monitoring has its own names for a worker."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""They change nothing, and browsers hide their answers from pages of another origin."""

PRIVATE_DOMAINS = (
    *(".localhost", ".local", ".internal", ".home.arpa", ".test"),
    # RFC 6762, appendix G: common in private networks, and never delegated for that reason.
    *(".lan", ".home", ".corp", ".intranet", ".private"),
    ".svc",
)
"""Domains in which nobody can register a public name. `.svc` is used by Kubernetes."""

DEFAULT_PORTS = {"http": 80, "https": 443}
MAX_AGE = "600"
MAX_SHOWN = 100


class Origins:
    """The policy of one server.

    Args:
        allow_origins: origins whose pages may use the worker; `*` means all.
        allowed_hosts: more names of the worker, besides those that nobody outside can register.
            `.example.org` and `*.example.org` mean all names below, `*` means all names. If there
            are none, no request is refused because of its `Host` alone.
    """

    def __init__(self, allow_origins: Sequence[str], allowed_hosts: Sequence[str]) -> None:
        self._origins = frozenset(allow_origins)
        self._all_origins = "*" in self._origins
        self._hosts = frozenset(host for host in allowed_hosts if host[0] not in "*.")
        self._below = tuple(host.lstrip("*") for host in allowed_hosts if host[0] in "*.")
        self._all_hosts = "*" in allowed_hosts

    def refusal(self, request: web.BaseRequest) -> str | None:
        """Decide whether a request is refused.

        Returns:
            A sentence that says what to change, or None if nothing speaks against the request.
        """
        if request.path in PROBES:
            return None
        host = request.headers.get("Host", "")
        if (self._hosts or self._below) and host and not self._is_ours(_name(host)):
            return (
                f"the host {host[:MAX_SHOWN]!r} is not this worker's; name it in http.allowed_hosts"
            )
        if request.method in SAFE_METHODS and not _is_preflight(request):
            return None
        return self._refused_page(request)

    def headers(self, request: web.BaseRequest) -> Mapping[str, str]:
        """Make the headers of CORS.

        Returns:
            The headers that the answer to `request` must have.
        """
        if not self._origins or request.path in PROBES:
            return {}
        if self._all_origins:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
        # Without an Origin too: a cache must not give that answer to a page that sends one.
        vary = {"Vary": "Origin"}
        origin = request.headers.get("Origin")
        if origin is None or origin not in self._origins:
            return vary
        return vary | {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": "Retry-After",
        }

    def preflight(self, request: web.BaseRequest) -> web.Response | None:
        """Answer a browser that asks whether a page may send a request.

        Call it only after `refusal` returned None.

        Returns:
            The answer, or None if the request is not such a question.
        """
        if not _is_preflight(request):
            return None
        response = web.Response(status=204, headers=dict(self.headers(request)))
        response.headers["Access-Control-Allow-Methods"] = "GET, POST"
        response.headers["Access-Control-Max-Age"] = MAX_AGE
        wanted = request.headers.get("Access-Control-Request-Headers")
        if wanted:
            response.headers["Access-Control-Allow-Headers"] = wanted
        if request.headers.get("Access-Control-Request-Private-Network") == "true":
            response.headers["Access-Control-Allow-Private-Network"] = "true"
        return response

    def _refused_page(self, request: web.BaseRequest) -> str | None:
        origins = request.headers.getall("Origin", [])
        site = request.headers.get("Sec-Fetch-Site", "").lower()
        if self._all_origins:
            return None
        if not origins:
            return _other_site("another site") if site in ("cross-site", "same-site") else None
        if self._origins.issuperset(origins):
            return None
        (origin, *more) = origins
        shown = repr(origin[:MAX_SHOWN])
        own = None if more else _authority(origin)
        said = site == "same-origin"
        if own is None or not (said or (not site and _is_asked_for(own, origin, request))):
            return _other_site(shown)
        if origin.startswith("https:") or self._is_ours(own[0].removesuffix(".")):
            return None
        return (
            f"{shown} may be another site's name for this worker; "
            "if it is the worker's own, name its host in http.allowed_hosts"
        )

    def _is_ours(self, name: str) -> bool:
        return (
            self._all_hosts
            or name in self._hosts
            or name.endswith(self._below)
            or _is_unregistrable(name)
        )


def _other_site(who: str) -> str:
    return (
        f"pages of {who} may not use this worker; name their origin in http.allow_origins, or have "
        "the proxy in front pass on the Host that the browser asked for"
    )


def _is_preflight(request: web.BaseRequest) -> bool:
    asks = ("Origin", "Access-Control-Request-Method")
    return request.method == "OPTIONS" and all(name in request.headers for name in asks)


def _is_asked_for(own: tuple[str, int], origin: str, request: web.BaseRequest) -> bool:
    """Whether a page was loaded from this worker, for browsers without `Sec-Fetch-Site`.

    Its origin then has the host and port that the request was sent to, perhaps through a proxy. The
    headers of proxies can be trusted here: no page of another origin can make a browser send them
    without a preflight request.
    """
    scheme = origin.partition(":")[0]
    named = [
        *request.headers.getall("Host", []),
        *request.headers.getall("X-Forwarded-Host", []),
        *(pair[5:] for pair in _forwarded(request) if pair[:5].lower() == "host="),
    ]
    hosts = (host.strip().strip('"') for each in named for host in each.split(","))
    return any(_authority(f"{scheme}://{host}") == own for host in hosts if host)


def _forwarded(request: web.BaseRequest) -> list[str]:
    """Return the `name=value` pairs of the `Forwarded` header (RFC 7239)."""
    return [
        pair.strip()
        for header in request.headers.getall("Forwarded", [])
        for element in header.split(",")
        for pair in element.split(";")
    ]


def _authority(origin: str) -> tuple[str, int] | None:
    """Return host and port of an origin, or None if it has none (for example `null`)."""
    try:
        parts = urlsplit(origin)
        port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    return None if not parts.hostname or port is None else (parts.hostname, port)


def _name(host: str) -> str:
    """Return the host of `host:port` in lower case, or an empty string if it is malformed."""
    try:
        return (urlsplit(f"//{host}").hostname or "").removesuffix(".")
    except ValueError:
        return ""


def _is_unregistrable(name: str) -> bool:
    """Whether nobody else can have a page under this host name."""
    if not name:
        return False
    try:
        ip_address(name)
    except ValueError:
        pass
    else:
        return True
    return "." not in name or name.endswith(PRIVATE_DOMAINS) or name == socket.gethostname().lower()
