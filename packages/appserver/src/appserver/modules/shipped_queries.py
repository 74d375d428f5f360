"""The named queries that are shipped, beside those of installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from pydantic import JsonValue

from appdb import ContentRepository, Database, WorkflowRepository
from appserver.modules.queries import NamedQueries, NamedQuery, Rows, discovered_queries

MOST_ROWS = 100
DEFAULT_ROWS = 20
LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": DEFAULT_ROWS}


async def _recent_runs(database: Database, owner_id: str, arguments: Mapping[str, JsonValue]) -> Rows:
    project = arguments.get("project")
    found = await WorkflowRepository(database).page(
        owner_id=owner_id, project=project if isinstance(project, str) else None, limit=_limit(arguments)
    )
    return [{"id": run.id, "project": run.project, "status": run.status.value} for run in found]


async def _recent_contents(database: Database, owner_id: str, arguments: Mapping[str, JsonValue]) -> Rows:
    found = await ContentRepository(database).page(owner_id=owner_id, limit=_limit(arguments))
    return [{"id": one.id, "kind": one.kind.value, "role": one.role, "caption": one.caption} for one in found]


def _limit(arguments: Mapping[str, JsonValue]) -> int:
    limit = arguments.get("limit")
    return limit if isinstance(limit, int) else DEFAULT_ROWS


SHIPPED = (
    NamedQuery(
        name="recent_runs",
        description="The owner's runs, the newest first.",
        arguments={
            "type": "object",
            "properties": {"limit": LIMIT, "project": {"type": "string", "maxLength": 200}},
            "additionalProperties": False,
        },
        run=_recent_runs,
    ),
    NamedQuery(
        name="recent_contents",
        description="The owner's contents, the newest first.",
        arguments={"type": "object", "properties": {"limit": LIMIT}, "additionalProperties": False},
        run=_recent_contents,
    ),
)


@cache
def host_queries() -> NamedQueries:
    """Return what this host offers: the queries of installed packages, and the shipped ones, which win."""
    return NamedQueries([*discovered_queries(), *SHIPPED])
