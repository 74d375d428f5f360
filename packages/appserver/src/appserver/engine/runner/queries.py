"""Named queries: what workflows may ask the database for, each for the run's own owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from pydantic import JsonValue

from appserver.engine.runner.stores import EngineStores

MOST_ROWS = 100

NamedQuery: TypeAlias = Callable[[EngineStores, str, Mapping[str, JsonValue]], Awaitable[JsonValue]]
"""A query of an owner, with its arguments."""


async def _recent_runs(stores: EngineStores, owner_id: str, arguments: Mapping[str, JsonValue]) -> JsonValue:
    project = arguments.get("project")
    found = await stores.runs.page(
        owner_id=owner_id, project=project if isinstance(project, str) else None, limit=_limit(arguments)
    )
    return [{"id": run.id, "project": run.project, "status": run.status.value} for run in found]


async def _recent_contents(stores: EngineStores, owner_id: str, arguments: Mapping[str, JsonValue]) -> JsonValue:
    found = await stores.contents.page(owner_id=owner_id, limit=_limit(arguments))
    return [{"id": one.id, "kind": one.kind.value, "role": one.role, "caption": one.caption} for one in found]


def _limit(arguments: Mapping[str, JsonValue]) -> int:
    asked = arguments.get("limit", 20)
    return min(max(asked, 1), MOST_ROWS) if isinstance(asked, int) else 20


QUERIES: Mapping[str, NamedQuery] = {"recent_runs": _recent_runs, "recent_contents": _recent_contents}
"""The queries of this installation, by name."""
