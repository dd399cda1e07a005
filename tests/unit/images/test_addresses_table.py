"""The policy of addresses as a table: each range of IANA's registries, each form, each trick.

A URL is judged as `worker.images.fetch` does before it connects: by its text, then by its host.
What a name resolves to is judged by `check_address` when it is connected to, with the same outcome
as the address itself: the second table. No name is resolved here.

The registries: https://www.iana.org/assignments/iana-ipv4-special-registry and
https://www.iana.org/assignments/iana-ipv6-special-registry.
"""

# ruff: noqa: RUF001 - digits and dots of other scripts are what it is about

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from worker.errors import JobError, Reason
from worker.images.addresses import AddressPolicy, parse_url

FORBIDDEN, BAD, ALLOWED = Reason.FORBIDDEN_URL, Reason.BAD_URL, None

IPV4_RANGES = {
    "0.0.0.0/8": "this network (RFC 791)",
    "0.0.0.0/32": "this host on this network (RFC 1122)",
    "10.0.0.0/8": "private use (RFC 1918)",
    "100.64.0.0/10": "shared address space (RFC 6598)",
    "127.0.0.0/8": "loopback (RFC 1122)",
    "169.254.0.0/16": "link local (RFC 3927)",
    "172.16.0.0/12": "private use (RFC 1918)",
    "192.0.0.0/24": "IETF protocol assignments (RFC 6890)",
    "192.0.0.0/29": "IPv4 service continuity prefix (RFC 7335)",
    "192.0.0.8/32": "IPv4 dummy address (RFC 7600)",
    "192.0.0.9/32": "Port Control Protocol anycast (RFC 7723)",
    "192.0.0.10/32": "TURN anycast (RFC 8155)",
    "192.0.0.170/31": "NAT64/DNS64 discovery (RFC 8880)",
    "192.0.2.0/24": "documentation, TEST-NET-1 (RFC 5737)",
    "192.88.99.0/24": "6to4 relay anycast (RFC 7526)",
    "192.168.0.0/16": "private use (RFC 1918)",
    "198.18.0.0/15": "benchmarking (RFC 2544)",
    "198.51.100.0/24": "documentation, TEST-NET-2 (RFC 5737)",
    "203.0.113.0/24": "documentation, TEST-NET-3 (RFC 5737)",
    "224.0.0.0/4": "multicast (RFC 5771)",
    "240.0.0.0/4": "reserved (RFC 1112)",
    "255.255.255.255/32": "limited broadcast (RFC 919)",
}
IPV6_RANGES = {
    "::/128": "unspecified (RFC 4291)",
    "::1/128": "loopback (RFC 4291)",
    "::/96": "IPv4-compatible (RFC 4291)",
    "::ffff:0:0:0/96": "IPv4-translated (RFC 2765)",
    "64:ff9b:1::/48": "local-use NAT64 (RFC 8215)",
    "100::/64": "discard only (RFC 6666)",
    "100:0:0:1::/64": "dummy prefix (RFC 9780)",
    "2001::/23": "IETF protocol assignments (RFC 2928)",
    "2001::/32": "Teredo (RFC 4380)",
    "2001:1::1/128": "Port Control Protocol anycast (RFC 7723)",
    "2001:1::2/128": "TURN anycast (RFC 8155)",
    "2001:1::3/128": "DNS-SD SRP anycast (RFC 9665)",
    "2001:2::/48": "benchmarking (RFC 5180)",
    "2001:3::/32": "AMT (RFC 7450)",
    "2001:4:112::/48": "AS112-v6 (RFC 7535)",
    "2001:10::/28": "ORCHID (RFC 4843)",
    "2001:20::/28": "ORCHIDv2 (RFC 7343)",
    "2001:30::/28": "drone remote ids (RFC 9374)",
    "2001:db8::/32": "documentation (RFC 3849)",
    "2002::/16": "6to4 (RFC 3056)",
    "3fff::/20": "documentation (RFC 9637)",
    "5f00::/16": "segment routing SIDs (RFC 9602)",
    "fc00::/7": "unique local (RFC 4193)",
    "fe80::/10": "link local (RFC 4291)",
    "fec0::/10": "site local (RFC 3879)",
    "ff00::/8": "multicast (RFC 4291)",
}
NEIGHBOURS = (
    *("1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255"),
    *("128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0"),
    *("191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0"),
    *("192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255"),
    *("198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255"),
    *("2000::", "2001:200::", "2001:db7:ffff::", "2001:db9::", "2003::", "3ffe:ffff::"),
    *("3fff:1000::", "2606:4700:4700::1111", "64:ff9b::8.8.8.8", "::ffff:8.8.8.8"),
)
"""Public addresses, most of them just beside a range."""

URLS: dict[str, Reason | None] = {
    # Loopback in every form that some resolver takes for it: inet_aton(3) and the URL standard.
    "http://127.0.0.1/": FORBIDDEN,
    "http://127.1/": FORBIDDEN,
    "http://127.0.1/": FORBIDDEN,
    "http://2130706433/": FORBIDDEN,
    "http://0x7f000001/": FORBIDDEN,
    "http://0X7F000001/": FORBIDDEN,
    "http://0x7f.0x0.0x0.0x1/": FORBIDDEN,
    "http://0x7f.1/": FORBIDDEN,
    "http://017700000001/": FORBIDDEN,
    "http://0177.0.0.1/": FORBIDDEN,
    "http://0177.1/": FORBIDDEN,
    "http://00000177.0.0.01/": FORBIDDEN,
    "http://127.0x0.0.01/": FORBIDDEN,
    "http://0/": FORBIDDEN,
    "http://0.0.0.0:22/": FORBIDDEN,
    # Beyond 32 bits: no resolver agrees with another, so none is asked.
    "http://4294967296/": FORBIDDEN,
    "http://6425673729/": FORBIDDEN,
    "http://256.0.0.1/": FORBIDDEN,
    "http://127.0.0.0.1/": FORBIDDEN,
    "http://0x17f000001/": FORBIDDEN,
    "http://08.0.0.1/": FORBIDDEN,
    "http://1.2.3.0x/": FORBIDDEN,
    "http://example.1/": FORBIDDEN,
    "http://example.0x7f/": FORBIDDEN,
    # A dot at the end.
    "http://127.0.0.1./": FORBIDDEN,
    "http://2130706433./": FORBIDDEN,
    "http://0x7f.1./": FORBIDDEN,
    "http://8.8.8.8./": FORBIDDEN,
    "http://127.0.0.1../": FORBIDDEN,
    # Digits and dots of other scripts, which IDNA turns into ASCII.
    "http://１２７.0.0.1/": FORBIDDEN,
    "http://①②⑦.⓪.⓪.①/": FORBIDDEN,
    "http://127。0。0。1/": FORBIDDEN,
    "http://127．0．0．1/": FORBIDDEN,
    "http://127｡0｡0｡1/": FORBIDDEN,
    "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/": FORBIDDEN,
    "http://０x7f.1/": FORBIDDEN,
    "http://١٢٧.٠.٠.١/": ALLOWED,  # no digits to IDNA: a name, xn--...
    "http://%31%32%37.0.0.1/": BAD,
    "http://127%2e0%2e0%2e1/": BAD,
    # IPv6.
    "http://[::1]/": FORBIDDEN,
    "http://[0:0:0:0:0:0:0:1]/": FORBIDDEN,
    "http://[::]/": FORBIDDEN,
    "http://[::127.0.0.1]/": FORBIDDEN,
    "http://[::ffff:127.0.0.1]/": FORBIDDEN,
    "http://[::ffff:7f00:1]/": FORBIDDEN,
    "http://[0:0:0:0:0:ffff:a00:1]/": FORBIDDEN,
    "http://[::ffff:0:127.0.0.1]/": FORBIDDEN,
    "http://[64:ff9b::127.0.0.1]/": FORBIDDEN,
    "http://[64:ff9b::10.0.0.1]/": FORBIDDEN,
    "http://[64:ff9b:1::10.0.0.1]/": FORBIDDEN,
    "http://[64:ff9b:1::8.8.8.8]/": FORBIDDEN,
    "http://[2002:7f00:1::]/": FORBIDDEN,
    "http://[2002:808:808::]/": FORBIDDEN,
    "http://[2001:0:808:808::80ff:fffe]/": FORBIDDEN,
    "http://[fe80::1]/": FORBIDDEN,
    "http://[fe80::1%25eth0]/": BAD,
    "http://[fe80::1%eth0]/": BAD,
    "http://[::1%25lo]/": BAD,
    "http://[2606:4700::1111%251]/": BAD,
    "http://[v1.127.0.0.1]/": BAD,
    "http://[127.0.0.1]/": BAD,
    "http://[localhost]/": BAD,
    "http://::1/": BAD,
    # Metadata services of clouds.
    "http://169.254.169.254/latest/meta-data/": FORBIDDEN,
    "http://2852039166/latest/": FORBIDDEN,
    "http://0xa9fea9fe/": FORBIDDEN,
    "http://169.254.43518/": FORBIDDEN,
    "http://[::ffff:169.254.169.254]/": FORBIDDEN,
    "http://[fd00:ec2::254]/latest/": FORBIDDEN,
    "http://169.254.170.2/v2/credentials": FORBIDDEN,
    "http://100.100.100.200/latest/": FORBIDDEN,
    "http://192.0.0.192/opc/v2/": FORBIDDEN,
    "http://168.63.129.16/machine/": FORBIDDEN,
    "http://168.63.129.17/": ALLOWED,
    # Who the user is, and which part is the host.
    "http://user:pw@8.8.8.8/": BAD,
    "http://8.8.8.8@127.0.0.1/": BAD,
    "http://127.0.0.1@8.8.8.8/": BAD,
    "http://8.8.8.8:80@127.0.0.1:80/": BAD,
    "http://@127.0.0.1/": FORBIDDEN,
    "http://8.8.8.8#@127.0.0.1/": ALLOWED,  # a fragment
    "http://8.8.8.8/@127.0.0.1": ALLOWED,  # a path
    "http://8.8.8.8?@127.0.0.1": ALLOWED,  # a query
    "http://8.8.8.8\\@127.0.0.1/": BAD,
    "http://127.0.0.1\\.example.org/": BAD,
    "http://127.0.0.1%00.example.org/": BAD,
    "http://127.0.0.1\t.example.org/": ALLOWED,  # as browsers read it: a name without the tab
    "http://127.0.0.1 .example.org/": BAD,
    "http://127.0.0.1\r\nHost: example.org/": BAD,
    # Ports.
    "http://127.0.0.1:6379/": FORBIDDEN,
    "http://8.8.8.8:8080/": ALLOWED,
    "http://8.8.8.8:65536/": BAD,
    "http://8.8.8.8:-1/": BAD,
    "http://8.8.8.8:0/": BAD,
    "http://8.8.8.8:80:80/": BAD,
    "http://8.8.8.8:８０/": ALLOWED,
    "http://127.0.0.1:８０/": FORBIDDEN,
    # Schemes.
    "HTTP://127.0.0.1/": FORBIDDEN,
    "https://10.0.0.1/": FORBIDDEN,
    "file:///etc/passwd": BAD,
    "file://127.0.0.1/etc/passwd": BAD,
    "gopher://127.0.0.1:6379/_FLUSHALL": BAD,
    "dict://127.0.0.1:11211/stats": BAD,
    "ftp://127.0.0.1/a.jpg": BAD,
    "ldap://127.0.0.1/": BAD,
    "unix:///run/docker.sock": BAD,
    "jar:http://127.0.0.1!/": BAD,
    "http+unix://%2Frun%2Fdocker.sock/": BAD,
    "ws://127.0.0.1/": BAD,
    "//127.0.0.1/": BAD,
    "http:/127.0.0.1/": BAD,
    "http:127.0.0.1": BAD,
    "http:///127.0.0.1/": BAD,
    "http://": BAD,
    # Names pass: what they resolve to is judged when it is known.
    "http://localhost/": ALLOWED,
    "http://LOCALHOST./": ALLOWED,
    "http://localhost.localdomain/": ALLOWED,
    "http://a.localhost/": ALLOWED,
    "http://ip6-localhost/": ALLOWED,
    "http://metadata.google.internal/": ALLOWED,
    "http://127.0.0.1.nip.example/": ALLOWED,
    "http://0x7f.1.example/": ALLOWED,
    "http://xn--bcher-kva.example/": ALLOWED,
    "http://bücher.example/": ALLOWED,
}


def judged(text: str, policy: AddressPolicy) -> Reason | None:
    """What becomes of a URL before anything is looked up."""
    try:
        policy.check(parse_url(text).raw_host or "")
    except JobError as error:
        found, shown = error.reason, error.message
    else:
        return None
    assert not re.search(r"pw|FLUSHALL|meta-data|v2/", shown), "what it asks for is not repeated"
    return found


@pytest.mark.parametrize("network", [*IPV4_RANGES, *IPV6_RANGES])
def test_no_address_of_a_special_purpose_range_is_reached(network: str) -> None:
    policy = AddressPolicy()
    addresses = ip_network(network)
    middle = addresses[addresses.num_addresses // 2]
    for address in {addresses[0], middle, addresses[-1]}:
        host = f"[{address}]" if address.version == 6 else str(address)
        assert judged(f"http://{host}/", policy) is FORBIDDEN
        with pytest.raises(JobError):
            policy.check_address(str(address))


@pytest.mark.parametrize("network", IPV4_RANGES)
@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
def test_nor_by_way_of_ipv6(network: str, prefix: str) -> None:
    with pytest.raises(JobError):
        AddressPolicy().check_address(f"{prefix}{ip_network(network)[-1]}")


@pytest.mark.parametrize("address", NEIGHBOURS)
def test_addresses_beside_them_are_reached(address: str) -> None:
    AddressPolicy().check_address(address)


@pytest.mark.parametrize(("text", "expected"), URLS.items(), ids=[ascii(text) for text in URLS])
def test_urls(text: str, expected: Reason | None) -> None:
    assert judged(text, AddressPolicy()) is expected


@pytest.mark.parametrize(
    ("listed", "text", "expected"),
    [
        ("10.0.0.0/8", "http://10.1.2.3/", ALLOWED),
        ("10.0.0.0/8", "http://0x0a010203/", ALLOWED),
        ("10.0.0.0/8", "http://[::ffff:10.1.2.3]/", ALLOWED),
        ("10.0.0.0/8", "http://[64:ff9b::10.1.2.3]/", ALLOWED),
        ("10.0.0.0/8", "http://[64:ff9b:1::10.1.2.3]/", FORBIDDEN),
        ("10.0.0.0/8", "http://[2002:a01:203::]/", FORBIDDEN),
        ("10.0.0.0/8", "http://[::10.1.2.3]/", FORBIDDEN),
        ("10.0.0.0/8", "http://11.0.0.1/", ALLOWED),
        ("10.0.0.0/8", "http://127.0.0.1/", FORBIDDEN),
        ("10.0.0.0/8", "http://user:pw@10.1.2.3/", BAD),
        ("10.0.0.0/8", "file://10.1.2.3/etc", BAD),
        ("127.0.0.1/32", "http://127.0.0.2/", FORBIDDEN),
        ("127.0.0.1/32", "http://[::1]/", FORBIDDEN),
        ("127.0.0.1/32", "http://127.0.0.1./", FORBIDDEN),
        ("::1/128", "http://127.0.0.1/", FORBIDDEN),
        ("fd00::/8", "http://[fd12::1]/", ALLOWED),
        ("fd00::/8", "http://[fc00::1]/", FORBIDDEN),
        ("64:ff9b:1::/48", "http://[64:ff9b:1::a00:1]/", ALLOWED),
        ("64:ff9b::/96", "http://[64:ff9b::a00:1]/", ALLOWED),
        ("::ffff:0:0/96", "http://10.0.0.1/", FORBIDDEN),
    ],
)
def test_listed_networks(listed: str, text: str, expected: Reason | None) -> None:
    assert judged(text, AddressPolicy((ip_network(listed),))) is expected


@pytest.mark.parametrize("text", ["fe80::1%eth0", "::1%lo", "fe80::1%25eth0", "127.0.0.1 ", ""])
def test_what_a_resolver_may_not_answer(text: str) -> None:
    with pytest.raises(JobError):
        AddressPolicy().check_address(text)
