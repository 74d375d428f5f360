"""Literals: what a definition writes out for a module's inputs, held against what the module takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from appserver.engine.definition.form import form_problem
from appserver.engine.definition.problems import Hints
from appserver.engine.definition.references import Reference, object_reference, pieces_of
from appserver.errors import DefinitionProblem
from appserver.modules.registry import AnyModule
from appserver.values.pointers import escaped

STAND_IN = "…"
"""The text that stands for a value which is known only in a run."""


def literal_problems(
    module: AnyModule, inputs: Mapping[str, Any], pointer: str, hints: Hints
) -> Iterator[DefinitionProblem]:
    """Yield what does not fit the module's inputs; nothing is said of what depends on a reference.

    Args:
        module: The module that takes them.
        inputs: The inputs, as the definition has them.
        pointer: The pointer of *inputs*.
        hints: The hints of this check.
    """
    stand_ins = _StandIns()
    filled = {
        name: value if name in module.nested else stand_ins.filled(value, f"/{escaped(name)}", name in module.literal)
        for name, value in inputs.items()
    }
    try:
        module.Inputs.model_validate(filled)
    except ValidationError as exc:
        known = [field.alias or name for name, field in module.Inputs.model_fields.items()]
        for error in exc.errors(include_url=False):
            problem = form_problem(error, filled, hints, known=known)
            if error["type"] in {"missing", "extra_forbidden"} or not stand_ins.touch(problem.pointer):
                yield problem.model_copy(update={"pointer": pointer + problem.pointer})


class _StandIns:
    """Values with a text in the place of each reference, and the places where that is so."""

    def __init__(self) -> None:
        self._places: list[str] = []

    def touch(self, pointer: str) -> bool:
        """Return whether the value at *pointer* holds a stand-in, or is one, or is inside of one."""
        return any(
            f"{place}/".startswith(f"{pointer}/") or f"{pointer}/".startswith(f"{place}/") for place in self._places
        )

    def filled(self, value: Any, pointer: str, literal: bool) -> Any:
        if isinstance(value, str) and not literal:
            return self._text(value, pointer)
        if isinstance(value, Mapping):
            if (reference := object_reference(value)) is not None:
                return reference.default if reference.has_default else self._stand_in(pointer)
            return {name: self.filled(inner, f"{pointer}/{escaped(name)}", literal) for name, inner in value.items()}
        if isinstance(value, list):
            return [self.filled(inner, f"{pointer}/{index}", literal) for index, inner in enumerate(value)]
        return value

    def _text(self, text: str, pointer: str) -> str:
        if any(isinstance(piece, Reference) for piece in pieces_of(text)):
            return self._stand_in(pointer)
        return "".join(piece for piece in pieces_of(text) if isinstance(piece, str))

    def _stand_in(self, pointer: str) -> str:
        self._places.append(pointer)
        return STAND_IN
