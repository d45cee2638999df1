"""The outermost layer: whatever goes wrong below, a client sees one shape of error and never a traceback."""

from __future__ import annotations

import json
import logging
import os
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics import REJECTED
from serving.refusals import RETRY_AFTER, STATUSES, Refused

_log = logging.getLogger("leadscore.serving")

OURS = b"x-request-id"
_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
_BY_STATUS = {
    400: Refused("invalid_json", "the request could not be read", None, None, "one JSON object, in UTF-8"),
    404: Refused("unknown_route", "there is nothing at this address", None, None, "POST /v1/score; see docs/api.md"),
    405: Refused("method_not_allowed", "this address does not take this method", None, None, "POST for /v1/score"),
    413: Refused("body_too_large", "the request body is too long"),
    415: Refused("unsupported_media_type", "the body is not JSON", "content-type", None, "application/json"),
    503: Refused("not_ready", "no verified model is in force; ask again", None, None, None),
    504: Refused("timeout", "no answer within the time allowed; ask again", None, None, None),
}
_FAULT = Refused("internal_error", "a fault in the service itself; report it with the request id")


def new_request_id() -> str:
    return os.urandom(16).hex()


def rendered(refused: Refused, request_id: str) -> tuple[bytes, dict[str, str]]:
    """Body and headers of an error response."""
    headers = {"content-type": "application/json", "x-request-id": request_id}
    if refused.code in RETRY_AFTER:
        headers["retry-after"] = str(RETRY_AFTER[refused.code])
    body = json.dumps(refused.body(request_id), ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
    return body, headers


class OneShape:
    """ASGI middleware: gives every error the contract's shape, and every response the same few headers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        reply = _Reply(send)
        try:
            await self._app(scope, receive, reply.send)
        except Exception:
            if reply.begun:
                raise
            await reply.replace(500)


class KnownAddresses:
    """Refuses unknown addresses before BentoML counts them: a figure per address asked for would never stop growing."""

    def __init__(self, app: ASGIApp, addresses: frozenset[str]) -> None:
        self._app, self._addresses = app, addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._addresses:
            await _Reply(send).replace(404)
        elif scope["type"] != "websocket":
            await self._app(scope, receive, send)


class _Reply:
    """One response on its way out; an error that is not in the contract's shape is replaced."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._replaced = False
        self.begun = False

    async def send(self, message: Message) -> None:
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            if message["status"] >= 400 and not _is_ours(message):
                await self.replace(message["status"])
                return
            self.begun = True
            message["headers"] = [*message.get("headers", []), *_HEADERS]
        await self._send(message)

    async def replace(self, status: int) -> None:
        self._replaced = True
        request_id = new_request_id()
        refused = _BY_STATUS.get(status, _FAULT if status >= 500 else _BY_STATUS[400])
        if refused.code != "not_ready":  # a probe of /readyz is no rejected request
            REJECTED.labels(refused.code).inc()
        if refused is _FAULT:
            _log.error("request %s failed outside the answering code", request_id)
        body, headers = rendered(refused, request_id)
        raw: list[tuple[bytes, bytes]] = [(k.encode(), v.encode()) for k, v in headers.items()]
        raw += [(b"content-length", str(len(body)).encode()), *_HEADERS]
        start: dict[str, Any] = {"type": "http.response.start", "status": STATUSES[refused.code], "headers": raw}
        await self._send(start)
        await self._send({"type": "http.response.body", "body": body})


def _is_ours(message: Message) -> bool:
    return any(name == OURS for name, _ in message.get("headers", ()))
