"""The server of health and metrics, asked rightly, wrongly and slowly."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from typing import NoReturn

import pytest

from appworker.health.health import WorkerHealth
from appworker.health.metrics import Metrics
from appworker.health.server import MAX_CONNECTIONS, REQUEST_TIME, HealthPortError, HealthServer


@pytest.fixture
def health() -> WorkerHealth:
    return WorkerHealth(loop_waiting=lambda: 0.0)


@pytest.fixture
def port(health: WorkerHealth) -> Iterator[int]:
    """The port of a running server."""
    with HealthServer("127.0.0.1", 0, health, Metrics(actors=["a"], queues=["q"], slots=2)) as server:
        yield int(server.address.rpartition(":")[2])


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request(method, path, body)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response, content


def test_live_is_200_and_unannounced_ready_503(port: int) -> None:
    live, _ = ask(port, "/healthz/live")
    ready, body = ask(port, "/healthz/ready?verbose")

    assert (live.status, live.headers["Content-Type"], live.headers["Cache-Control"]) == (
        200,
        "application/json",
        "no-store",
    )
    assert (ready.status, json.loads(body)["status"]) == (503, "failing")


def test_head_answers_without_body(port: int) -> None:
    response, body = ask(port, "/healthz/live", "HEAD")

    assert (response.status, body, int(response.headers["Content-Length"]) > 0) == (200, b"", True)


def test_metrics_are_prometheus_text(port: int) -> None:
    response, body = ask(port, "/metrics")

    assert response.headers["Content-Type"].startswith("text/plain; version=")
    assert b"\nappworker_slots 2.0\n" in body


@pytest.mark.parametrize("path", ["/", "/healthz", "/healthz/live/", "/../metrics"])
def test_other_paths_are_404(port: int, path: str) -> None:
    assert ask(port, path)[0].status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(port: int, method: str) -> None:
    response, body = ask(port, "/healthz/live", method)

    assert (response.status, response.headers["Content-Type"]) == (501, "text/plain; charset=utf-8")
    assert b"Traceback" not in body


def test_body_is_refused(port: int) -> None:
    assert ask(port, "/healthz/live", "GET", b"x" * 10)[0].status == 400


def test_answer_hides_server_software(port: int) -> None:
    assert ask(port, "/healthz/live")[0].headers["Server"] == "appworker"


def drip(connection: socket.socket) -> NoReturn:
    """Send a byte every now and then, for as long as the other side listens."""
    while True:
        connection.sendall(b"G")
        time.sleep(0.2)


def test_slow_request_is_cut(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        started_at = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011 - reset or broken pipe, as the kernel likes
            drip(slow)
        took = time.monotonic() - started_at

    assert took < REQUEST_TIME.total_seconds() + 5
    assert ask(port, "/healthz/live")[0].status == 200


def test_connections_over_limit_are_closed(port: int) -> None:
    held = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(MAX_CONNECTIONS)]
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as one_more:
            assert one_more.recv(1) == b""
        # Those that say nothing are cut, so nobody can keep the others out for long.
        assert [connection.recv(1) for connection in held] == [b""] * MAX_CONNECTIONS
    finally:
        for connection in held:
            connection.close()
    assert ask(port, "/healthz/live")[0].status == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-name.invalid", "203.0.113.9"])
def test_unusable_address_error_names_settings(health: WorkerHealth, host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(HealthPortError) as refused:
        HealthServer(host, taken.getsockname()[1], health, Metrics(actors=[], queues=[], slots=1))

    assert "APPWORKER_HEALTH_PORT" in str(refused.value)
    assert "APPWORKER_HEALTH_HOST" in str(refused.value)


def test_ipv6_is_served(health: WorkerHealth) -> None:
    with HealthServer("::1", 0, health, Metrics(actors=[], queues=[], slots=1)) as server:
        assert server.address.startswith("http://[::1]:")


def test_port_is_free_after_block(health: WorkerHealth) -> None:
    metrics = Metrics(actors=[], queues=[], slots=1)
    with HealthServer("127.0.0.1", 0, health, metrics) as first:
        port = int(first.address.rpartition(":")[2])
    with HealthServer("127.0.0.1", port, health, metrics):
        assert ask(port, "/healthz/live")[0].status == 200
