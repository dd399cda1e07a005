"""Whatever is sent as a URL, or answered as the place that one leads to: an answer for the job."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.fuzz.addresses import check_url_text
from worker.errors import JobError, Reason
from worker.images.addresses import AddressPolicy
from worker.images.fetch import ImageFetcher
from worker.settings import FetchSettings

if TYPE_CHECKING:
    from aiohttp.connector import AddrInfoType

# What URL parsers look at, so that they are led into every branch.
PIECES = [
    *("http", "https", "HTTP", "data", "file", ":", "/", "//", "://", "\\", "?", "#", "@", "%"),
    *("[", "]", "[]", "[v1.a]", "[::1]", "[fe80::1%25eth0]", "[::ffff:1.2.3.4]", "%5B", "%00"),
    *("a", "x", "host.example", "127.0.0.1", "0x7f.1", "2130706433", "1.2.3.4.5", "256.1.1.1"),
    *(
        ":80",
        ":0",
        ":65536",
        ":-1",
        ":٣",
        ".",
        "..",
        "xn--",
        "xn--a",
        "ß",
        "\u200d",
        "。",
        "\ud800",
    ),
    *(" ", "\t", "\r\n", "\0", "\x7f", "user", "pw", "=", "&", ";", ",", "+", "-", "_", "~", "^"),
]
URLS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES), max_size=8).map("".join),
    st.lists(st.sampled_from(PIECES), max_size=8).map(lambda pieces: "http://" + "".join(pieces)),
    st.text().map("http://".__add__),
    st.text().map("https://host.example/".__add__),
)


class NoNames(AbstractResolver):
    """A name service that knows nobody, so that nothing is sent."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async def close(self) -> None:
        """Nothing is held."""


@settings(max_examples=3000, deadline=None)
@given(URLS)
@example("http://[]@")
@example("http://x[v1.a]@")
@example("//x[v1.a]@")
def test_any_text_is_a_url_and_a_place_that_one_leads_to_or_neither(text: str) -> None:
    check_url_text(text)


@settings(max_examples=1000, deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(PIECES), max_size=4).map("".join)))
@example("127.0.0.1 ")
@example("::ffff:127.0.0.1%lo")
@example("1.2.3.4.5")
def test_any_text_that_is_no_public_address_is_refused_when_it_is_connected_to(text: str) -> None:
    with pytest.raises(JobError) as caught:
        AddressPolicy().check_address(text)
    assert caught.value.reason is Reason.FORBIDDEN_URL


def test_whatever_is_fetched_ends_in_an_answer() -> None:
    """Through aiohttp as well, up to where something would be sent."""
    with asyncio.Runner() as runner:
        limits = FetchSettings.model_validate({"attempts": 1})
        fetcher = runner.run(_opened(limits))
        try:

            @settings(max_examples=500, deadline=None)
            @given(URLS)
            @example("http://[]@")
            @example("http://x[v1.a]@")
            @example("http://[::ffff:1.0.0.0]")
            def fetch_any(text: str) -> None:
                with pytest.raises(JobError) as caught:
                    runner.run(fetcher.fetch(text))
                assert caught.value.reason in (
                    Reason.BAD_URL,
                    Reason.FORBIDDEN_URL,
                    Reason.FETCH_FAILED,
                )

            fetch_any()
        finally:
            runner.run(fetcher.__aexit__(None, None, None))


class Unplugged(ImageFetcher):
    """Judges each address as ever, and connects to none: a test is heard by nobody else."""

    def _checked_socket(self, info: AddrInfoType) -> socket.socket:
        super()._checked_socket(info).close()
        raise OSError(errno.ENETUNREACH, "unplugged")


async def _opened(limits: FetchSettings) -> ImageFetcher:
    return await Unplugged(limits, resolver=NoNames()).__aenter__()
