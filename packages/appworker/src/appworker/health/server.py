"""The HTTP server of health and metrics: has threads of its own, so that it answers while the loop is stuck."""

from __future__ import annotations

import json
import logging
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Self

from appworker.errors import AppWorkerError
from appworker.health.health import HealthReport, WorkerHealth
from appworker.health.metrics import Metrics

logger = logging.getLogger(__name__)

LIVE = "/healthz/live"
READY = "/healthz/ready"
METRICS = "/metrics"
MAX_CONNECTIONS = 16
"""More at a time are closed at once: probes ask again."""
REQUEST_TIME = timedelta(seconds=5)
"""A connection is cut when its request and answer take longer."""


class HealthPortError(AppWorkerError):
    """The address for health and metrics cannot be used; the message names the settings."""

    def __init__(self, host: str, port: int, reason: str) -> None:
        super().__init__(host, port, reason)
        self.host, self.port, self.reason = host, port, reason

    def __str__(self) -> str:
        return (
            f"health cannot be served at {self.host} port {self.port}: {self.reason}; set APPWORKER_HEALTH_PORT to "
            "another port, or to 0 for any free one, and check APPWORKER_HEALTH_HOST"
        )


class HealthServer:
    """
    Serves ``/healthz/live``, ``/healthz/ready`` and ``/metrics`` for the length of a ``with`` block.

    Args:
        host: The address to listen on.

        port: The TCP port; 0 takes a free one.

        health: Answers for live and ready.

        metrics: Answers for Prometheus.

    Raises:
        HealthPortError: The address cannot be used.
    """

    def __init__(self, host: str, port: int, health: WorkerHealth, metrics: Metrics) -> None:
        try:
            self._server = _Server(host, port, health, metrics)
        except OSError as exc:
            raise HealthPortError(host, port, exc.strerror or str(exc)) from exc
        serve = self._server.serve_forever
        # A thread and not the control loop: a loop that is stuck is what a probe must hear of.
        self._thread = threading.Thread(target=serve, name="health", daemon=True)

    @property
    def address(self) -> str:
        """Where it is served, as a URL."""
        host, port = self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        logger.info("health is served at %s", self.address)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str, port: int, health: WorkerHealth, metrics: Metrics) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.health = health
        self.metrics = metrics
        self._since: dict[socket.socket, float] = {}
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's: that asks the name service for the host's full name, which may take long.
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        # Each connection has a thread: whoever can connect could else exhaust the process.
        if len(self._since) >= MAX_CONNECTIONS:
            self.shutdown_request(request)
            return
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._since.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut what takes too long; called twice a second."""
        oldest = time.monotonic() - REQUEST_TIME.total_seconds()
        for request in [request for request, since in self._since.copy().items() if since < oldest]:
            with suppress(OSError):  # it has just been closed by its own thread
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, *_: Any) -> None:
        logger.debug("a request for health was not answered", extra={"error": repr(sys.exception())})


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = REQUEST_TIME.total_seconds()
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def version_string(self) -> str:
        return "appworker"

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in self.headers:
            self.send_error(400, "A request has no body here")
            return
        path = self.path.partition("?")[0]
        if path == LIVE:
            self._send_report(self.server.health.live())
        elif path == READY:
            self._send_report(self.server.health.ready())
        elif path == METRICS:
            self._send(200, *self.server.metrics.exposition(self.headers.get("Accept", "")))
        else:
            self.send_error(404, f"Only {LIVE}, {READY} and {METRICS} are here")

    def _send_report(self, report: HealthReport) -> None:
        body = json.dumps(report.body()).encode()
        self._send(200 if report.ok else 503, body, "application/json")

    def _send(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
