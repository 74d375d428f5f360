"""``flow.signal@1``: a message from outside."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import (
    Await,
    Call,
    Done,
    ErrorCode,
    Fail,
    Module,
    ModuleKind,
    Ports,
    Seen,
    SignalCall,
    TimerCall,
)
from appserver.modules.json_schemas import misfits, schema_problems

TIMER = "timeout"
MAX_SECONDS = 366 * 24 * 3600
MAX_REFUSED = 100
"""Messages that do not fit, before the wait fails: else a sender in error fills the log."""


class SignalInputs(Ports):
    """The message to wait for."""

    name: str = Field(min_length=1, max_length=200, description="The message's name, as its sender calls it.")
    schema_: dict[str, JsonValue] = Field(
        default_factory=dict, alias="schema", description="The JSON Schema of its payload; others are passed over."
    )
    timeout_seconds: float | None = Field(
        None, gt=0, le=MAX_SECONDS, description="How long to wait; for ever when left out."
    )


class SignalOutputs(Ports):
    """The message."""

    received: bool = Field(description="Whether it came in time.")
    payload: JsonValue = Field(description="What it holds; null when none came.")
    refused: int = Field(description="How many came that did not fit the schema.")


class FlowSignal(Module[SignalInputs, SignalOutputs]):
    """Waits for a message from outside; one that came before the wait is taken."""

    type = "flow.signal@1"
    kind = ModuleKind.FLOW
    Inputs = SignalInputs
    Outputs = SignalOutputs
    example: ClassVar[Mapping[str, Any]] = {"name": "delivered", "timeout_seconds": 86400}

    def decide(self, inputs: SignalInputs, seen: Seen) -> Await | Done | Fail:
        """Take messages in their order until one fits, or the time is over."""
        if problems := schema_problems(inputs.schema_):
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message="the schema of the message cannot be used",
                hint="correct the module's inputs in the definition, and move the run to the new version",
                problems=problems,
            )
        messages = [one for one in seen.work.values() if one.kind == "signal" and one.state == "completed"]
        for index, message in enumerate(messages):
            payload = message.result.get("payload") if isinstance(message.result, dict) else None
            if not misfits(inputs.schema_, payload):
                return Done(outputs={"received": True, "payload": payload, "refused": index})
        timer = seen.work.get(TIMER)
        if timer is not None and timer.state != "open":
            return Done(outputs={"received": False, "payload": None, "refused": len(messages)})
        if len(messages) >= MAX_REFUSED:
            return Fail(code=ErrorCode.REJECTED, message=f"{MAX_REFUSED} messages {inputs.name!r} did not fit")
        return Await(calls=_calls(inputs, len(messages)))


def _calls(inputs: SignalInputs, refused: int) -> tuple[Call, ...]:
    message: Call = SignalCall(key=f"message{refused + 1}", name=inputs.name)
    if inputs.timeout_seconds is None:
        return (message,)
    limit = timedelta(seconds=inputs.timeout_seconds)
    return message, TimerCall(key=TIMER, delay=limit, label=f"wait for {inputs.name}")
