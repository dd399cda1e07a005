"""`/admin/model`: which model serves, and having another one serve, while the worker works."""

from __future__ import annotations

import asyncio
from ipaddress import IPv6Address, ip_address
from typing import Protocol

import orjson
from aiohttp import hdrs, web

from worker.contract.model_changes import (
    ModelChange,
    ModelState,
    change_fields,
    state_fields,
)
from worker.http.responses import RETRY_AFTER, new_log_id, refuse, tell

__all__ = ["PATH", "Admin", "Changes"]

PATH = "/admin/model"

MAX_BYTES = 16 * 1024
"""Of a body, which has a name or a path."""

NOT_LOCAL = (
    hdrs.FORWARDED,
    hdrs.X_FORWARDED_FOR,
    hdrs.X_FORWARDED_HOST,
    hdrs.X_FORWARDED_PROTO,
    "X-Real-IP",
    hdrs.VIA,
    hdrs.ORIGIN,
    "Sec-Fetch-Site",
)
"""Headers of proxies and of browsers: who asks through one on this machine is somewhere else, and a
page from anywhere can have a browser ask here."""


class Changes(Protocol):
    """What changes the model: the app's `ModelChanges`."""

    @property
    def state(self) -> ModelState:
        """Which model serves, and what is known of changes."""
        ...

    def begin(self, model: str) -> asyncio.Task[ModelChange] | None:
        """Begin to change to a model; None if another change is under way."""
        ...


class Admin:
    """Answers requests to `/admin/model`; for one event loop.

    Args:
        guarded: whether the server asks for tokens or certificates. If not, only programs on this
            machine may ask: a change of the model decides what all clients are answered.
        read_timeout: seconds for a body to arrive.
    """

    def __init__(self, *, guarded: bool, read_timeout: float) -> None:
        self._guarded = guarded
        self._read_timeout = read_timeout
        self._changes: Changes | None = None

    def open(self, changes: Changes) -> None:
        """Answer from now on; before, the worker has no model that another could replace."""
        self._changes = changes

    def close(self) -> None:
        """Answer no more: the worker stops."""
        self._changes = None

    def routes(self) -> list[web.RouteDef]:
        """Make the routes.

        Returns:
            For the port of metrics and probes.
        """
        return [web.get(PATH, self.show, allow_head=False), web.post(PATH, self.change)]

    async def show(self, request: web.Request) -> web.Response:
        """Say which model serves, what a change is doing, and how the last one ended.

        Returns:
            Status 200, or a refusal.
        """
        log_id = new_log_id()
        changes = self._changes
        if (refused := self._refusal(request, log_id)) is not None:
            return refused
        assert changes is not None, "_refusal refuses requests before"
        return tell(log_id, 200, "Success", state_fields(changes.state))

    async def change(self, request: web.Request) -> web.Response:
        """Change the model, and answer when that is done. The client may leave before.

        Returns:
            How it ended, with the status that goes with it; 409 while another change is under way.
        """
        log_id = new_log_id()
        if (refused := self._refusal(request, log_id)) is not None:
            return refused
        try:
            model = await self._read(request)
        except ValueError as error:
            return refuse(log_id, 400, str(error))
        # It may be stopping by now.
        changes = self._changes
        changing = None if changes is None else changes.begin(model)
        if changing is None:
            return _busy(log_id, changes)
        try:
            change = await asyncio.shield(changing)
        except asyncio.CancelledError:
            if changing.cancelled():
                return _stopping(log_id)
            raise
        status = change.outcome.status
        message = "Success" if change.outcome.serves else change.message
        return tell(log_id, status, message, change_fields(change))

    def _refusal(self, request: web.Request, log_id: str) -> web.Response | None:
        if not self._guarded and not _is_local(request):
            return refuse(
                log_id,
                403,
                f"{PATH} answers programs on this machine alone, no proxy and no web page, since "
                "neither http.token_file nor http.tls.client_ca_file is set: set one of them, or "
                "ask from here",
            )
        if self._changes is None:
            said = "the worker has not loaded its first model, or is stopping; try again later"
            return refuse(log_id, 503, said, {"Retry-After": RETRY_AFTER})
        return None

    async def _read(self, request: web.Request) -> str:
        """Read the model that is asked for.

        Raises:
            ValueError: the body names none.
        """
        said = 'send {"model": "NAME or DIR"} as JSON'
        if (request.content_length or 0) > MAX_BYTES:
            raise ValueError(f"the body is too large; {said}")
        body = bytearray()
        try:
            async with asyncio.timeout(self._read_timeout):
                async for chunk in request.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BYTES:
                        raise ValueError(f"the body is too large; {said}")
        except TimeoutError:
            raise ValueError(f"the body did not arrive in time; {said}") from None
        try:
            wanted = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise ValueError(f"the body is no JSON ({error}); {said}") from None
        if not isinstance(wanted, dict) or wanted.keys() != {"model"}:
            raise ValueError(f"the body must be an object with the one field model; {said}")
        model = wanted["model"]
        if not isinstance(model, str) or not model.strip() or not model.isprintable():
            raise ValueError(f"model must be the name or the directory of a model; {said}")
        return model


def _busy(log_id: str, changes: Changes | None) -> web.Response:
    wanted = None if changes is None else changes.state.wanted
    if wanted is None:
        return _stopping(log_id)
    said = f"a change to {wanted} is under way; GET {PATH} tells when it has ended"
    return refuse(log_id, 409, said, {"Retry-After": RETRY_AFTER})


def _stopping(log_id: str) -> web.Response:
    said = "the worker is stopping, and serves the same model until then"
    return refuse(log_id, 503, said, {"Retry-After": RETRY_AFTER})


def _is_local(request: web.Request) -> bool:
    if any(name in request.headers for name in NOT_LOCAL):
        return False
    try:
        address = ip_address(_peer(request))
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback


def _peer(request: web.Request) -> str:
    """The address that a request comes from; empty if nobody knows it."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""
