"""``task.run``, ``llm.call`` and ``http.fetch``: payloads, results, and failures of workers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appserver.modules.contract import Await, ErrorCode, TaskCall, Try, Work
from appsupport.modules import MODULES, decided, failure, outputs, seen

MODEL = {"model": "small", "system": "You write.", "prompt": "A scene."}
URL = {"url": "https://api.example.com:8443/tides?a=1", "hosts": ["api.example.com", "*.example.org"]}


def ended(state: Any = "completed", result: Any = None, **error: Any) -> Work:
    return Work(kind="task", state=state, id="tq_1", result=result, error=error or None)


def call(type_: str, inputs: dict[str, Any], tries: list[Try] | None = None) -> TaskCall:
    effect = decided(type_, inputs, seen(tries=tries or []))
    assert isinstance(effect, Await), effect
    assert isinstance(effect.calls[0], TaskCall)
    return effect.calls[0]


def test_task_is_started_as_told() -> None:
    inputs = {
        "actor": "a",
        "queue": "q",
        "payload": {"x": 1},
        "timeout_seconds": 5,
        "estimate": "0.10",
        "actor_version": 2,
    }

    assert call("task.run@1", inputs) == TaskCall(
        key="task",
        actor="a",
        queue="q",
        payload={"x": 1},
        timeout=timedelta(seconds=5),
        estimate=Decimal("0.10"),
        actor_version=2,
    )
    assert outputs("task.run@1", inputs, seen(work={"task": ended(result=[1])})) == {"result": [1], "task_id": "tq_1"}


@pytest.mark.parametrize(
    ("work", "code"),
    [
        (ended("failed", code="rejected", message="no"), ErrorCode.REJECTED),
        (ended("failed", code="unheard of", message="no"), ErrorCode.RETRYABLE),
        (ended("failed"), ErrorCode.RETRYABLE),
        (ended("cancelled"), ErrorCode.CANCELLED),
    ],
)
def test_failure_keeps_its_class(work: Work, code: ErrorCode) -> None:
    assert failure("task.run@1", {"actor": "a"}, seen(work={"task": work})).code is code


def test_model_sees_what_it_wrote_before() -> None:
    tries = [
        Try(outputs={"text": "First."}, feedback={"message": "shorter"}),
        Try(outputs=None, feedback=None),
        Try(outputs={"text": "Second."}, feedback=None),
    ]
    messages = call("llm.call@1", MODEL, tries).payload["messages"]

    assert messages == [
        {"role": "system", "content": "You write."},
        {"role": "user", "content": "A scene."},
        {"role": "assistant", "content": "First."},
        {"role": "user", "content": "Please do it again, and mind this: shorter"},
        {"role": "assistant", "content": "Second."},
        {"role": "user", "content": "Please do it again, in another way."},
    ]


def test_answer_of_model_is_held_against_schema() -> None:
    inputs = MODEL | {"schema": {"type": "object", "required": ["text"]}}
    wrong = seen(work={"call": ended(result={"text": "{}", "value": {}})})
    problem = failure("llm.call@1", inputs, wrong)

    assert call("llm.call@1", inputs).payload["output_schema"] == inputs["schema"]
    assert (problem.code, problem.problems[0].pointer) == (ErrorCode.INVALID_OUTPUT, "/text")


def test_request_goes_to_named_host() -> None:
    payload = call("http.fetch@1", URL | {"method": "POST", "body": {"a": 1}}).payload

    assert (payload["url"], payload["hosts"], payload["method"]) == (URL["url"], URL["hosts"], "POST")
    assert call("http.fetch@1", URL | {"url": "http://a.example.org/"}).queue == "http"


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/",
        "https://example.org/",
        "https://evilexample.org/",
        "https://api.example.com.evil.org/",
        "https://api.example.com@evil.org/",
        "https://user:pw@api.example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://2130706433/",
        "https://localhost/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "//api.example.com/",
        "https://api.example.com:99999/",
        "https://api.example.com\\@evil.org/",
        "https://api.example.com/a b",
        "https://api.example.com/\r\nHost: evil",
        "https://[::1",
        "javascript:alert(1)",
    ],
)
def test_other_address_is_refused(url: str) -> None:
    assert failure("http.fetch@1", URL | {"url": url}).code is ErrorCode.MISCONFIGURED


@pytest.mark.parametrize("host", ["127.0.0.1.", "*", "*.com*", "localhost", "a b.com", "HTTP.example.com"])
def test_hosts_are_names(host: str) -> None:
    with pytest.raises(ValueError, match="hosts"):
        decided("http.fetch@1", URL | {"hosts": [host]})


@pytest.mark.parametrize(
    ("status", "code"), [(404, ErrorCode.REJECTED), (429, ErrorCode.RATE_LIMITED), (503, ErrorCode.RETRYABLE)]
)
def test_status_has_its_class(status: int, code: ErrorCode) -> None:
    answered = seen(work={"request": ended(result={"status": status})})

    assert failure("http.fetch@1", URL, answered).code is code
    assert outputs("http.fetch@1", URL | {"fail_on_error": False}, answered)["ok"] is False


def test_header_of_client_is_refused() -> None:
    assert "Host" in failure("http.fetch@1", URL | {"headers": {"Host": "evil"}}).message


@pytest.mark.parametrize(
    ("hosts", "pointers"),
    [
        ("{{ input.hosts }}", ["/hosts"]),
        ({"$ref": "input.hosts"}, ["/hosts"]),
        (["api.example.com", "{{ input.host }}", {"$ref": "input.host"}], ["/hosts/1", "/hosts/2"]),
        (["api.example.com"], []),
    ],
)
def test_hosts_are_written_out(hosts: Any, pointers: list[str]) -> None:
    problems = MODULES["http.fetch@1"].check_inputs({"url": "{{ input.url }}", "hosts": hosts})

    assert [problem.pointer for problem in problems] == pointers
