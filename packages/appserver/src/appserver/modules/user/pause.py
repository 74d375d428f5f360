"""``user.pause@1``: a stop, until a person goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Ask, Done, Fail, GoBack, Module, ModuleKind, Ports, Seen
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken

CONFIRMED: Mapping[str, Any] = {
    "type": "object",
    "properties": {"confirmed": {"const": True}},
    "additionalProperties": False,
}


class PauseInputs(QuestionInputs):
    """A stop."""

    go_on: bool = Field(default=False, description="Whether the run goes on by itself when the time is over.")


class PauseOutputs(Ports):
    """The end of a stop."""

    confirmed: bool = Field(description="Whether a person went on; otherwise the time was over.")


class Pause(Module[PauseInputs, PauseOutputs]):
    """Stops until a person goes on, or until its time is over."""

    type = "user.pause@1"
    kind = ModuleKind.INTERACTION
    Inputs = PauseInputs
    Outputs = PauseOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "title": "Have a look at the pictures",
        "message": "The next step costs money.",
    }

    def decide(self, inputs: PauseInputs, seen: Seen) -> Ask | Done | GoBack | Fail:
        """Ask for a confirmation."""
        answer = last_answer(seen)
        if answer is None:
            default: JsonValue = {} if inputs.go_on else None
            return asked(inputs, "pause", CONFIRMED, default=default)
        if back := way_taken(inputs, dict(answer)):
            return back
        return Done(outputs={"confirmed": not seen.answers[-1].expired})
