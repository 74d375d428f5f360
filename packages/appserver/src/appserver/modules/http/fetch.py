"""``http.fetch@1``: one request to a host that the workflow's author has named."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import Field, JsonValue

from appserver.modules.contract import Await, Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.work import TaskInputs, failure_of, result_of, task_call

ACTOR = QUEUE = "http"
KEY = "request"
MAX_BYTES = 10 * 1024 * 1024
Host: TypeAlias = Annotated[
    str,
    Field(
        max_length=253,
        pattern=r"^(\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$",
        description="A name such as ``api.example.com``; ``*.example.com`` for all below it.",
    ),
]
HeaderName: TypeAlias = Annotated[str, Field(max_length=100, pattern=r"^[A-Za-z0-9-]+$")]
HeaderValue: TypeAlias = Annotated[str, Field(max_length=4_000, pattern=r"^[\x20-\x7e]*$")]
NOT_THE_AUTHORS = frozenset({"connection", "content-length", "host", "proxy-authorization", "te", "transfer-encoding"})
"""Headers that the client sets itself."""


class FetchInputs(TaskInputs):
    """A request."""

    url: str = Field(min_length=1, max_length=4_000, description="Where to; its host must be one of ``hosts``.")
    hosts: list[Host] = Field(
        min_length=1, max_length=20, description="Hosts that may be asked; never from a person's answer."
    )
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = Field("GET")
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict, max_length=50)
    query: dict[str, str | int | float | bool] = Field(default_factory=dict, max_length=100)
    body: JsonValue = Field(None, description="Sent as JSON; a text is sent as it is.")
    max_bytes: int = Field(1024 * 1024, ge=1, le=MAX_BYTES, description="How large the answer may be.")
    fail_on_error: bool = Field(default=True, description="Whether a status from 400 on is an error of the run.")


class FetchOutputs(Ports):
    """The answer."""

    status: int = Field(description="Its status.")
    ok: bool = Field(description="Whether the status is below 400.")
    body: JsonValue = Field(description="The answer: JSON, or a text.")
    content_type: str = Field(description="Its type, as the service says.")


class Fetch(Module[FetchInputs, FetchOutputs]):
    """Asks a service over HTTP; only hosts that the workflow names, and no private addresses."""

    type = "http.fetch@1"
    kind = ModuleKind.TASK
    Inputs = FetchInputs
    Outputs = FetchOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "url": "https://api.example.com/tides",
        "hosts": ["api.example.com"],
        "query": {"day": "2026-12-01"},
    }

    def check_inputs(self, inputs: Mapping[str, Any]) -> Sequence[FieldProblem]:
        """Return which hosts are not written out."""
        hosts = inputs.get("hosts")
        if isinstance(hosts, list):
            open_ones = [f"/hosts/{number}" for number, host in enumerate(hosts) if not _is_written_out(host)]
        else:
            open_ones = ["/hosts"] if "hosts" in inputs else []
        message = "write the hosts out: what a person or a service answers must not decide whom a worker asks"
        return [FieldProblem(pointer=pointer, message=message) for pointer in open_ones]

    def decide(self, inputs: FetchInputs, seen: Seen) -> Await | Done | Fail:
        """Start the request, and give the answer."""
        work = seen.work.get(KEY)
        if work is not None and work.state not in ("open", "completed"):
            return failure_of(work)
        if work is not None and work.state == "completed":
            return _answered(inputs, result_of(work))
        if problem := _problem(inputs):
            hint = "correct the address, or name its host in the definition"
            return Fail(code=ErrorCode.MISCONFIGURED, message=problem, hint=hint)
        # The hosts go with the request: the worker holds redirects and resolved addresses against them, too.
        names = {"url", "hosts", "method", "headers", "query", "body", "max_bytes"}
        return Await(calls=(task_call(inputs, KEY, ACTOR, QUEUE, inputs.model_dump(include=names)),))


def _is_written_out(host: object) -> bool:
    return isinstance(host, str) and "{{" not in host


def _problem(inputs: FetchInputs) -> str | None:
    if taken := sorted(name for name in inputs.headers if name.lower() in NOT_THE_AUTHORS):
        return f"the header {taken[0]} is set by the client itself"
    return _problem_of_url(inputs)


def _problem_of_url(inputs: FetchInputs) -> str | None:
    if any(character <= " " or character == "\\" for character in inputs.url):
        return "the url holds a space, a control character or a backslash"
    try:
        parts = urlsplit(inputs.url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        return f"the url cannot be read: {exc}"[:300]
    if parts.scheme not in ("http", "https") or not host:
        return "the url must begin with https:// or http:// and a host"
    if parts.username is not None or parts.password is not None:
        return "the url holds a user name; give it in a header"
    if _is_address(host) or not any(_fits(host, allowed) for allowed in inputs.hosts):
        return f"the host {host[:100]!r} is none of those that the workflow names: {', '.join(inputs.hosts)[:500]}"
    return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _fits(host: str, allowed: str) -> bool:
    return host.endswith(allowed[1:]) if allowed.startswith("*.") else host == allowed


def _answered(inputs: FetchInputs, result: Mapping[str, JsonValue]) -> Done | Fail:
    status = result.get("status")
    if not isinstance(status, int):
        message = "the worker's answer has no status"
        return Fail(code=ErrorCode.INVALID_OUTPUT, message=message, hint="update the workers that serve queue http")
    if status >= 400 and inputs.fail_on_error:
        again = status in (408, 425, 429) or status >= 500
        return Fail(
            code=ErrorCode.RATE_LIMITED if status == 429 else ErrorCode.RETRYABLE if again else ErrorCode.REJECTED,
            message=f"the service answered {status}",
            hint="retry the module" if again else "change the request",
        )
    outputs = {
        "status": int(status),
        "ok": status < 400,
        "body": result.get("body"),
        "content_type": str(result.get("content_type") or ""),
    }
    return Done(outputs=outputs)
