"""Which addresses image URLs may reach: a decision, without any I/O.

The check that counts is made on the address that a socket is about to connect to (see `fetch`):
after name resolution, after each redirect, whatever the URL looked like. The check of the URL's
text before is there to answer at once, and clearly.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from yarl import URL

from worker.errors import JobError, Reason

__all__ = ["AddressPolicy", "literal_address", "parse_redirect", "parse_url"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORBIDDEN_IPV4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's services for its machines, at an address that looks public
        "169.254.0.0/16",  # link-local, and the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
"""The IANA special-purpose registry (RFC 6890 and updates), written out: what `ipaddress` calls
private or global has changed between Python releases. One address that is in no registry is here
too: only machines of one cloud reach it, and it has secrets for them."""

_GLOBAL_IPV6 = IPv6Network("2000::/3")
"""The only part of IPv6 that is global unicast; loopback, link-local, unique local, multicast, IPv4
compatible and all that is not assigned lie outside."""

_FORBIDDEN_IPV6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # protocol assignments, among them Teredo, which embeds IPv4 addresses
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which embeds IPv4 addresses
        "3fff::/20",  # documentation
    )
)

_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}|[0-9A-Fa-f:.]{2,45}")
"""A name after IDNA encoding, or an address; no zone id, which only means something locally."""

_NUMERIC = re.compile(r":|(?:^|\.)(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.*$")
"""No name: it has a colon or ends in a number. Resolvers differ in what they take it for (the URL
standard calls these hosts IPv4 addresses, and invalid when they are none)."""

_SENDABLE = re.compile(r"[\x21-\x7e]+")

_MAPPED = IPv6Network("::ffff:0:0/96")
_NAT64 = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Public addresses are allowed, all others only when listed.

    Attributes:
        allow_networks: networks that image URLs may reach although they are not public.
    """

    allow_networks: tuple[Network, ...] = ()

    def check(self, host: str | Address) -> None:
        """Judge the host of a URL: an address, or a name that is one in disguise.

        In disguise means decimal, octal or hexadecimal. A real name passes: only its addresses can
        be judged, when they are known.

        Raises:
            JobError: `FORBIDDEN_URL`, also for what looks like an address and cannot be read.
        """
        address = literal_address(host) if isinstance(host, str) else host
        if address is not None:
            self._check(address)
        elif _NUMERIC.search(str(host)):
            raise _unreadable()

    def check_address(self, text: str) -> None:
        """Judge an address that is about to be connected to; what cannot be read is forbidden.

        Raises:
            JobError: `FORBIDDEN_URL`.
        """
        address = literal_address(text)
        if address is None:
            raise _unreadable()
        self._check(address)

    def _check(self, address: Address) -> None:
        if not self._allows(address):
            raise JobError(
                Reason.FORBIDDEN_URL,
                f"the URL leads to {address}, which is not a public address; if this worker may "
                "read images from there, its operator adds the network to "
                "WORKER_FETCH__ALLOW_NETWORKS",
            )

    def _allows(self, address: Address) -> bool:
        target = _target(address)
        if any(a in network for network in self.allow_networks for a in (address, target)):
            return True
        if isinstance(target, IPv4Address):
            return not any(target in network for network in _FORBIDDEN_IPV4)
        return target in _GLOBAL_IPV6 and not any(target in network for network in _FORBIDDEN_IPV6)


def parse_url(text: str) -> URL:
    """Parse a URL, and refuse what cannot be fetched at all.

    Returns:
        The URL.

    Raises:
        JobError: `BAD_URL` when it is malformed, is not http(s), has no host, or carries
            credentials (they would end up in logs and dead letters).
    """
    try:
        return _parse(text)
    except JobError:
        raise
    except Exception as error:
        # Not ValueError alone: any failure of these parsers is the text's fault. Their messages are
        # left out, since they may repeat secrets of the URL.
        raise JobError(
            Reason.BAD_URL, "the URL is malformed; check its host, port and brackets"
        ) from error


def _parse(text: str) -> URL:
    url = URL(text)
    host, port = url.raw_host, url.port
    if url.scheme not in ("http", "https"):
        raise JobError(
            Reason.BAD_URL,
            f"the URL's scheme is {url.scheme[:32]!r}; only http and https are fetched",
        )
    if host is None or _HOST.fullmatch(host) is None or not port:
        raise JobError(Reason.BAD_URL, "the URL has no valid host and port; check its spelling")
    # Looked for in the text first: to parse it again takes longer.
    if ":" not in host and "[" in text and "[" in URL(text, encoded=True).raw_authority:
        # Brackets hold an IPv6 address; without them [v1.a] would pass for a name.
        raise JobError(Reason.BAD_URL, "the URL has brackets and no IPv6 address in them")
    if url.raw_user is not None or url.raw_password is not None:
        raise JobError(Reason.BAD_URL, "the URL carries credentials; use a signed URL instead")
    # Kept byte for byte when it can be sent as it is: a signature covers the exact spelling, and
    # normalising rewrites %20 and the like.
    return URL(text, encoded=True) if _SENDABLE.fullmatch(text) else url


def parse_redirect(url: URL, location: str | None) -> URL:
    """Resolve an answer's `Location`.

    Returns:
        Where `url` redirects to.

    Raises:
        JobError: `FETCH_REFUSED` when that is nowhere, cannot be fetched, or leaves https for http.
    """
    if not location:
        raise JobError(Reason.FETCH_REFUSED, "the image's server redirects without saying where to")
    try:
        target = parse_url(str(url.join(URL(location, encoded=True))))
    except Exception as error:
        # Without saying which: it is what a server answered.
        raise JobError(
            Reason.FETCH_REFUSED,
            "the URL redirects to what cannot be fetched; use the final address",
        ) from error
    if url.scheme == "https" and target.scheme == "http":
        raise JobError(
            Reason.FETCH_REFUSED, "the URL redirects from https to http; use the final address"
        )
    return target


def _unreadable() -> JobError:
    return JobError(
        Reason.FORBIDDEN_URL,
        "the URL leads to an address that cannot be read; write it as 192.0.2.1 or [2001:db8::1]",
    )


# Of each fetch it is asked twice, and most fetches go to a few hosts.
@lru_cache(maxsize=1024)
def literal_address(host: str) -> Address | None:
    """Read a host that is an address.

    Returns:
        The address; None when it is a name that has to be resolved.
    """
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        # What getaddrinfo takes for an address too: 2130706433, 0177.0.0.1, 0x7f.1, 127.1.
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError, ValueError):
        return None


def _target(address: Address) -> Address:
    """Where packets to `address` end: the IPv4 address inside a mapped or NAT64 one."""
    if isinstance(address, IPv6Address) and (address in _MAPPED or address in _NAT64):
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
