"""The registry: the module types that this host offers, its own and those of installed packages."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from appserver.modules.contract import Module

logger = logging.getLogger(__name__)

GROUP = "appserver.modules"
"""The entry point group; each entry names a subclass of ``Module``."""
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
    """Return the modules of installed packages; one that cannot be loaded is logged and left out."""
    found = []
    for entry in entry_points(group=GROUP):
        try:
            found.append(entry.load()())
        except Exception:
            logger.exception("a module cannot be loaded and is left out", extra={"entry_point": entry.value})
    return found
