"""Connections: how many there may be, and how long one may stay without progress. uvicorn speaks HTTP.

uvicorn waits without a limit for the head of a request and for a client to read its response; `Protocol` adds limits,
so that idle clients do not use up the connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import Service, make_app
from .problem import MEDIA_TYPE

__all__ = ["Protocol", "Server", "config_of"]

HEAD_SECONDS = 10  # from the connection, or from the first byte of a further request, to the end of the request's head
HEAD_BYTES = 16 << 10
log = logging.getLogger("detector.serve")


def refusal() -> bytes:
    """Return the response to a connection that is one too many."""
    detail = "too many connections are open"
    body = json.dumps(
        {"type": "about:blank", "title": "Service Unavailable", "status": 503, "code": "busy", "detail": detail}
    ).encode()
    head = (
        f"HTTP/1.1 503 Service Unavailable\r\ncontent-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\n"
        "retry-after: 1\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


class Protocol(H11Protocol):
    """A connection with limits on their number, on the time for a request's head, and on that without progress."""

    clients = 100
    idle_seconds = 20.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.head_timer: asyncio.TimerHandle | None = None
        self.write_timer: asyncio.TimerHandle | None = None
        self.counted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.clients:
            self.transport = transport
            transport.write(refusal())
            transport.close()
            return
        self.counted = True
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that pause_writing tells whenever the client does not read
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if not self.counted or self.transport.is_closing():
            return
        before = self.cycle
        idle = before is None or before.response_complete
        if idle and self.head_timer is None:
            self._expect_head()
        super().data_received(data)
        if self.cycle is not before:
            self._cancel_head()

    def on_response_complete(self) -> None:
        before = self.cycle
        super().on_response_complete()
        if self.cycle is not before:  # a pipelined request
            self._cancel_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._cancel_head()
        self._cancel_write()
        if self.counted:
            super().connection_lost(exc)

    def pause_writing(self) -> None:
        if self.counted:
            super().pause_writing()
        if self.write_timer is None:
            self.write_timer = self.loop.call_later(self.idle_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        self._cancel_write()
        if self.counted:
            super().resume_writing()

    def _expect_head(self) -> None:
        self.head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def _cancel_head(self) -> None:
        if self.head_timer is not None:
            self.head_timer.cancel()
            self.head_timer = None

    def _cancel_write(self) -> None:
        if self.write_timer is not None:
            self.write_timer.cancel()
            self.write_timer = None


def config_of(service: Service) -> uvicorn.Config:
    """Return uvicorn's settings for *service*."""
    limits = service.limits
    protocol = type("Limited", (Protocol,), {"clients": limits.clients, "idle_seconds": limits.idle_seconds})
    return uvicorn.Config(
        make_app(service),
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=int(limits.seconds + limits.idle_seconds) + 1,
        h11_max_incomplete_event_size=HEAD_BYTES,
    )


class Server(uvicorn.Server):
    """A server that ends with status 0 on SIGINT and SIGTERM; a second signal ends it at once."""

    def __init__(self, service: Service) -> None:
        super().__init__(config_of(service))
        self.service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Replace uvicorn's handlers, which raise the signal again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
            return
        self.should_exit = self.service.closing = True
        under_way = self.service.metrics.admitted
        rest = f"; {under_way} requests are finished first, a second signal ends them" if under_way else ""
        log.info("stopping%s", rest)

    async def run_on(self, listener: socket.socket) -> None:
        """Serve the connections of *listener* until a signal."""
        await self.serve([listener])
