"""The command ``appworker --check-health``: asks the worker on this host, since images may hold no HTTP client."""

from __future__ import annotations

import json
from http.client import HTTPConnection, HTTPException
from typing import Any, Literal

from appworker.errors import AppWorkerError
from appworker.health.server import LIVE, READY
from appworker.settings import WorkerSettings

Question = Literal["live", "ready"]
TIMEOUT_SECONDS = 6.0
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class UnhealthyError(AppWorkerError):
    """A worker process on this host is not live or not ready, or does not answer; the message says which."""


def check_health(settings: WorkerSettings, question: Question) -> str:
    """Ask every worker process of this host whether it is live, or ready.

    Args:
        settings: Where they listen, and how many there are.
        question: What to ask.

    Returns:
        One line that says that all are.

    Raises:
        UnhealthyError: One is not, or there is nothing to ask.
    """
    first = settings.health_port
    if not first:
        raise UnhealthyError("set APPWORKER_HEALTH_PORT, to other than 0, so that there is something to ask")
    # A server listens on these on every interface; a client needs the address of one.
    host = ANYWHERE.get(settings.health_host, settings.health_host)
    ports = range(first, first + settings.processes)
    problems = [problem for port in ports if (problem := _problem(host, port, question))]
    if problems:
        raise UnhealthyError("; ".join(problems))
    return f"{question} at {host}, port {', '.join(map(str, ports))}"


def _problem(host: str, port: int, question: Question) -> str | None:
    connection = HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", LIVE if question == "live" else READY)
        response = connection.getresponse()
        checks: dict[str, Any] = json.loads(response.read())["checks"]
    except (OSError, HTTPException, ValueError, LookupError, TypeError) as exc:
        return f"no worker answers at {host} port {port} ({type(exc).__name__})"
    finally:
        connection.close()
    if response.status == 200:
        return None
    failing = (f"{name}: {check['detail']}" for name, check in checks.items() if not check["ok"])
    return f"the worker at {host} port {port} is not {question} ({'; '.join(failing)})"
