"""Parsing: from what a user wrote to a definition, or to all of its problems at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

from appserver.engine.definition.checking import DefinitionCheck
from appserver.engine.definition.form import formed
from appserver.engine.definition.model import Definition
from appserver.engine.definition.problems import Hints, told
from appserver.engine.definition.reading import read_json
from appserver.engine.definition.use_check import CheckContext
from appserver.errors import DefinitionError, DefinitionProblem
from appserver.modules.registry import ModuleRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDefinition:
    """A definition that was checked.

    Args:
        definition: The definition, or ``None`` when not even its form fits.
        problems: All that was found, warnings included: those of single values, of the form, of modules.
    """

    definition: Definition | None
    problems: tuple[DefinitionProblem, ...]

    @property
    def refused(self) -> bool:
        """Whether one of the problems is an error."""
        return any(problem.severity == "error" for problem in self.problems)


def check_definition(
    raw: bytes | Mapping[str, Any],
    registry: ModuleRegistry | None = None,
    *,
    lacking: Literal["error", "warning"] = "error",
) -> CheckedDefinition:
    """Return a definition with all that is wrong with it; it never raises for what was written.

    Args:
        raw: The definition: JSON as bytes, or as a mapping that was read from JSON.
        registry: The module types that this host offers; ``None`` leaves types and what they take unchecked.
        lacking: What a type is that this host lacks: a ``warning`` where another host may have it.
    """
    try:
        value, problems = read_json(raw)
    except DefinitionError as exc:
        return CheckedDefinition(definition=None, problems=exc.problems)
    hints = Hints()
    definition, misfits = formed(value, hints)
    check = DefinitionCheck(CheckContext(registry=registry, lacking=lacking, hints=hints))
    found = () if definition is None else check.problems(definition)
    return CheckedDefinition(definition=definition, problems=told(chain(problems, misfits, found)))


async def check_definition_aside(
    raw: bytes | Mapping[str, Any],
    registry: ModuleRegistry | None = None,
    *,
    lacking: Literal["error", "warning"] = "error",
) -> CheckedDefinition:
    """Return what ``check_definition`` does, in a thread: the largest definitions take a tenth of a second."""
    return await asyncio.to_thread(check_definition, raw, registry, lacking=lacking)


def parse_definition(
    raw: bytes | Mapping[str, Any],
    registry: ModuleRegistry | None = None,
    *,
    lacking: Literal["error", "warning"] = "error",
) -> Definition:
    """Return the definition that was written; the arguments are those of ``check_definition``.

    Raises:
        DefinitionError: It has problems; all of them, warnings included.
    """
    checked = check_definition(raw, registry, lacking=lacking)
    if checked.definition is None or checked.refused:
        raise DefinitionError(checked.problems)
    return checked.definition


def stored_definition(content: Mapping[str, Any]) -> Definition:
    """Return a definition that was checked when it was stored; only its form is looked at again.

    Raises:
        DefinitionError: It is of no form that this release knows.
    """
    definition, misfits = formed(content, Hints())
    if definition is None:
        raise DefinitionError(told(misfits))
    return definition
