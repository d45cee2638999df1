"""The BentoML service; the one file that imports bentoml.

`POST /v1/score` is a native BentoML API, so that its client, OpenAPI document
and metrics know it. The body is read and answered by our own code: an error
has the contract's shape, and nothing is copied twice.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import traceback
from typing import Any

# BentoML reads these when it is imported: nothing is sent anywhere.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

import anyio.to_thread
import bentoml
from _bentoml_sdk.io_models import IODescriptor  # type: ignore[import-untyped]
from prometheus_client import disable_created_metrics
from starlette.requests import Request
from starlette.responses import Response

from data.clock import now
from data.errors import LeadscoreError, NotFound, StoreUnavailable
from data.home import Home
from data.settings import Settings
from serving.contract import ScoreAnswer, ScoreRequest
from serving.desk import Desk
from serving.edge import KnownAddresses, OneShape, new_request_id, rendered
from serving.metrics import REJECTED
from serving.refusals import Refused
from serving.settings import ServingSettings

_log = logging.getLogger("leadscore.serving")

SERVICE = "leadscore"
ADDRESSES = frozenset({"/v1/score", "/livez", "/readyz", "/healthz", "/metrics", "/docs.json", "/schema.json"})
"""All that is answered; BentoML's own page is not among them, since it loads scripts from elsewhere."""
SETTINGS = ServingSettings()


class Body:
    """A request body as it came, and the id it is answered under."""

    def __init__(self, content: bytes, refused: Refused | None = None) -> None:
        self.content, self.refused = content, refused


class ScoreInput(ScoreRequest, IODescriptor):
    """`ScoreRequest` for BentoML's schema and client; the body is handed on unparsed."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: object) -> Any:
        try:
            return Body(await _read(request))
        except Refused as refused:
            return Body(b"", refused)


class ScoreOutput(ScoreAnswer, IODescriptor):
    """`ScoreAnswer` for BentoML's schema."""


setattr(ScoreInput, "__root_input__", True)  # noqa: B010 — BentoML's mark, unknown to the type


async def _read(request: Request) -> bytes:
    """The body of a JSON request, no longer than allowed."""
    kind = request.headers.get("content-type", "application/json").split(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused("unsupported_media_type", "the body is not JSON", "content-type", kind[:100], "application/json")
    parts, length = [], 0
    async for part in request.stream():
        length += len(part)
        if length > SETTINGS.body_bytes:
            limit = SETTINGS.body_bytes
            raise Refused(
                "body_too_large", "the body is too long", None, f"more than {limit} bytes", f"at most {limit} bytes"
            )
        parts.append(part)
    return b"".join(parts)


@bentoml.service(
    name=SERVICE,
    description="Predictive lead scores with reasons. Errors have one shape; docs/api.md lists their codes.",
    workers=1,
    traffic={"timeout": SETTINGS.timeout_seconds},
    logging={"access": {"enabled": False}},
)
class ScoringService:
    """Lead scores with reasons, for applications."""

    def __init__(self) -> None:
        settings = Settings()
        self._desk = Desk(Home.at(settings.home, settings.database_url), SETTINGS)
        self._desk.open()

    @bentoml.api(route="/v1/score", input_spec=ScoreInput, output_spec=ScoreOutput)
    async def score(self, body: Any, /) -> Any:
        """Score one lead, sent whole or by id, with reasons."""
        request_id = new_request_id()
        try:
            if body.refused:
                raise body.refused
            answer = await self._answered(body.content, request_id)
        except Refused as refused:
            return _refusal(refused, request_id)
        except Exception as error:
            return _refusal(_refused_by(error, request_id), request_id)
        return Response(answer, media_type="application/json", headers={"x-request-id": request_id})

    async def _answered(self, content: bytes, request_id: str) -> bytes:
        request = self._desk.read(content)
        if request.lead is not None:
            return self._desk.answer_whole(request, request.lead, request_id, now())
        # Reading the store may wait for a disk or a lock: not on the loop that serves everyone else.
        reading = anyio.to_thread.run_sync(self._desk.answer_by_id, request, request_id, now(), abandon_on_cancel=True)
        try:
            return await asyncio.wait_for(reading, SETTINGS.store_seconds)
        except TimeoutError:
            raise Refused("store_unavailable", "the store does not answer in time; ask again") from None

    async def __is_ready__(self) -> bool:
        return self._desk.is_ready

    @bentoml.on_shutdown
    def close(self) -> None:
        self._desk.close()


service: Any = ScoringService
"""The same, as the BentoML object the decorator made of it."""
service.add_asgi_middleware(OneShape)


def _refusal(refused: Refused, request_id: str) -> Response:
    REJECTED.labels(refused.code).inc()
    body, headers = rendered(refused, request_id)
    return Response(body, refused.status, headers)


def _refused_by(error: Exception, request_id: str) -> Refused:
    """What a client is told of an error that is not about its request."""
    if isinstance(error, NotFound):
        allowed = "the id of a lead in the store, or source:external_id"
        return Refused("unknown_lead", "there is no such lead", "lead_id", None, allowed)
    if isinstance(error, StoreUnavailable):
        _log.warning("request %s: %s", request_id, error)
        return Refused("store_unavailable", "the store does not answer; ask again")
    # The message of an unforeseen error may hold what a client sent: only where it arose is logged.
    where = traceback.extract_tb(error.__traceback__)[-1]
    said = f": {error}" if isinstance(error, LeadscoreError) else ""
    _log.error("request %s failed: %s at %s:%s%s", request_id, type(error).__name__, where.name, where.lineno, said)
    return Refused("internal_error", "a fault in the service itself; report it with the request id")


def serve(listening: socket.socket) -> None:
    """Serve on an open socket, in this process, until SIGTERM or SIGINT; returns when every answer is recorded."""
    import uvicorn

    _prepare_process()
    app = KnownAddresses(service.to_asgi(is_main=True), ADDRESSES)
    config = uvicorn.Config(
        app, log_config=None, access_log=False, server_header=False, date_header=False, timeout_graceful_shutdown=20
    )
    # uvicorn ends in good order and then raises the signal again: being told to stop is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    uvicorn.Server(config).run(sockets=[listening])


def _prepare_process() -> None:
    """What BentoML's own launcher would set up, for one process: names, figures in memory, the log."""
    from bentoml._internal.container import BentoMLContainer
    from bentoml._internal.context import server_context
    from bentoml._internal.server.metrics.prometheus import PrometheusClient

    BentoMLContainer.metrics_client.set(PrometheusClient(multiproc=False))
    server_context.service_name = server_context.bento_name = SERVICE
    server_context.bento_version = "not available"
    server_context.service_type = "entry_service"
    server_context.service_routes = ["/v1/score"]
    # BentoML keeps each request's context for `timeout` seconds: collect garbage seldom, and young objects first.
    gc.set_threshold(50_000, 50, 100)
    # A background thread at work hands the interpreter back within a millisecond, not five.
    sys.setswitchinterval(0.001)
    disable_created_metrics()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _log.setLevel(logging.INFO)
    # Its tracebacks may quote what a client sent; `serving.edge` logs what is needed of such an error.
    logging.getLogger("bentoml._internal.server.http_app").disabled = True
