"""Targets: texts that stand for images, and the addresses that they may lead to."""

from __future__ import annotations

import base64
import binascii
import socket
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote_from_bytes, unquote_to_bytes

from yarl import URL

from tests.support.fuzz.target import Pieces, check_refusal, target
from worker.errors import JobError, Reason
from worker.images.addresses import AddressPolicy, parse_redirect, parse_url
from worker.images.base64 import decode_image_text
from worker.redaction import without_secrets

Address = IPv4Address | IPv6Address

POLICY = AddressPolicy()
HERE = URL("https://host.example/a?b")
CANARY = "s3cret"

# The standard library's own lists, and what they leave out in some releases of Python.
MORE_PRIVATE = (
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv4Network("100.64.0.0/10"),
)
TUNNELS = (
    IPv6Network("2001::/23"),
    IPv6Network("2002::/16"),
    IPv6Network("3fff::/20"),
    IPv6Network("64:ff9b:1::/48"),
    IPv6Network("fec0::/10"),
)
NAT64 = IPv6Network("64:ff9b::/96")


def is_public(address: Address) -> bool:
    """What `ipaddress` says of an address, and of one that is within it: a judge of its own."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped
        if inner is None and address in NAT64:
            inner = IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
        if any(address in network for network in TUNNELS):
            return False
    elif any(address in network for network in MORE_PRIVATE):
        return False
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
        or address.is_unspecified
    )


def _allows(policy: AddressPolicy, host: str | Address) -> bool:
    try:
        policy.check(host)
    except JobError as error:
        check_refusal(error, Reason.FORBIDDEN_URL)
        return False
    return True


@target(longest=64)
def address(data: bytes) -> None:
    """No address is allowed that the standard library does not call public, unless it is listed."""
    pieces = Pieces(data)
    kind, prefix = pieces.number(), pieces.number()
    packed = pieces.take(4 if kind & 1 else 16)
    found = ip_address(packed)
    allowed = _allows(POLICY, found)
    assert allowed <= is_public(found)
    assert allowed == _allows(POLICY, str(found)), "as text too"
    with suppress(JobError):
        POLICY.check_address(str(found))
        assert allowed
    network: IPv4Network | IPv6Network
    if isinstance(found, IPv4Address):
        network = IPv4Network((found, prefix % 33), strict=False)
        assert allowed == _allows(POLICY, IPv6Address(b"\0" * 10 + b"\xff\xff" + packed))
    else:
        network = IPv6Network((found, prefix % 129), strict=False)
    listed = AddressPolicy((network,))
    assert _allows(listed, found)
    other = ip_address(pieces.take(len(packed)))
    if _allows(listed, other) and other not in network:
        inner = other.ipv4_mapped if isinstance(other, IPv6Address) else None
        assert is_public(other) or (inner is not None and inner in network) or other in NAT64


@target(longest=512, examples=500)
def url(data: bytes) -> None:
    """A text is a URL that can be fetched, or a bad one; no number in it is a private address."""
    check_url_text(data.decode("utf-8", "replace"))


def check_url_text(text: str) -> None:
    """As a job's URL, and as the place that an answer redirects to."""
    try:
        parsed = parse_url(text)
    except JobError as error:
        check_refusal(error, Reason.BAD_URL, longest=200)
    else:
        _check_url(parsed)
    try:
        target_url = parse_redirect(HERE, text)
    except JobError as error:
        check_refusal(error, Reason.FETCH_REFUSED, longest=200)
    else:
        assert target_url.scheme == "https"
        _check_url(target_url)


def _check_url(parsed: URL) -> None:
    assert parsed.scheme in ("http", "https")
    assert parsed.raw_host
    assert parsed.port
    assert parsed.raw_user is None
    assert parsed.raw_password is None
    assert str(parsed).isascii()
    assert not any(sign.isspace() for sign in str(parsed))
    if not _allows(POLICY, parsed.raw_host):
        return
    # What the system would take for an address, without asking any name server. Encoded or not.
    with suppress(OSError, UnicodeError):
        _check_host(parsed.raw_host)
    with suppress(OSError, UnicodeError):
        _check_host(parsed.host or "")


def _check_host(host: str) -> None:
    for *_, found in socket.getaddrinfo(
        host, 80, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    ):
        assert is_public(ip_address(str(found[0]))), host


@target(longest=1024)
def base64_text(data: bytes) -> None:
    """Base64 in any shape: never more than is accepted, and what the standard library reads."""
    pieces = Pieces(data)
    most = pieces.number(2) + 1
    raw = pieces.rest()
    text = raw.decode("utf-8", "replace")
    if text.lstrip()[:5].lower() != "data:":
        decoded = check_image_text(text, most)
        if decoded is not None:
            digits = text.strip().replace("\r\n", "").replace("\n", "").rstrip("=")
            assert decoded == _lenient(digits)
    if raw:
        for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
            assert check_image_text(encoded.decode(), len(raw)) == raw
            assert check_image_text(encoded.decode().rstrip("="), len(raw)) == raw


@target(longest=1024)
def data_uri(data: bytes) -> None:
    """`data:` URIs, Base64 and percent-encoded: never more than is accepted, and read one way."""
    pieces = Pieces(data)
    most = pieces.number(2) + 1
    raw = pieces.rest()
    text = "data:" + raw.decode("utf-8", "replace")
    decoded = check_image_text(text, most)
    if decoded is not None:
        head, comma, body = text.partition(",")
        assert comma
        words = [word.strip() for word in head.lower().split(";")[1:]]
        if "base64" not in words:
            assert decoded == unquote_to_bytes(body.rstrip())
    if raw:
        escaped = quote_from_bytes(base64.b64encode(raw), safe="")
        assert (
            check_image_text(f"data:image/png;base64,{base64.b64encode(raw).decode()}", len(raw))
            == raw
        )
        assert check_image_text(f"data:,{quote_from_bytes(raw)}", len(raw)) == raw
        # Escapes make a text longer than its bytes account for; that is a limit's business.
        assert check_image_text(f"data:;base64,{escaped}", 3 * len(raw)) == raw


def check_image_text(text: str, most: int) -> bytes | None:
    """What a text decodes to, which is never more than is accepted; None if it is refused."""
    try:
        decoded = decode_image_text(text, most)
    except JobError as error:
        check_refusal(error, Reason.BAD_BASE64, Reason.TOO_LARGE, longest=400)
        return None
    assert 1 <= len(decoded) <= most
    return decoded


def _lenient(digits: str) -> bytes:
    standard = digits.translate(str.maketrans("-_", "+/"))
    return binascii.a2b_base64(standard + "=" * (-len(standard) % 4))


@target(longest=512)
def redaction(data: bytes) -> None:
    """No password or query of an address is left in a text, whatever is around it."""
    pieces = Pieces(data)
    before, user, path, after = (pieces.some().decode("utf-8", "replace") for _ in range(4))
    user = "".join(sign for sign in user if sign not in "/?#\"'<>" and not sign.isspace())
    path = "".join(sign for sign in path if sign not in "?#\"'<>@" and not sign.isspace())
    for secret in (
        f"https://{user}:{CANARY}@host.example/{path}",
        f"http://{user}{CANARY}@host.example",
        f"HTTPS://host.example/{path}?sig={CANARY}",
        f"https://host.example/{path}?a=b&X-Amz-Signature={CANARY}&c=d",
    ):
        redacted = without_secrets(f"{before} {secret} {after}")
        assert (
            CANARY not in redacted.replace(before, "", 1) or CANARY in before + user + path + after
        )
        assert without_secrets(redacted) == redacted
