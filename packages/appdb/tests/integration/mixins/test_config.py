"""Settings: typed, merged with what newer releases store, and written only over what was read."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, assert_type

import pytest
from pydantic import BaseModel, Field, RootModel, field_serializer

from appdb import ConflictError, Database, InvalidDataError, NotFoundError, TooLargeError
from appdb._driver import Session
from appdb.models import Setting

HOSTILE = ["$ne", "a.b", "$$NOW", "$$ROOT", '{"$gt": ""}', "contract", "migrations", "$value"]


class Rate(BaseModel):
    calls: int
    per: timedelta = timedelta(minutes=1)


class Limits(BaseModel):
    size: Annotated[int, Field(gt=0)] = 1
    label: str = Field(default="x", alias="$label.text")
    rate: Rate = Rate(calls=1)
    by_user: dict[str, int] = {}
    since: datetime = datetime(2026, 1, 1, tzinfo=UTC)


class Perhaps(BaseModel):
    size: float | None


class Unreadable(BaseModel):
    """It does not take what it gives."""

    size: int

    @field_serializer("size")
    def _as_text(self, size: int) -> str:
        return "x" * size


UNREADABLE = [
    math.nan,
    math.inf,
    [1, math.nan],
    Perhaps(size=math.nan),
    Unreadable(size=1),
    {"a": b"\xff"},
    object(),
    2**64,
]


async def test_setting_is_read_as_written(database: Database) -> None:
    limits = Limits.model_validate({"$label.text": "$$NOW", "by_user": {"$inc": 1, "a.b": 2}, "rate": {"calls": 9}})
    written = await database.set_config("engine", "limits", limits)
    setting = await database.read_config("engine", "limits", as_type=Limits)

    assert written == setting
    assert_type(setting, Setting[Limits])
    assert (setting.type, setting.name, setting.value, setting.revision) == ("engine", "limits", limits, 1)
    assert await database.get_config("engine", "limits", as_type=Limits) == limits
    assert (await database.set_config("engine", "limits", limits)).revision == 2


@pytest.mark.parametrize(
    "value", [1, 1.5, True, None, "$$NOW", ["$set", {"$ref": "a", "$id": 1}], {"a.b": {"$inc": 1}}]
)
async def test_any_json_can_be_value(database: Database, value: Any) -> None:
    await database.set_config("kind", "name", {"before": 1})
    await database.set_config("kind", "name", value)

    assert await database.get_config("kind", "name", as_type=type(value)) == value
    assert [one.value for one in await database.list_config("kind")] == [value]


async def test_missing_setting_is_default_or_error(database: Database) -> None:
    found = await database.get_config("engine", "limits", as_type=Limits, default=None)

    assert_type(found, Limits | None)
    assert found is None
    with pytest.raises(NotFoundError, match="no setting 'engine/limits'"):
        await database.get_config("engine", "limits", as_type=Limits)
    with pytest.raises(NotFoundError):
        await database.read_config("engine", "limits", as_type=Limits)


async def test_newer_releases_fields_survive(database: Database) -> None:
    await database.set_config("engine", "limits", Limits(by_user={"a": 1}))
    newer = {"value.newer": 1, "value.rate.newer": {"$x": 2}, "above": 3}
    settings = database.collection("config")
    await settings.update_one({"type": "engine"}, [{"$set": {key: {"$literal": one} for key, one in newer.items()}}])

    await database.set_config("engine", "limits", Limits(size=7, by_user={"b": 1}))

    row = await settings.find_one({"type": "engine"})
    assert row is not None
    assert (row["value"]["newer"], row["value"]["rate"]["newer"], row["above"]) == (1, {"$x": 2}, 3)
    assert (row["value"]["size"], row["value"]["by_user"]) == (7, {"b": 1})


async def test_value_of_wrong_type_is_named(database: Database) -> None:
    await database.set_config("engine", "limits", {"size": -1})

    with pytest.raises(InvalidDataError, match=r"setting engine/limits: its value is not what this code reads"):
        await database.get_config("engine", "limits", as_type=Limits)


@pytest.mark.parametrize("value", UNREADABLE, ids=lambda value: type(value).__name__)
async def test_value_that_cannot_be_read_back_refused(database: Database, value: object) -> None:
    first = await database.set_config("engine", "limits", 5.0)
    with pytest.raises(InvalidDataError):
        await database.set_config("engine", "limits", value)

    assert await database.read_config("engine", "limits", as_type=float) == first


@pytest.mark.parametrize("bad", ["", "a\x00b", "a\nb", "\ud800", "x" * 101])
async def test_setting_names_are_printable(database: Database, bad: str) -> None:
    with pytest.raises(InvalidDataError, match="type: write 1 to 100"):
        await database.set_config(bad, "name", 1)
    with pytest.raises(InvalidDataError, match="name: write 1 to 100"):
        await database.get_config("type", bad, as_type=int, default=1)


async def test_unstorable_value_is_refused(database: Database) -> None:
    for value in (object(), {"a": "\ud800"}, {"a\x00": 1}, {"a": 2**70}):
        with pytest.raises(InvalidDataError, match="setting type/name"):
            await database.set_config("type", "name", value)
    with pytest.raises(TooLargeError, match="over the limit of 262,144 bytes"):
        await database.set_config("type", "name", "x" * 262_144)

    assert await database.list_config("type") == []


async def test_setting_is_replaced_only_at_read_revision(database: Database) -> None:
    await database.set_config("engine", "limits", 1, revision=0)
    with pytest.raises(ConflictError, match="not at revision 0 any more; read it again"):
        await database.set_config("engine", "limits", 2, revision=0)
    read = await database.read_config("engine", "limits", as_type=int)
    await database.set_config("engine", "limits", 3, revision=read.revision)
    with pytest.raises(ConflictError):
        await database.set_config("engine", "limits", 4, revision=read.revision)
    with pytest.raises(ConflictError):
        await database.delete_config("engine", "limits", revision=read.revision)
    with pytest.raises(ConflictError):
        await database.set_config("engine", "missing", 4, revision=7)

    assert await database.get_config("engine", "limits", as_type=int) == 3
    assert await database.delete_config("engine", "limits", revision=2)
    assert not await database.delete_config("engine", "limits", revision=2)
    assert not await database.delete_config("engine", "limits")


async def test_concurrent_writers_of_revision_conflict(database: Database, mongo_uri: str) -> None:
    async with Database(mongo_uri, database.name) as other:
        for number in range(50):
            tried = await asyncio.gather(
                *(host.set_config("race", "count", number, revision=number) for host in (database, other)),
                return_exceptions=True,
            )
            assert [type(one) for one in tried if not isinstance(one, Setting)] == [ConflictError]

        adding = [_increment(host) for host in (database, other) for _ in range(10)]
        await asyncio.gather(*adding)

    assert await database.get_config("race", "sum", as_type=int) == 20


async def _increment(database: Database) -> None:
    while True:
        try:
            read = await database.read_config("race", "sum", as_type=int)
            value, revision = read.value, read.revision
        except NotFoundError:
            value, revision = 0, 0
        try:
            await database.set_config("race", "sum", value + 1, revision=revision)
            return
        except ConflictError:
            continue


async def test_settings_of_type_are_paged_by_name(database: Database) -> None:
    for name in ("b", "a", "d", "c"):
        await database.set_config("engine", name, name.upper())
    await database.set_config("other", "z", 1)

    first = await database.list_config("engine", limit=3)
    rest = await database.list_config("engine", after=first[-1].name)

    assert [one.value for one in [*first, *rest]] == ["A", "B", "C", "D"]


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_setting_name_is_only_name(database: Database, text: str) -> None:
    version = await database.contract_version()
    await database.set_config(text, text, text)

    assert await database.get_config(text, text, as_type=str) == text
    assert [one.name for one in await database.list_config(text)] == [text]
    assert await database.delete_config(text, text)
    assert await database.contract_version() == version


async def test_contract_is_out_of_reach(database: Database) -> None:
    before = await database.collection("config").find_one({"_id": "contract"})
    with pytest.raises(NotFoundError):
        await database.get_config("contract", "contract", as_type=int)
    await database.set_config("contract", "contract", 99)

    assert await database.collection("config").find_one({"_id": "contract"}) == before
    assert await database.collection("config").count_documents({}) == 2


async def test_settings_join_transaction(database: Database) -> None:
    async def body(session: Session) -> None:
        await database.set_config("engine", "limits", 1, revision=0, session=session)
        assert await database.get_config("engine", "limits", as_type=int, session=session) == 1
        raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        await database.transaction(body)
    assert await database.list_config("engine") == []


class Numbers(RootModel[dict[str, int]]):
    """A model that is no record: what it holds has no names that code knows."""


async def test_mapping_is_replaced_whole(database: Database) -> None:
    await database.set_config("engine", "numbers", Numbers({"a": 1, "b": 2}))
    await database.set_config("engine", "numbers", Numbers({"b": 3}))

    assert await database.get_config("engine", "numbers", as_type=Numbers) == Numbers({"b": 3})
