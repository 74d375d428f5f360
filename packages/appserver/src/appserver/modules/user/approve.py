"""``user.approve@1``: a yes or no, also by somebody who has a link and no account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from appserver.modules.contract import Ask, Done, ErrorCode, Fail, GoBack, Module, ModuleKind, Ports, Seen
from appserver.modules.questions import QuestionInputs, asked, last_answer, way_taken

ANSWER: Mapping[str, Any] = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}, "comment": {"type": "string", "maxLength": 4_000}},
    "required": ["approved"],
    "additionalProperties": False,
}


class ApproveInputs(QuestionInputs):
    """A question for an approval."""

    by_link: bool = Field(default=True, description="Whether a link answers it, without signing in.")
    on_expire: Literal["approve", "reject", "nothing"] = Field(
        "nothing", description="What counts when nobody answers; ``nothing`` is an error of the run."
    )
    on_reject: Literal["go_on", "fail"] = Field("go_on", description="What a no does to the run.")


class ApproveOutputs(Ports):
    """The decision."""

    approved: bool = Field(description="Whether it was a yes.")
    comment: str = Field(description="What was said to it.")
    expired: bool = Field(description="Whether nobody answered in time.")


class Approve(Module[ApproveInputs, ApproveOutputs]):
    """Asks for a yes or no, also by a link that needs no account."""

    type = "user.approve@1"
    kind = ModuleKind.INTERACTION
    Inputs = ApproveInputs
    Outputs = ApproveOutputs
    example: ClassVar[Mapping[str, Any]] = {
        "title": "May the film be published?",
        "expires_seconds": 86_400,
        "on_expire": "reject",
    }

    def decide(self, inputs: ApproveInputs, seen: Seen) -> Ask | Done | GoBack | Fail:
        """Ask, and give the decision."""
        answer = last_answer(seen)
        if answer is None:
            default: JsonValue = None if inputs.on_expire == "nothing" else {"approved": inputs.on_expire == "approve"}
            return asked(inputs, "approve", ANSWER, default=default, by_link=inputs.by_link)
        if back := way_taken(inputs, dict(answer)):
            return back
        approved, comment = answer.get("approved") is True, str(answer.get("comment", ""))
        if not approved and inputs.on_reject == "fail":
            return Fail(
                code=ErrorCode.REJECTED,
                message=f"it was not approved{f': {comment}' if comment else ''}",
                hint="change what was to be approved, by a jump back or a retry",
            )
        return Done(outputs={"approved": approved, "comment": comment, "expired": seen.answers[-1].expired})
