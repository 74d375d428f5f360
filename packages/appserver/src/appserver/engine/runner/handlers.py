"""Handlers: the tasks of the engine that a host can do."""

from __future__ import annotations

from collections.abc import Iterable

from appdb.host import handler
from appserver.engine.core.engine_tasks import ADVANCE, MODULE_PREFIX, TIMER
from appserver.modules.registry import ModuleRegistry

VERSION = 1


def handlers_of(registry: ModuleRegistry) -> tuple[str, ...]:
    """Return what a host with *registry* can do: every run, every timer, and the modules that it has."""
    return (handler(ADVANCE, VERSION), handler(TIMER, VERSION), *_modules(registry))


def _modules(registry: ModuleRegistry) -> Iterable[str]:
    # The type has its major version as a task has that of its actor: ``name@major``.
    return (f"{MODULE_PREFIX}{module.type}" for module in registry)


def module_type(actor: str, version: int) -> str:
    """Return the module type that a task of the engine is to run."""
    return handler(actor.removeprefix(MODULE_PREFIX), version)
