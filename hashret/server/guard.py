"""The outermost layer: who may speak to the server, how much and how slowly, and headers for the browser.

Any web site can reach a server on loopback by DNS rebinding, or by posting a form. So a foreign Host or Origin is
refused before any route. The body is counted as it comes, also without a length, and has a deadline. If the client
leaves, the request is cancelled: what has not started does not start.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hashret.server.errors import FAILED, Refused, json_error
from hashret.server.metrics import Metrics
from hashret.server.policy import POLICY
from hashret.server.settings import Settings

log = logging.getLogger("hashret")

HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
    b"x-frame-options": b"DENY",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"content-security-policy": POLICY.encode(),
}


class Guard:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, settings: Settings, metrics: Metrics) -> None:
        self.app, self.settings, self.metrics = app, settings, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        self._below_prefix(scope)
        status, started = 500, False

        async def answer(message: Message) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(own for own in HEADERS.items() if own[0] not in there)]
            await send(message)

        try:
            self._check(scope)
            names = {name.lower() for name, _ in scope["headers"]}
            body = Body(receive, self.settings, bool(names & {b"content-length", b"transfer-encoding"}))
            await cancelled_by(body.left, self.app(scope, body, answer))
        except Refused as error:
            refusal = json_error(error.status_code, str(error.detail), {"Connection": "close"})
            await refusal(scope, receive, answer)
        except Exception as error:
            log.error("%s failed: %r", scope["path"], error, exc_info=error)
            if started:
                raise
            await json_error(500, FAILED)(scope, receive, answer)
        finally:
            self.metrics.observe(scope, status, time.perf_counter() - began)

    def _below_prefix(self, scope: Scope) -> None:
        """Put the prefix of a proxy in front of the path, whether the proxy removed it or not."""
        prefix = self.settings.root_path
        scope["root_path"] = prefix
        if prefix and not (scope["path"] == prefix or scope["path"].startswith(f"{prefix}/")):
            scope["path"] = prefix + scope["path"]

    def _check(self, scope: Scope) -> None:
        """Raise Refused for a foreign Host or Origin, and for a body that says it is too large."""
        headers = [(name.lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self.settings.allows(host_of(f"//{hosts[0]}")):
            raise Refused(403, "the Host is not one of this server; start it with --allow-host NAME to allow it")
        for name, value in headers:
            if name == b"origin" and not self.settings.allows(host_of(value)):
                raise Refused(403, "requests of other web sites are refused; --allow-host NAME allows an origin")
            if name == b"content-length" and not (value.isdecimal() and int(value) <= self.settings.most_bytes):
                raise too_large(self.settings)


class Body:
    """`receive` for an application: counts bytes, has a deadline, and notes when the client leaves."""

    def __init__(self, receive: Receive, settings: Settings, expected: bool) -> None:
        self.receive, self.settings = receive, settings
        self.bytes, self.complete = 0, False
        self.empty = self.no_body = not expected
        self.deadline = asyncio.get_running_loop().time() + settings.receive_seconds
        self.gone = asyncio.Event()

    async def __call__(self) -> Message:
        if self.empty:
            self.empty = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if self.complete or self.no_body:
            await self.gone.wait()
            return {"type": "http.disconnect"}
        try:
            async with asyncio.timeout_at(self.deadline):
                message = await self.receive()
        except TimeoutError:
            raise Refused(408, f"the body did not come within {self.settings.receive_seconds:g} s") from None
        if message["type"] == "http.disconnect":
            self.complete = True
            self.gone.set()
            return message
        self.bytes += len(message.get("body", b""))
        if self.bytes > self.settings.most_bytes:
            raise too_large(self.settings)
        self.complete = not message.get("more_body", False)
        return message

    async def left(self) -> None:
        """Wait until the client leaves. Before the body is complete, the application waits itself."""
        while not (self.complete or self.no_body):
            await asyncio.sleep(0.05)
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.gone.set()


async def cancelled_by(left: Callable[[], Awaitable[Any]], work: Awaitable[Any]) -> None:
    """Run `work` until it is done or the client leaves."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(left())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled():
            task.result()
    finally:
        watch.cancel()
        task.cancel()


def host_of(address: str) -> str:
    """The host name of an address, without port; empty if there is none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def too_large(settings: Settings) -> Refused:
    """The refusal of a body that is too large."""
    return Refused(413, f"the body must have at most {settings.most_bytes:,} bytes")
