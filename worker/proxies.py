"""The proxy that the environment names for a URL: `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`.

In place of aiohttp's `trust_env`, which reads more than proxies: with it every request to a host
that the user's `.netrc` knows carries that host's password, even where a job chose the URL.
"""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

from yarl import URL

__all__ = ["UnusableProxyError", "proxy_for"]


class UnusableProxyError(ValueError):
    """The environment names a proxy of a kind that is not supported, or none at all."""


def proxy_for(url: URL) -> URL | None:
    """Find the proxy through which `url` is to be reached.

    A user name and password in the proxy's address are for the proxy, and stay in the result.

    Returns:
        The proxy's URL; None when it is to be reached directly.

    Raises:
        UnusableProxyError: the proxy's address is not that of an http or https proxy.
    """
    address = getproxies().get(url.scheme)
    if not address or proxy_bypass(url.raw_host or ""):
        return None
    try:
        proxy = URL(address if "://" in address else f"http://{address}")
    except ValueError as error:
        raise UnusableProxyError("the proxy's address in the environment is malformed") from error
    if proxy.scheme not in ("http", "https") or not proxy.raw_host:
        raise UnusableProxyError(
            f"the proxy for {url.scheme} in the environment is no http or https address"
        )
    return proxy
