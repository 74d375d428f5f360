"""The modules that are shipped, each by its type."""

from __future__ import annotations

from appserver.modules.flow.child import Child
from appserver.modules.flow.map import Map
from appserver.modules.flow.signal import Signal
from appserver.modules.flow.wait import Wait
from appserver.modules.registry import AnyModule, ModuleRegistry, discovered_modules
from appserver.modules.user.form import Form
from appserver.modules.user.pause import Pause
from appserver.modules.user.text_input import TextInput


def builtin_modules() -> list[AnyModule]:
    """Return the modules that are shipped."""
    return [Child(), Form(), Map(), Pause(), Signal(), TextInput(), Wait()]


BUILTIN = frozenset(module.type for module in builtin_modules())
"""Their types: each decides within 50 ms, so a request may run them itself."""


def host_registry() -> ModuleRegistry:
    """Return what this host offers: the modules of installed packages, and the shipped ones, which win."""
    return ModuleRegistry([*discovered_modules(), *builtin_modules()], inline=BUILTIN)
