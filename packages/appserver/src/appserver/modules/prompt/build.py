"""``prompt.build@1``: a prompt of shared instructions and those of the chosen groups."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, ErrorCode, Fail, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.json_schemas import schema_problems
from appserver.values.pointers import pointer_of

MAX_PROMPT_CHARACTERS = 200_000


class PromptGroup(Ports):
    """Instructions that are given when their group is chosen."""

    id: str = Field(pattern="^[a-z][a-z0-9_]{0,63}$")
    instructions: str = Field(max_length=20_000)
    title: str = Field("", max_length=200, description="A heading above the instructions.")
    schema_: dict[str, JsonValue] | None = Field(
        None, alias="schema", description="The JSON Schema of the group's part of the answer."
    )


class PromptInputs(Ports):
    """The parts of a prompt."""

    shared: str = Field("", max_length=20_000, description="Instructions that come first.")
    groups: list[PromptGroup] = Field(default_factory=list, max_length=100, description="What can be chosen from.")
    chosen: list[str] = Field(default_factory=list, max_length=100, description="The ids of the chosen groups.")
    separator: str = Field("\n\n", max_length=20, description="What stands between the parts.")


class PromptOutputs(Ports):
    """A prompt."""

    prompt: str = Field(description="The whole prompt.")
    schema_of_answer: dict[str, JsonValue] | None = Field(
        description="An object's schema with the chosen groups' schemas, by id; null when none has one."
    )


class BuildPrompt(Module[PromptInputs, PromptOutputs]):
    """Puts a prompt together from shared instructions and those of the chosen groups."""

    type = "prompt.build@1"
    kind = ModuleKind.INLINE
    Inputs = PromptInputs
    Outputs = PromptOutputs
    repeatable = True
    example: ClassVar[Mapping[str, Any]] = {
        "shared": "You write short films.",
        "groups": [
            {"id": "camera", "instructions": "Say how the camera moves.", "schema": {"type": "string"}},
            {"id": "sound", "instructions": "Say what is heard."},
        ],
        "chosen": ["camera"],
    }

    def decide(self, inputs: PromptInputs, seen: Seen) -> Done | Fail:  # noqa: ARG002
        """Give the prompt."""
        groups = {group.id: group for group in inputs.groups}
        problems = [
            FieldProblem(pointer=pointer_of(["chosen", index]), message=f"there is no group {name!r}"[:200])
            for index, name in enumerate(inputs.chosen)
            if name not in groups
        ]
        chosen = {name: groups[name] for name in inputs.chosen if name in groups}
        for name, group in chosen.items():
            problems += [
                FieldProblem(pointer=pointer_of(["groups", name, "schema"]), message=problem.message)
                for problem in schema_problems(group.schema_ or {})
            ]
        if problems:
            return _refused("the chosen groups cannot be used", problems[:20])
        prompt = inputs.separator.join(filter(None, [inputs.shared, *map(_part, chosen.values())]))
        if len(prompt) > MAX_PROMPT_CHARACTERS:
            return _refused(f"the prompt has {len(prompt):,} characters; at most {MAX_PROMPT_CHARACTERS:,} fit", [])
        return Done(outputs={"prompt": prompt, "schema_of_answer": _schema(chosen)})


def _refused(message: str, problems: list[FieldProblem]) -> Fail:
    return Fail(code=ErrorCode.MISCONFIGURED, message=message, problems=tuple(problems))


def _part(group: PromptGroup) -> str:
    return f"{group.title}\n{group.instructions}" if group.title else group.instructions


def _schema(chosen: Mapping[str, PromptGroup]) -> dict[str, JsonValue] | None:
    schemas: dict[str, JsonValue] = {name: group.schema_ for name, group in chosen.items() if group.schema_ is not None}
    if not schemas:
        return None
    return {"type": "object", "properties": schemas, "required": list(schemas), "additionalProperties": False}
