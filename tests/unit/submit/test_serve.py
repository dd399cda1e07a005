"""Files are served at secret addresses, for as long as they are offered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from worker.errors import WorkerError
from worker.submit.serve import FileServer


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    server = FileServer("127.0.0.1")
    yield server
    await server.close()


async def get(url: str) -> tuple[int, bytes]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.read()


async def test_an_offered_file_can_be_had_until_it_is_withdrawn(
    server: FileServer, tmp_path: Path
) -> None:
    path = tmp_path / "a b?ü\udcff.jpg"
    path.write_bytes(b"picture")
    url = await server.offer("key", path)
    assert await get(url) == (200, b"picture")
    server.withdraw("key")
    assert (await get(url))[0] == 404


async def test_nothing_else_can_be_had(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"picture")
    (tmp_path / "secret").write_bytes(b"secret")
    url = await server.offer("key", path)
    root = url.partition("/key")[0]
    for address in ("/", "/other/a.jpg", "/key", f"/key/..%2f..%2f{tmp_path.name}%2fsecret"):
        status, body = await get(root + address)
        assert status == 404 or body == b"picture"


async def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    server = FileServer("192.0.2.1")
    with pytest.raises(WorkerError, match=r"192\.0\.2\.1.*address of this machine"):
        await server.offer("key", tmp_path)
    await server.close()
