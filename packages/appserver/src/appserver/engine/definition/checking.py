"""Checking: what the form of a definition cannot say of its modules, one after the other and together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from appserver.engine.definition.form import form_problem, is_echo
from appserver.engine.definition.line import Line, ModuleUse, Outer
from appserver.engine.definition.model import MAX_MODULES, Definition, ModuleDefinition
from appserver.engine.definition.problems import problem
from appserver.engine.definition.references import references_in
from appserver.engine.definition.use_check import CheckContext, UseCheck, outputs_of
from appserver.errors import DefinitionProblem
from appserver.modules.json_schemas import schema_problems
from appserver.values.conditions import Several
from appserver.values.pointers import escaped

Written = list[tuple[str, ModuleDefinition]]
_MODULES: TypeAdapter[tuple[ModuleDefinition, ...]] = TypeAdapter(Several[ModuleDefinition])


class DefinitionCheck:
    """One check of a definition whose form is right.

    Args:
        context: The circumstances.
    """

    def __init__(self, context: CheckContext) -> None:
        self._context = context
        self._modules = 0

    def problems(self, definition: Definition) -> Iterator[DefinitionProblem]:
        """Yield all problems of *definition*."""
        steps = [(f"/steps/{index}/id", step.id) for index, step in enumerate(definition.steps)]
        yield from _repeated(steps, "step")
        yield from _input_problems(definition.input_schema)
        written = [
            (f"/steps/{number}/modules/{index}", module)
            for number, step in enumerate(definition.steps)
            for index, module in enumerate(step.modules)
        ]
        if not self._counted(len(written)):
            yield _too_many("/steps")
            return
        line = self._line(written, definition.input_schema or None)
        yield from self._of_line(line)
        check = UseCheck(line, len(line.uses), self._context)
        yield from check.references(references_in(definition.output, "/output"))

    def _counted(self, modules: int) -> bool:
        self._modules += modules
        return self._modules <= MAX_MODULES

    def _line(self, written: Written, schema: Mapping[str, Any] | None, outer: Outer | None = None) -> Line:
        uses = []
        for pointer, module in written:
            kind = None if self._context.registry is None else self._context.registry.find(module.type)
            outputs = None if kind is None else outputs_of(kind, module.inputs)
            uses.append(ModuleUse(pointer=pointer, definition=module, module=kind, outputs=outputs))
        return Line(uses, schema, outer)

    def _of_line(self, line: Line) -> Iterator[DefinitionProblem]:
        yield from _repeated([(f"{use.pointer}/id", use.definition.id) for use in line.uses], "module")
        for position, use in enumerate(line.uses):
            yield from UseCheck(line, position, self._context).problems()
            for name in sorted(use.module.nested if use.module is not None else ()):
                if name in use.definition.inputs:
                    yield from self._of_child(Outer(line, position), name)

    def _of_child(self, outer: Outer, name: str) -> Iterator[DefinitionProblem]:
        use = outer.use
        value, pointer = use.definition.inputs[name], f"{use.pointer}/in/{escaped(name)}"
        # One module stands there by itself, several in a list.
        several = value if isinstance(value, list) else [value]
        places = [f"{pointer}/{index}" if isinstance(value, list) else pointer for index in range(len(several))]
        try:
            modules = _MODULES.validate_python(several)
        except ValidationError as exc:
            for error in exc.errors(include_url=False):
                index, error["loc"] = error["loc"][0], error["loc"][1:]
                if isinstance(index, int) and not is_echo(error):
                    yield form_problem(error, several[index], self._context.hints, places[index])
            return
        if not self._counted(len(modules)):
            yield _too_many(pointer)
            return
        yield from self._of_line(self._line(list(zip(places, modules, strict=True)), None, outer))


def _input_problems(schema: Mapping[str, Any]) -> Iterator[DefinitionProblem]:
    for found in schema_problems(schema):
        yield problem(f"/input{found.pointer}", "bad_schema", found.message)
    if schema.get("type", "object") != "object":
        yield problem("/input/type", "bad_schema", "a run begins with an object", 'write "type": "object"')


def _repeated(ids: Sequence[tuple[str, str]], kind: str) -> Iterator[DefinitionProblem]:
    first: dict[str, str] = {}
    for pointer, name in ids:
        if name in first:
            message = f"the id {name!r} stands at {first[name]} already; ids of {kind}s are unique in a run"
            yield problem(pointer, "repeated_id", message, "choose another one")
        first.setdefault(name, pointer)


def _too_many(pointer: str) -> DefinitionProblem:
    message = f"there are more than {MAX_MODULES} modules, those in maps included"
    return problem(pointer, "too_many", message, "let a map repeat what is alike")
