"""The modules that are shipped, each by its type."""

from __future__ import annotations

from appserver.modules.registry import AnyModule
from appserver.modules.user.form import Form
from appserver.modules.user.pause import Pause
from appserver.modules.user.text_input import TextInput


def builtin_modules() -> list[AnyModule]:
    """Return the modules that are shipped."""
    return [Form(), Pause(), TextInput()]


BUILTIN = frozenset(module.type for module in builtin_modules())
"""Their types: each decides within 50 ms, so a request may run them itself."""
