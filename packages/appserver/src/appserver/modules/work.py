"""Tasks of modules: the inputs that they share, and what a call's end means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, TypeAlias

from pydantic import Field, JsonValue

from appserver.modules.contract import ErrorCode, Fail, Ports, TaskCall, Work

Price: TypeAlias = Annotated[str, Field(max_length=30, pattern=r"^[0-9]{1,9}(\.[0-9]{1,12})?$")]
"""An amount as text, so that no digit is lost."""
TaskName: TypeAlias = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9_.-]+$")]
MAX_TIMEOUT_SECONDS = 24 * 3600


class TaskInputs(Ports):
    """The way in which a task is done."""

    timeout_seconds: int | None = Field(
        None, ge=1, le=MAX_TIMEOUT_SECONDS, description="How long one attempt may run; the actor's own limit without."
    )
    max_attempts: int = Field(3, ge=1, le=20, description="How many attempts may end without a result.")
    estimate: Price | None = Field(None, description="What it costs at most, as text; reserved while it runs.")


def task_call(inputs: TaskInputs, key: str, actor: str, queue: str, payload: Mapping[str, JsonValue]) -> TaskCall:
    """Return the call of an actor of version 1, done as *inputs* say."""
    return TaskCall(
        key=key,
        actor=actor,
        queue=queue,
        payload=payload,
        estimate=None if inputs.estimate is None else Decimal(inputs.estimate),
        timeout=None if inputs.timeout_seconds is None else timedelta(seconds=inputs.timeout_seconds),
        max_attempts=inputs.max_attempts,
    )


def failure_of(work: Work) -> Fail:
    """Return the failure of a module whose call has failed or was cancelled."""
    if work.state == "cancelled":
        return Fail(code=ErrorCode.CANCELLED, message=f"task {work.id} was cancelled", hint="retry the module")
    error = work.error or {}
    code = str(error.get("code"))
    message = str(error.get("message") or "it has failed without saying why")
    return Fail(
        code=ErrorCode(code) if code in list(ErrorCode) else ErrorCode.RETRYABLE,
        message=f"task {work.id}: {message}"[:2_000],
        hint=str(error.get("hint") or "retry the module, with other inputs where these were refused")[:500],
    )


def result_of(work: Work) -> Mapping[str, JsonValue]:
    """Return a task's result as an object; another value stands under ``value``."""
    return work.result if isinstance(work.result, dict) else {"value": work.result}
