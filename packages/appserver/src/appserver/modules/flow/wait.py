"""``flow.wait@1``: time passes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

from pydantic import AwareDatetime, Field

from appserver.modules.contract import Await, Done, ErrorCode, Fail, Module, ModuleKind, Ports, Seen, TimerCall

TIMER = "timer"
MAX_SECONDS = 366 * 24 * 3600


class WaitInputs(Ports):
    """The time to wait."""

    seconds: float | None = Field(None, ge=0, le=MAX_SECONDS, description="So long, from when this module begins.")
    until: AwareDatetime | None = Field(
        None, strict=False, description="Or until this time, in ISO 8601 with an offset; a time that is over is now."
    )
    label: str = Field("", max_length=200, description="What people read meanwhile.")


class WaitOutputs(Ports):
    """Nothing but that the time is over."""

    waited: bool


class FlowWait(Module[WaitInputs, WaitOutputs]):
    """Waits for some time, or until a time; no host and no worker is kept for it."""

    type = "flow.wait@1"
    kind = ModuleKind.FLOW
    Inputs = WaitInputs
    Outputs = WaitOutputs
    example: ClassVar[Mapping[str, Any]] = {"seconds": 3600, "label": "Let it rest"}

    def decide(self, inputs: WaitInputs, seen: Seen) -> Await | Done | Fail:
        """Start a timer, and go on when it has fired."""
        if (inputs.seconds is None) is (inputs.until is None):
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message="a wait needs either seconds or a time",
                hint="give seconds or until, and not both",
            )
        work = seen.work.get(TIMER)
        if work is not None and work.state != "open":
            return Done(outputs={"waited": True})
        delay = None if inputs.seconds is None else timedelta(seconds=inputs.seconds)
        return Await(calls=(TimerCall(key=TIMER, delay=delay, at=inputs.until, label=inputs.label),))
