"""Named queries: what an installed package offers, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from appdb import Database
from appserver.modules.contract import LoadQuery
from appserver.modules.json_schemas import misfits, schema_problems
from appserver.modules.queries import NamedQueries, NamedQuery
from appserver.modules.shipped_queries import SHIPPED, host_queries

SCHEMA = {
    "type": "object",
    "properties": {"kind": {"type": "string"}, "count": {"type": "integer", "minimum": 0}},
    "additionalProperties": False,
}
NO_DATABASE = cast("Database", None)


async def rows(_database: Database, owner_id: str, arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"owner": owner_id, "kind": arguments.get("kind"), "text": "x" * 100}] * int(arguments.get("count", 1))


async def slow(_database: Database, _owner_id: str, _arguments: Mapping[str, Any]) -> list[dict[str, Any]]:
    await asyncio.sleep(60)
    return []


QUERIES = NamedQueries(
    [
        NamedQuery(name="rows", description="Rows.", arguments=SCHEMA, run=rows),
        NamedQuery(name="slow", description="Nothing, late.", arguments={}, run=slow),
    ]
)


async def asked(name: str, **arguments: Any) -> Mapping[str, Any]:
    return await QUERIES.rows(LoadQuery(key="rows", name=name, arguments=arguments), NO_DATABASE, "usr_1")


async def test_rows_are_of_owner() -> None:
    assert (await asked("rows", kind="image"))["rows"] == [{"owner": "usr_1", "kind": "image", "text": "x" * 100}]


@pytest.mark.parametrize("arguments", [{"kind": {"$ne": None}}, {"$where": "1"}, {"kind": ["a"]}])
async def test_operator_is_no_argument(arguments: dict[str, Any]) -> None:
    assert "error" in await asked("rows", **arguments)


async def test_unknown_query_names_known_ones() -> None:
    assert "rows, slow" in (await asked("other"))["error"]


async def test_rows_are_bounded() -> None:
    assert "more than" in (await asked("rows", count=1_001))["error"]


async def test_slow_query_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appserver.modules.queries.TIMEOUT_SECONDS", 0.05)

    assert "longer" in (await asked("slow"))["error"]


async def test_host_offers_shipped_queries() -> None:
    found = await host_queries().rows(LoadQuery(key="rows", name="any"), NO_DATABASE, "usr_1")

    assert "there are recent_contents, recent_runs" in str(found["error"])


@pytest.mark.parametrize("query", SHIPPED, ids=lambda query: query.name)
def test_shipped_query_has_closed_schema(query: NamedQuery) -> None:
    assert schema_problems(query.arguments) == ()
    assert misfits(query.arguments, {"owner_id": "usr_2"})
    assert misfits(query.arguments, {"limit": 101})
