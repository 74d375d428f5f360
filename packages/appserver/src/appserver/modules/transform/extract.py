"""``transform.extract@1``: parts of a value, each under a name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.values.pointers import pointer_of
from appserver.values.scope import NOTHING, lookup


class ExtractInputs(Ports):
    """A value and paths into it."""

    value: JsonValue = Field(description="An object or a list.")
    paths: dict[str, Annotated[str, Field(min_length=1, max_length=256)]] = Field(
        min_length=1, max_length=100, description="By name, the dotted path of each part, such as ``scenes.0.text``."
    )
    defaults: dict[str, JsonValue] = Field(
        default_factory=dict, description="By name, what stands for a part that is missing; without, it is an error."
    )


class ExtractOutputs(Ports):
    """The parts."""

    values: dict[str, JsonValue] = Field(description="The parts, by name.")
    missing: list[str] = Field(description="The names of the parts that were missing.")


class Extract(Module[ExtractInputs, ExtractOutputs]):
    """Takes parts out of a value, each by its path."""

    type = "transform.extract@1"
    kind = ModuleKind.INLINE
    Inputs = ExtractInputs
    Outputs = ExtractOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {
        "value": {"scenes": [{"text": "Twice a day ..."}]},
        "paths": {"first": "scenes.0.text", "title": "title"},
        "defaults": {"title": "Untitled"},
    }

    def decide(self, inputs: ExtractInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the parts."""
        root = {"value": inputs.value}
        found = {name: lookup(root, f"value.{path}") for name, path in inputs.paths.items()}
        missing = [name for name, value in found.items() if value is NOTHING]
        problems = [
            FieldProblem(pointer=pointer_of(["paths", name]), message=f"{inputs.paths[name]!r} leads to nothing")
            for name in missing
            if name not in inputs.defaults
        ]
        if problems:
            return Fail(
                code=ErrorCode.INVALID_OUTPUT,
                message=f"{len(problems)} of the parts are missing: {problems[0].message}",
                hint="correct the paths, or give defaults",
                problems=tuple(problems[:20]),
            )
        values = {name: inputs.defaults[name] if value is NOTHING else value for name, value in found.items()}
        return Done(outputs={"values": values, "missing": missing})
