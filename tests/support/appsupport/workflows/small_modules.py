"""Small modules: each gives one kind of value, so that definitions of tests say little beside their point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field, JsonValue

from appserver.modules.contract import Done, FieldProblem, Module, ModuleKind, Ports, Seen
from appserver.modules.json_schemas import unfilled_problems
from appserver.modules.registry import AnyModule, ModuleRegistry


class NumberInputs(Ports):
    value: int = Field(0, ge=0, le=100)


class NumberOutputs(Ports):
    number: int


class GiveNumber(Module[NumberInputs, NumberOutputs]):
    """Gives a whole number."""

    type = "give.number@1"
    kind = ModuleKind.INLINE
    Inputs = NumberInputs
    Outputs = NumberOutputs
    example: ClassVar[Mapping[str, Any]] = {"value": 3}
    repeatable = True

    def decide(self, inputs: NumberInputs, seen: Seen) -> Done:
        """Give it."""
        del seen
        return Done(outputs={"number": inputs.value})


class Scene(Ports):
    text: str
    seconds: float = 1.0


class ScenesInputs(Ports):
    title: str = ""
    mood: Literal["calm", "wild"] = "calm"
    scenes: list[Scene] = Field(default_factory=list)
    anything: JsonValue = None
    schema_: dict[str, JsonValue] = Field(default_factory=dict, alias="schema")


class ScenesOutputs(Ports):
    title: str
    scenes: list[Scene]
    mood: Literal["calm", "wild"]
    anything: JsonValue = None


class GiveScenes(Module[ScenesInputs, ScenesOutputs]):
    """Gives back what it takes."""

    type = "give.scenes@1"
    kind = ModuleKind.INLINE
    Inputs = ScenesInputs
    Outputs = ScenesOutputs
    example: ClassVar[Mapping[str, Any]] = {"title": "Tides", "scenes": [{"text": "The sea goes out."}]}

    def decide(self, inputs: ScenesInputs, seen: Seen) -> Done:
        """Give it back."""
        del seen
        return Done(outputs=inputs.model_dump(by_alias=True, exclude={"schema_"}))

    def check_inputs(self, inputs: Mapping[str, Any]) -> tuple[FieldProblem, ...]:
        """Refuse a schema that cannot be used."""
        return unfilled_problems(inputs)


class TemplateInputs(Ports):
    template: str
    values: dict[str, JsonValue] = Field(default_factory=dict)


class TemplateOutputs(Ports):
    text: str


class Template(Module[TemplateInputs, TemplateOutputs]):
    """Gives a text; its template has braces of its own."""

    type = "give.template@1"
    kind = ModuleKind.INLINE
    Inputs = TemplateInputs
    Outputs = TemplateOutputs
    literal = frozenset({"template"})
    example: ClassVar[Mapping[str, Any]] = {"template": "Hello {{ name }}", "values": {"name": "you"}}

    def decide(self, inputs: TemplateInputs, seen: Seen) -> Done:
        """Give it."""
        del seen
        return Done(outputs={"text": inputs.template})

    def check_inputs(self, inputs: Mapping[str, Any]) -> list[FieldProblem]:
        """Refuse a block that is never closed."""
        opened = str(inputs.get("template", "")).count("{%") != str(inputs.get("template", "")).count("%}")
        return [FieldProblem(pointer="/template", message="a block is not closed")] if opened else []


class EachInputs(Ports):
    items: list[JsonValue]
    run: list[dict[str, JsonValue]]


class EachOutputs(Ports):
    results: list[dict[str, JsonValue]]


class Each(Module[EachInputs, EachOutputs]):
    """Runs modules for each item."""

    type = "do.each@1"
    kind = ModuleKind.FLOW
    Inputs = EachInputs
    Outputs = EachOutputs
    nested = frozenset({"run"})
    example: ClassVar[Mapping[str, Any]] = {
        "items": [1, 2],
        "run": [{"id": "number", "type": "give.number@1", "in": {"value": "{{ item }}"}}],
    }

    def decide(self, inputs: EachInputs, seen: Seen) -> Done:
        """Give as many results."""
        del seen
        return Done(outputs={"results": [{} for _ in inputs.items]})


class Untold(GiveNumber):
    """Cannot tell its outputs before it runs."""

    type = "give.untold@1"

    def check_inputs(self, inputs: Mapping[str, Any]) -> list[FieldProblem]:
        """Fail, as a module with a mistake does."""
        raise LookupError(inputs)

    def output_schema(self, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
        """Fail, as a module with a mistake does."""
        raise LookupError(inputs)


def small_registry() -> ModuleRegistry:
    """Return the registry of the small modules; all run inline."""
    modules: list[AnyModule] = [Each(), GiveNumber(), GiveScenes(), Template(), Untold()]
    return ModuleRegistry(modules, inline=[module.type for module in modules])


def module(name: str, type_: str = "give.number@1", **rest: Any) -> dict[str, Any]:
    """Return a module of a definition; ``inputs`` and ``if_`` are its ``in`` and ``when``."""
    words = {"inputs": "in", "if_": "when"}
    return {"id": name, "type": type_, **{words.get(key, key): value for key, value in rest.items()}}


def definition(*modules: dict[str, Any], **rest: Any) -> dict[str, Any]:
    """Return a definition of one step with these modules."""
    return {"name": "small", "steps": [{"id": "only", "modules": list(modules)}], **rest}
