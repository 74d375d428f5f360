"""The registry: the module types that this host offers, its own and those of installed packages."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from appserver.modules.contract import Module

logger = logging.getLogger(__name__)

GROUP = "appserver.modules"
"""The entry point group; each entry names a subclass of ``Module``."""
TYPE_FORM = re.compile(r"[a-z][a-z0-9_]{0,31}(\.[a-z][a-z0-9_]{0,31})+@[1-9][0-9]{0,2}")
AnyModule: TypeAlias = Module[Any, Any]


class ModuleRegistry:
    """
    Module types by their name and major version.

    Args:
        modules: What it offers.
        inline: The types that the engine may run within a request; those of other packages are run by a task, so that a
            slow one stops nobody.
    """

    def __init__(self, modules: Iterable[AnyModule], *, inline: Iterable[str] = ()) -> None:
        self._modules: Mapping[str, AnyModule] = {module.type: module for module in modules}
        self._inline = frozenset(inline)

    def find(self, type_: str) -> AnyModule | None:
        """Return the module of this type, or ``None`` where this host lacks it."""
        return self._modules.get(type_)

    def runs_inline(self, type_: str) -> bool:
        """Return whether a request may run the module itself."""
        return type_ in self._inline

    def __iter__(self) -> Iterator[AnyModule]:
        return iter(sorted(self._modules.values(), key=lambda module: module.type))


def discovered_modules() -> list[AnyModule]:
    """Return the modules of installed packages; one that cannot be used is logged and left out."""
    found = []
    for entry in entry_points(group=GROUP):
        try:
            found.append(_usable(entry.load()()))
        except Exception:
            logger.exception("a module cannot be used and is left out", extra={"entry_point": entry.value})
    return found


def _usable(module: object) -> AnyModule:
    if not isinstance(module, Module):
        raise TypeError(f"{type(module).__name__} is no subclass of appserver.modules.contract.Module")
    if not TYPE_FORM.fullmatch(module.type):
        raise ValueError(f"{module.type!r} is no type of a module; name it such as weather.report@1")
    # A definition is held against them, and a mistake in them is better found here.
    module.Inputs.model_json_schema()
    module.Outputs.model_json_schema()
    return module
