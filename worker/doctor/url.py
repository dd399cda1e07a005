"""Whether image URLs can be reached, by fetching one as the worker does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from worker.doctor.findings import Finding, Status
from worker.errors import JobError
from worker.images.fetch import ImageFetcher
from worker.settings import FetchSettings

__all__ = ["look_at_url"]

SUBJECT = "URLs"


def look_at_url(url: str | None, settings: FetchSettings, timeout: float) -> Sequence[Finding]:
    """Fetch `url` once, under the worker's own rules.

    Args:
        timeout: seconds for the answer.

    Returns:
        What came of it; without a URL, which rules apply.
    """
    if url is None:
        private = ", ".join(map(str, settings.allow_networks)) or "none"
        proxies = "as the environment says" if settings.trust_env else "none (fetch.trust_env)"
        found = f"not tried; private networks allowed: {private}; proxies: {proxies}"
        return [Finding(SUBJECT, Status.SKIP, found, "name an image that jobs would: --url URL")]
    once = settings.model_copy(update={"attempts": 1, "deadline": timeout})
    began = time.monotonic()
    try:
        data = asyncio.run(_fetch(url, once))
    except JobError as error:
        return [Finding(SUBJECT, Status.FAIL, f"{url} cannot be fetched", str(error))]
    seconds = time.monotonic() - began
    return [Finding(SUBJECT, Status.OK, f"{url}: {len(data)} bytes in {1000 * seconds:.0f} ms")]


async def _fetch(url: str, settings: FetchSettings) -> bytes:
    async with ImageFetcher(settings) as fetcher:
        return await fetcher.fetch(url)
