"""Values for methods that store: each is refused before anything is written, or all of it can be read."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from appdb import AppDbError, Database, uuid7_str
from appdb._driver import RawDocument
from appdb.unreadable import READERS
from appsupport.mongo.shared_database import empty, migrated_database
from appsupport.scenarios.scenario import Scenario, Stage, hostile_json
from appsupport.scenarios.table import SCENARIOS, TEXTS, made_for

TRIES = 10
MISTAKES = (ValueError, TypeError)
"""What a caller's mistake may raise beside our errors."""
DEEP: Any = "deep"
for _ in range(80):
    DEEP = [DEEP]
HOSTILE: dict[str, tuple[Any, ...]] = {
    "text": ("", "a\x00b", "a\x1fb", "a\nb", "\ud800", "x" * 201, "x" * 70_000, "$$NOW", "a.b", "\u202eabc", "é" * 200),
    "number": (-1, 0, 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64, 0.5, 1.5, math.nan, math.inf, -math.inf, True, 1e300),
    "time": (timedelta.max, timedelta.min, timedelta(0), timedelta(microseconds=1), timedelta(days=40_000)),
    "moment": (datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC), datetime(2026, 1, 1)),  # noqa: DTZ001
    "amount": (Decimal("NaN"), Decimal(-1), Decimal("1E+30"), Decimal("1E-30"), Decimal("0.1")),
    "json": (
        {"a": math.nan},
        {"a": DEEP},
        {"a\x00": 1},
        {1: 2},
        {"a": b"b"},
        {"a": 2**64},
        {"a": datetime(2026, 1, 1, tzinfo=UTC)},
        {"$ref": "a", "$id": 1, "$db": None},
        hostile_json("a"),
        {"a": (1, 2)},
    ),
    "other": (None, b"bytes", [], {}, object(), [1], ["a\x00"], (1, "a")),
}
ANYTHING = tuple(value for values in HOSTILE.values() for value in values)
Path = tuple[int | str, ...]


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the places of *value* that can be another one: each part of each new value, at any depth."""
    if path and not isinstance(value, BaseModel) and not dataclasses.is_dataclass(value):
        yield path
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from paths(getattr(value, field.name), (*path, field.name))
    elif isinstance(value, Mapping) and not path:
        for name, part in value.items():
            yield from paths(part, (name,))
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from paths(part, (*path, place))


def changed(value: Any, path: Path, other: object) -> Any:
    """Return *value* with *other* at *path*."""
    if not path:
        return other
    first, rest = path[0], path[1:]
    if isinstance(first, int):
        return type(value)(changed(part, rest, other) if at == first else part for at, part in enumerate(value))
    if isinstance(value, Mapping):
        return {**value, first: changed(value[first], rest, other)}
    return dataclasses.replace(value, **{first: changed(getattr(value, first), rest, other)})


class Tampered:
    """A repository of which one method gets one of its arguments, or a part of it, replaced."""

    def __init__(self, repository: Any, method: str, choose: st.DataObject) -> None:
        self._repository, self._method, self._choose = repository, method, choose

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._repository, name)
        return self._tampered(method) if name == self._method else method

    def _tampered(self, method: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            bound = inspect.signature(method).bind(*args, **named)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if name != "session"}
            place = self._choose.draw(st.sampled_from(list(paths(given))), label="place")
            other = self._choose.draw(st.sampled_from(ANYTHING), label="value")
            tampered = changed(given, place, other)
            return method(**tampered)

        return call


async def everything(database: Database) -> dict[str, dict[str, RawDocument]]:
    names = await database.raw.list_collection_names()
    found = {name: {str(row["_id"]): row async for row in database.collection(name).find()} for name in sorted(names)}
    return {name: rows for name, rows in found.items() if rows}


def read(collection: str, row: RawDocument) -> None:
    """Read a document as a repository does."""
    if (reader := READERS.get(collection)) is not None and row["_id"] != "contract":
        reader(row)


async def tried(database: Database, scenario: Scenario, choose: st.DataObject) -> None:
    owner = uuid7_str("usr_")
    made = await scenario.prepare(Stage(database=database, owner=owner))
    before = await everything(database)
    tampered = Tampered(made_for(scenario, database), scenario.method.partition(".")[2], choose)
    try:
        called = scenario.call(tampered, made, owner)
        await called
        refused = False
    except (AppDbError, *MISTAKES):
        refused = True
    after = await everything(database)

    assert not refused or after == before, "it was refused, and something was written"
    for collection, rows in after.items():
        for key, row in rows.items():
            if before.get(collection, {}).get(key) != row:
                read(collection, row)


STORING = sorted(name for name, scenario in SCENARIOS.items() if scenario.method in TEXTS)


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def database(runner: asyncio.Runner, mongo_uri: str) -> Iterator[Database]:
    with migrated_database(mongo_uri) as name:
        database = Database(mongo_uri, name)
        runner.run(database.open())
        yield database
        runner.run(database.close())


@pytest.mark.parametrize("name", STORING)
def test_stored_values_are_readable_refused_ones_absent(name: str, runner: asyncio.Runner, database: Database) -> None:
    @settings(
        phases=[Phase.generate],
        max_examples=TRIES,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
    )
    @given(st.data())
    def check(choose: st.DataObject) -> None:
        runner.run(tried(database, SCENARIOS[name], choose))

    check()
    runner.run(empty(database))
