"""The modules that are shipped, each by its type."""

from __future__ import annotations

from appserver.modules.db.query import QueryByName
from appserver.modules.flow.child import Child
from appserver.modules.flow.map import Map
from appserver.modules.flow.signal import FlowSignal
from appserver.modules.flow.wait import FlowWait
from appserver.modules.http.fetch import Fetch
from appserver.modules.io.files import LoadFromFile, Save
from appserver.modules.io.render_template import RenderTemplate
from appserver.modules.io.validate import Validate
from appserver.modules.io.weighted_keywords import WeightedKeywords
from appserver.modules.llm.call import Call
from appserver.modules.media.generate import Generate
from appserver.modules.prompt.build import BuildPrompt
from appserver.modules.registry import AnyModule, ModuleRegistry, discovered_modules
from appserver.modules.task.run import RunTask
from appserver.modules.transform.concat import Concat
from appserver.modules.transform.conditional import Conditional
from appserver.modules.transform.enrich import Enrich
from appserver.modules.transform.extract import Extract
from appserver.modules.transform.parse import Parse
from appserver.modules.transform.query import Query
from appserver.modules.transform.reshape import Reshape
from appserver.modules.user.approve import Approve
from appserver.modules.user.file_input import FileInput
from appserver.modules.user.form import Form
from appserver.modules.user.pause import Pause
from appserver.modules.user.select import Select
from appserver.modules.user.text_input import TextInput

ASKING: tuple[AnyModule, ...] = (Approve(), FileInput(), Form(), Pause(), Select(), TextInput())
FLOWING: tuple[AnyModule, ...] = (Child(), Map(), FlowSignal(), FlowWait())
KEEPING: tuple[AnyModule, ...] = (
    LoadFromFile(),
    QueryByName(),
    RenderTemplate(),
    Save(),
    Validate(),
    WeightedKeywords(),
)
MAKING: tuple[AnyModule, ...] = (
    BuildPrompt(),
    Concat(),
    Conditional(),
    Enrich(),
    Extract(),
    Parse(),
    Query(),
    Reshape(),
)
WORKING: tuple[AnyModule, ...] = (Call(), Fetch(), Generate(), RunTask())


def builtin_modules() -> list[AnyModule]:
    """Return the modules that are shipped."""
    return [*ASKING, *FLOWING, *KEEPING, *MAKING, *WORKING]


BUILTIN = frozenset(module.type for module in builtin_modules())
"""Their types: each decides within 50 ms, so a request may run them itself."""


def host_registry() -> ModuleRegistry:
    """Return what this host offers: the modules of installed packages, and the shipped ones, which win."""
    registry = ModuleRegistry([*discovered_modules(), *builtin_modules()], inline=BUILTIN)
    for module in registry:
        # Made now and kept; all of them together would hold up the first request that asks for them.
        module.Inputs.model_json_schema()
        module.Outputs.model_json_schema()
    return registry
