"""Types of modules: a definition names only those that a host offers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from appserver.engine.definition.model import Definition
from appserver.engine.definition.problems import nearest, problem
from appserver.errors import DefinitionProblem
from appserver.modules.registry import ModuleRegistry


def type_problems(
    definition: Definition, registry: ModuleRegistry, *, lacking: Literal["error", "warning"]
) -> Iterator[DefinitionProblem]:
    """Yield a problem for each module whose type this host lacks."""
    for step_index, step in enumerate(definition.steps):
        for index, module in enumerate(step.modules):
            if registry.find(module.type) is None:
                hint = nearest(module.type, (known.type for known in registry))
                pointer = f"/steps/{step_index}/modules/{index}/type"
                message = f"this host has no module {module.type!r}"
                yield problem(pointer, "unknown_type", message, hint, severity=lacking)
