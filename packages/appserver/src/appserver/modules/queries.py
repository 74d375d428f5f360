"""Named queries: what workflows of this installation may ask the database, offered by installed packages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeAlias

from pydantic import JsonValue

from appdb import Database
from appserver.modules.contract import LoadQuery
from appserver.modules.json_schemas import misfits, schema_problems
from appserver.modules.plain import MAX_VALUES, is_json, plain, weight

logger = logging.getLogger(__name__)

GROUP = "appserver.queries"
"""The entry point group; each entry names a ``NamedQuery``."""
MAX_ROWS = 1_000
TIMEOUT_SECONDS = 5.0
Rows: TypeAlias = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedQuery:
    """
    A query that workflows may ask by its name.

    Args:
        name: Its name, such as ``recent_contents``.
        description: What it gives, in one line.
        arguments: The JSON Schema of its arguments: a closed object.
        run: The query: of the database, the owner of the run, and the checked arguments. It must see the owner's
            documents alone, and put arguments in the places of values only.
    """

    name: str
    description: str
    arguments: Mapping[str, Any]
    run: Callable[[Database, str, Mapping[str, JsonValue]], Awaitable[Rows]]


class NamedQueries:
    """The named queries that this host offers, by their names."""

    def __init__(self, queries: Iterable[NamedQuery] = ()) -> None:
        self._queries = {query.name: query for query in queries}

    async def rows(self, request: LoadQuery, database: Database, owner_id: str) -> dict[str, JsonValue]:
        """Return what ``LoadQuery`` promises: ``{rows}``, or ``{error}`` where the query cannot be asked."""
        query = self._queries.get(request.name)
        if query is None:
            return {"error": f"there is no such query; there are {', '.join(sorted(self._queries)) or 'none'}"}
        if problems := misfits(query.arguments, dict(request.arguments)):
            return {"error": "; ".join(f"{problem.pointer or 'arguments'}: {problem.message}" for problem in problems)}
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                rows = plain(await query.run(database, owner_id, request.arguments))
        except TimeoutError:
            return {"error": f"it took longer than {TIMEOUT_SECONDS:g} s"}
        return _checked(rows)


def _checked(rows: Any) -> dict[str, JsonValue]:
    if not isinstance(rows, list) or not is_json(rows):
        return {"error": "it gave something else than JSON rows"}
    if len(rows) > MAX_ROWS or weight(rows, MAX_VALUES) > MAX_VALUES:
        return {"error": f"it gave more than {MAX_ROWS:,} rows or {MAX_VALUES:,} values; ask for less"}
    return {"rows": rows}


def discovered_queries() -> list[NamedQuery]:
    """Return the queries of installed packages; one that cannot be used is logged and left out."""
    found: list[NamedQuery] = []
    for entry in entry_points(group=GROUP):
        try:
            query = entry.load()
        except Exception:
            logger.exception("a query cannot be loaded and is left out", extra={"entry_point": entry.value})
            continue
        if isinstance(query, NamedQuery) and not schema_problems(query.arguments):
            found.append(query)
        else:
            logger.error("a query is left out: it is no NamedQuery with a schema", extra={"entry_point": entry.value})
    return found
