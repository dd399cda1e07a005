from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from yarl import URL

from worker.errors import JobError, Reason
from worker.images.addresses import AddressPolicy, parse_redirect, parse_url

POLICY = AddressPolicy()

FORBIDDEN = [
    "127.0.0.1",
    "127.0.0.2",
    "127.255.255.255",
    "0.0.0.0",  # noqa: S104 - not bound to
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.0.1",
    "169.254.169.254",  # the clouds' metadata services
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",  # mapped
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",  # compatible
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::a9fe:a9fe",  # NAT64 of 169.254.169.254
    "64:ff9b:1::1",  # local NAT64
    "2002:7f00:1::",  # 6to4 of 127.0.0.1
    "2002:a00:1::1",  # 6to4 of 10.0.0.1
    "2001:0:7f00:1::1",  # Teredo
    "2001:0:4136:e378:8000:63bf:f5ff:fffe",  # Teredo whose client is 10.0.0.1
    "2001:db8::1",
    "3fff::1",
    "fe80::1",
    "fe80::1%1",
    "fec0::1",
    "fc00::1",
    "fd00:ec2::254",  # AWS metadata over IPv6
    "ff02::1",
    "100::1",
    "5f00::1",
    "4000::1",
]

PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "11.0.0.1",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001:81b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_addresses_that_are_not_public_are_forbidden(address: str) -> None:
    for form in (address, ip_address(address)):
        with pytest.raises(JobError) as caught:
            POLICY.check(form)
        assert caught.value.reason is Reason.FORBIDDEN_URL
        assert "WORKER_FETCH__ALLOW_NETWORKS" in caught.value.message
        assert not caught.value.transient


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    POLICY.check(address)
    POLICY.check(ip_address(address))


@pytest.mark.parametrize(
    "host",
    ["2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "0x7f.0.0.1", "127.1", "127.0.1"],
)
def test_loopback_in_disguise_is_forbidden(host: str) -> None:
    with pytest.raises(JobError, match=r"127\.0\.0\.1"):
        POLICY.check(host)


def test_a_disguised_public_address_is_judged_by_what_it_is() -> None:
    POLICY.check("134744072")  # 8.8.8.8


@pytest.mark.parametrize("host", ["example.com", "localhost", "256.256.256.256.example", "é"])
def test_names_pass_until_they_are_resolved(host: str) -> None:
    POLICY.check(host)


@pytest.mark.parametrize(
    ("network", "inside", "outside"),
    [
        ("127.0.0.1/32", "127.0.0.1", "127.0.0.2"),
        ("127.0.0.1/32", "::ffff:127.0.0.1", "::1"),
        ("127.0.0.1/32", "64:ff9b::7f00:1", "64:ff9b::7f00:2"),
        ("10.1.0.0/16", "10.1.2.3", "10.2.0.1"),
        ("169.254.169.254/32", "169.254.169.254", "169.254.169.253"),
        ("::1/128", "::1", "127.0.0.1"),
        ("fd00::/8", "fd12::1", "fe80::1"),
        ("2002:a00::/24", "2002:a00:1::1", "2002:b00:1::1"),
    ],
)
def test_listed_networks_are_allowed_and_nothing_beside_them(
    network: str, inside: str, outside: str
) -> None:
    policy = AddressPolicy((ip_network(network),))
    policy.check(inside)
    with pytest.raises(JobError):
        policy.check(outside)


def test_the_message_names_only_the_address() -> None:
    policy = AddressPolicy((ip_network("10.9.8.0/24"),))
    with pytest.raises(JobError) as caught:
        policy.check("10.0.0.7")
    assert "10.0.0.7" in caught.value.message
    assert "10.9.8" not in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        "http://example.com/a.jpg",
        "https://example.com:8443/a%20b.jpg?X-Signature=a%2Bb%2Fc%3D&x=%20y",
        "http://[2606:4700::1111]/a.jpg",
        "http://example.com/?a[0]=b",
        "http://under_score.example/a.jpg",
        "http://example.com./a.jpg",
    ],
)
def test_urls_that_can_be_sent_keep_their_spelling(text: str) -> None:
    assert str(parse_url(text)) == text


def test_other_urls_are_encoded() -> None:
    url = parse_url("http://bücher.example/ä b.jpg?q=ö")
    assert url.raw_host == "xn--bcher-kva.example"
    assert url.raw_path == "/%C3%A4%20b.jpg"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ftp://example.com/a.jpg", "'ftp'"),
        ("file:///etc/passwd", "'file'"),
        ("gopher://127.0.0.1:6379/_x", "'gopher'"),
        ("javascript://x", "'javascript'"),
        ("/a.jpg", "scheme"),
        ("http://", "malformed|no valid host"),
        ("http:///a.jpg", "no valid host"),
        ("http://:80/a.jpg", "malformed"),
        ("http://[::1", "malformed"),
        ("http://[x]/", "malformed"),
        ("http://[v1.a]/", "no IPv6 address"),
        ("http://[v1.a]:80?x", "no IPv6 address"),
        ("http://[v1.127.0.0.1]/é", "no IPv6 address"),
        ("http://h:99999/", "malformed"),
        ("http://h:0/", "no valid host and port"),
        ("http://a b/", "no valid host"),
        ("http://a\\b/", "malformed"),
        ("http://\x00/", "no valid host"),
        ("http://ex%00ample/", "no valid host"),
        ("http://%31%32%37.0.0.1/", "no valid host"),
        ("http://[fe80::1%25eth0]/", "no valid host"),
        ("http://" + "a" * 300 + "/", "no valid host"),
        ("http://\ud800/", "malformed"),
        ("http://user:secret@example.com/a.jpg", "credentials"),
        ("http://user@example.com/a.jpg", "credentials"),
    ],
)
def test_urls_that_cannot_be_fetched(text: str, says: str) -> None:
    with pytest.raises(JobError, match=says) as caught:
        parse_url(text)
    assert caught.value.reason is Reason.BAD_URL
    assert "secret" not in caught.value.message


def test_line_breaks_never_reach_the_request() -> None:
    url = parse_url("http://example.com/a\r\nX-Injected: 1")
    assert "\r" not in str(url)
    assert "\n" not in str(url)


def test_no_redirect_from_https_to_http() -> None:
    secure, plain = URL("https://a.example/"), "http://a.example/b"
    with pytest.raises(JobError, match="from https to http") as caught:
        parse_redirect(secure, plain)
    assert caught.value.reason is Reason.FETCH_REFUSED
    assert str(parse_redirect(URL(plain), str(secure))) == str(secure)
    assert str(parse_redirect(secure, "/c%20d?x=%2B")) == "https://a.example/c%20d?x=%2B"
