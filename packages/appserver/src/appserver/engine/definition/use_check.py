"""The check of one module in its line: its type, its references, its literals."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from appserver.engine.definition.line import Line, ModuleUse, PathTarget
from appserver.engine.definition.literals import literal_problems
from appserver.engine.definition.problems import Hints, problem
from appserver.engine.definition.promises import comparisons_in
from appserver.engine.definition.references import PATH_HINT, Reference, references_of_inputs
from appserver.engine.definition.sockets import TEXT, misfit
from appserver.engine.definition.subschemas import ABSENT, SchemaView
from appserver.errors import DefinitionProblem
from appserver.modules.registry import AnyModule, ModuleRegistry
from appserver.values.pointers import parts_of
from appserver.values.scope import is_path

logger = logging.getLogger(__name__)

GO_BACK = "go_back"
"""An input of this name lists modules that a person may send the run back to."""
HINTS: Mapping[str, str] = {
    "not_certain": 'give a default by {"$ref": path, "default": value}, or ask for it by "when"',
    "forward": "a module knows what ran before it; move it, or refer to an earlier one",
    "cycle": "take one of the references away",
}
MAX_REFERENCES = 2_000
"""Of a definition; a definition of 200 modules has about 1,000."""
Problems = Iterator[DefinitionProblem]


@dataclass(slots=True, kw_only=True)
class CheckContext:
    """The circumstances of one check of a definition.

    Args:
        registry: The module types that this host offers; ``None`` leaves types unchecked.
        lacking: What a type is that it lacks.
        hints: The hints of this check.
        references: References that were met.
    """

    registry: ModuleRegistry | None
    lacking: Literal["error", "warning"]
    hints: Hints
    references: int = 0


def outputs_of(module: AnyModule, inputs: Mapping[str, Any]) -> SchemaView | None:
    """Return the schema of what a module gives for these unfilled inputs, or ``None`` when it cannot tell."""
    try:
        return SchemaView(module.output_schema(inputs))
    except Exception:
        logger.exception("a module cannot tell its outputs", extra={"module_type": module.type})
        return None


def inputs_of(module: AnyModule) -> SchemaView:
    """Return the schema of what a module takes."""
    return SchemaView(module.Inputs.model_json_schema())


class UseCheck:
    """The check of what stands at one position of a line.

    Args:
        line: The line.
        position: The module's index, or the line's length for what comes after all modules.
        context: The circumstances.
    """

    def __init__(self, line: Line, position: int, context: CheckContext) -> None:
        self._line, self._position, self._context = line, position, context

    def problems(self) -> Problems:
        """Yield the problems of the module."""
        use = self._line.uses[self._position]
        module, inputs, place = use.module, use.definition.inputs, f"{use.pointer}/in"
        if module is None:
            yield from self._lacking_type(use)
            yield from self.references(references_of_inputs(inputs, place))
        else:
            found = references_of_inputs(inputs, place, literal=module.literal, nested=module.nested)
            yield from self.references(found, wanted=inputs_of(module), at=place)
            yield from literal_problems(module, inputs, place, self._context.hints)
            yield from _own_problems(module, inputs, place)
        yield from self._ways_back(inputs.get(GO_BACK), f"{place}/{GO_BACK}")
        yield from self._conditions(use)
        yield from self._out(use)

    def _lacking_type(self, use: ModuleUse) -> Problems:
        if self._context.registry is None:
            return
        name = use.definition.type
        hint = self._context.hints.nearest(name, (known.type for known in self._context.registry))
        message, severity = f"this host has no module {name}", self._context.lacking
        yield problem(f"{use.pointer}/type", "unknown_type", message, hint, severity=severity)

    def references(
        self, found: Iterable[tuple[str, Reference]], *, wanted: SchemaView | None = None, at: str = ""
    ) -> Problems:
        """Yield the problems of references.

        Args:
            found: The references with their pointers.
            wanted: The schema of what is taken where they stand; ``None`` for unknown.
            at: The pointer of what *wanted* describes.
        """
        for pointer, reference in found:
            self._context.references += 1
            if self._context.references > MAX_REFERENCES:
                message = f"there are more than {MAX_REFERENCES:,} references"
                yield problem("", "too_many", message, "let a map repeat what is alike")
                return
            if not reference.is_well_formed:
                yield problem(pointer, "bad_path", f"{reference.path[:80]!r} is no path", PATH_HINT)
                continue
            target = self._line.target(reference.path, self._position, guarded=reference.has_default)
            if target.fault:
                yield self._faulty(pointer, target)
            elif wanted is not None and (reason := _socket_misfit(reference, target, wanted, pointer[len(at) :])):
                yield problem(pointer, "wrong_type", f"{reference.path} does not fit here: {reason}")

    def _faulty(self, pointer: str, target: PathTarget) -> DefinitionProblem:
        hint = self._context.hints.nearest(target.name, target.known) if target.name else HINTS.get(target.fault, "")
        return problem(pointer, target.fault, target.message, hint, severity=target.severity)

    def _conditions(self, use: ModuleUse) -> Problems:
        if use.definition.when is None:
            return
        for pointer, comparison in comparisons_in(use.definition.when, f"{use.pointer}/when"):
            if not is_path(comparison.path):
                yield problem(f"{pointer}/path", "bad_path", f"{comparison.path[:80]!r} is no path", PATH_HINT)
            elif (target := self._line.target(comparison.path, self._position, guarded=True)).fault:
                yield self._faulty(f"{pointer}/path", target)
            if comparison.op == "in" and not isinstance(comparison.value, list):
                yield problem(f"{pointer}/value", "wrong_type", "'in' looks into a list", 'write [..] or use "eq"')

    def _out(self, use: ModuleUse) -> Problems:
        for name, path in use.definition.out.items():
            pointer = f"{use.pointer}/out/{name}"
            if not is_path(path):
                yield problem(pointer, "bad_path", f"{path[:80]!r} is no path", PATH_HINT)
            elif use.outputs is not None and use.outputs.at(path.split(".")) is ABSENT:
                hint = self._context.hints.nearest(path.split(".", maxsplit=1)[0], use.outputs.names())
                yield problem(pointer, "unknown_output", f"{use.definition.type} gives no {path!r}", hint)

    def _ways_back(self, ways: object, pointer: str) -> Problems:
        if not isinstance(ways, list):
            return
        known = [use.definition.id for use in self._line.uses[: self._position + 1]]
        for index, way in enumerate(ways):
            name = way.get("module") if isinstance(way, Mapping) else None
            if isinstance(name, str) and name not in known:
                message = f"there is no module {name[:80]!r} up to here to go back to"
                yield problem(
                    f"{pointer}/{index}/module", "dangling", message, self._context.hints.nearest(name, known)
                )


def _socket_misfit(reference: Reference, target: PathTarget, wanted: SchemaView, pointer: str) -> str | None:
    socket = wanted.at(parts_of(pointer))
    given = target.schema if reference.whole else TEXT
    if given is None or not isinstance(socket, SchemaView):
        return None
    return misfit(given, socket)


def _own_problems(module: AnyModule, inputs: Mapping[str, Any], pointer: str) -> Problems:
    try:
        found = tuple(module.check_inputs(inputs))
    except Exception:
        logger.exception("a module cannot check its inputs", extra={"module_type": module.type})
        return
    for each in found:
        yield problem(f"{pointer}{each.pointer}", "bad_value", each.message)
