"""``flow.child@1``: modules, or another workflow, as a run of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Await, ChildCall, Done, ErrorCode, Fail, Module, ModuleKind, Ports, Seen

CHILD = "child"


class ChildInputs(Ports):
    """The child run to start."""

    run: list[dict[str, JsonValue]] | None = Field(
        None, min_length=1, description="The definitions of its modules; they find what this run has."
    )
    version: str | None = Field(None, max_length=100, description="Or the id of a version of a workflow.")
    input: dict[str, JsonValue] | None = Field(
        None, description="What it finds under `input`; what this run has there when left out."
    )
    label: str = Field("", max_length=200, description="What people read while it runs.")


class ChildOutputs(Ports):
    """The outputs of the child run."""

    output: dict[str, JsonValue] = Field(
        description="By module, what each gave; of a version, what its definition calls its output."
    )
    run_id: str = Field(description="The child run.")


class Child(Module[ChildInputs, ChildOutputs]):
    """Runs modules, or another workflow, as a run with a log and questions of its own, and waits for its end."""

    type = "flow.child@1"
    kind = ModuleKind.FLOW
    Inputs = ChildInputs
    Outputs = ChildOutputs
    nested = frozenset({"run"})
    example: ClassVar[Mapping[str, Any]] = {
        "run": [{"id": "check", "type": "user.pause@1", "in": {"title": "Look at it"}}],
        "label": "A second look",
    }

    def decide(self, inputs: ChildInputs, seen: Seen) -> Await | Done | Fail:
        """Start the child run, and give what it gave."""
        if (inputs.run is None) is (inputs.version is None):
            return Fail(
                code=ErrorCode.MISCONFIGURED,
                message="a child run needs either modules or a version",
                hint="give run or version, and not both",
            )
        work = seen.work.get(CHILD)
        if work is None or work.state == "open":
            return Await(calls=(_call(inputs),))
        if work.state == "completed":
            output = work.result if isinstance(work.result, dict) else {}
            return Done(outputs={"output": output, "run_id": work.id})
        error = work.error or {}
        code = str(error.get("code", ErrorCode.CANCELLED.value))
        again = "retry this module, which begins with a new child run"
        return Fail(
            code=ErrorCode(code) if code in set(ErrorCode) else ErrorCode.RETRYABLE,
            message=f"child run {work.id} gave no result: {error.get('message', '')}",
            hint=f"{error['hint']}; then {again}" if error.get("hint") else again,
        )


def _call(inputs: ChildInputs) -> ChildCall:
    return ChildCall(
        key=CHILD,
        modules=inputs.run or (),
        version_id=inputs.version,
        input=inputs.input if inputs.version is None else inputs.input or {},
        label=inputs.label,
    )
