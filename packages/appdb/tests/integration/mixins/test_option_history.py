"""Options that users had before: counted, weighed by the database's clock, forgotten when their weight is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from random import Random
from typing import Any

import pytest

from appdb import Database, InvalidDataError, TooLargeError
from appdb._driver import Session
from appdb.models import UsedKeyword, WeightedKeyword

OWNER, TEMPLATE = "usr_a", "tpl_a"
WHERE: dict[str, Any] = {"owner_id": OWNER, "template_id": TEMPLATE}
MODULE: dict[str, Any] = {**WHERE, "step_id": "style", "module": "select"}
DAY = timedelta(days=1)
AGES = timedelta(days=365 * 1000)
"""A half-life in which nothing decays while a test runs."""
HOSTILE = ["$inc", "a.b", "$$NOW", "$count", '{"$ne": 1}', "", "\x00", "a\x00b", "é" * 100, "__proto__", "use_id"]


async def age(database: Database, collection: str, days: float) -> None:
    """Let *days* pass for everything in *collection*."""
    back = {"$subtract": ["$last_used_at", int(days * 86_400_000)]}
    await database.collection(collection).update_many({}, [{"$set": {"last_used_at": back}}])


async def weights(database: Database, half_life: timedelta = AGES, **more: Any) -> dict[str, float]:
    found = await database.list_keywords(**WHERE, half_life=half_life, **more)
    return {one.keyword: one.weight for one in found}


async def test_options_are_counted_latest_first(database: Database) -> None:
    await database.use_options(["red", "blue"], **MODULE)
    await age(database, "option_usage", 1)
    await database.use_options(["blue", "blue"], **MODULE)
    await database.use_options(["green"], **{**MODULE, "module": "form"})

    usage = await database.list_option_usage(**MODULE)

    assert [(one.option, one.count) for one in usage] == [("blue", 2), ("red", 1)]
    assert usage[0].last_used_at > usage[1].last_used_at
    assert [one.option for one in await database.list_option_usage(**MODULE, limit=1)] == ["blue"]


async def test_repeated_use_counts_once_among_others(database: Database) -> None:
    uses = [f"evt_{number}" for number in range(10)]
    Random(7).shuffle(again := uses * 3)
    for use_id in uses + again:
        await database.use_options(["red"], **MODULE, use_id=use_id)
        await database.use_keywords([UsedKeyword(keyword="fog")], **WHERE, half_life=AGES, use_id=use_id)
    (option,) = await database.list_option_usage(**MODULE)
    (keyword,) = await database.list_keywords(**WHERE, half_life=AGES)

    assert (option.count, round(keyword.weight)) == (10, 10)


async def test_at_most_hundred_uses_per_option_are_kept(database: Database) -> None:
    for number in range(102):
        await database.use_options(["red"], **MODULE, use_id=f"evt_{number}")
    for use_id in ("evt_2", "evt_101"):
        await database.use_options(["red"], **MODULE, use_id=use_id)
    row = await database.collection("option_usage").find_one({}) or {}
    # A host of an older release remembers the last one alone.
    await database.collection("option_usage").update_one({}, {"$set": {"use_id": "evt_old"}})
    await database.use_options(["red"], **MODULE, use_id="evt_old")

    assert (row["count"], len(row["use_ids"])) == (102, 100)
    assert [one.count for one in await database.list_option_usage(**MODULE)] == [102]


async def test_repeated_use_counts_once(database: Database) -> None:
    for use_id in ("evt_1", "evt_1", "evt_2", "evt_2"):
        await database.use_options(["red"], **MODULE, use_id=use_id)
        await database.use_keywords([UsedKeyword(keyword="fog")], **WHERE, half_life=AGES, use_id=use_id)

    assert [one.count for one in await database.list_option_usage(**MODULE)] == [2]
    assert await weights(database) == {"fog": pytest.approx(2)}


async def test_history_belongs_to_owner(database: Database) -> None:
    other = {**WHERE, "owner_id": "usr_b"}
    await database.use_options(["red"], **MODULE)
    await database.use_keywords([UsedKeyword(keyword="fog")], **WHERE, half_life=DAY)
    await age(database, "option_usage", 100)
    await age(database, "weighted_keywords", 100)

    assert await database.list_option_usage(**{**MODULE, "owner_id": "usr_b"}) == []
    assert await database.list_keywords(**other, half_life=DAY) == []
    assert await database.prune_option_usage(**other, unused_for=DAY) == 0
    assert await database.prune_keywords(**other, half_life=DAY) == 0
    assert await database.prune_option_usage(**WHERE, unused_for=DAY) == 1
    assert await database.prune_keywords(**WHERE, half_life=DAY) == 1


async def test_long_unused_options_are_forgotten(database: Database) -> None:
    await database.use_options(["old"], **MODULE)
    await age(database, "option_usage", 10)
    await database.use_options(["new"], **MODULE)

    assert await database.prune_option_usage(**WHERE, unused_for=9 * DAY) == 1
    assert [one.option for one in await database.list_option_usage(**MODULE)] == ["new"]


async def test_weight_halves_every_half_life(database: Database) -> None:
    await database.use_keywords([UsedKeyword(keyword="fog", weight=8)], **WHERE, half_life=DAY)
    await age(database, "weighted_keywords", 2)

    assert await weights(database, DAY) == {"fog": pytest.approx(2, rel=0.01)}
    assert await weights(database, 2 * DAY) == {"fog": pytest.approx(4, rel=0.01)}
    await database.use_keywords([UsedKeyword(keyword="fog", weight=1)], **WHERE, half_life=DAY)
    assert await weights(database, DAY) == {"fog": pytest.approx(3, rel=0.01)}
    await age(database, "weighted_keywords", 100_000)
    assert await weights(database, timedelta(seconds=1)) == {"fog": 0}


async def test_clock_behind_makes_nothing_heavier(database: Database) -> None:
    await database.use_keywords([UsedKeyword(keyword="fog", weight=8)], **WHERE, half_life=DAY)
    await age(database, "weighted_keywords", -3)

    assert await weights(database, DAY) == {"fog": 8}


async def test_heaviest_come_first_whenever_used(database: Database) -> None:
    heavy = [UsedKeyword(keyword="storm", weight=16), UsedKeyword(keyword="rain", weight=2)]
    await database.use_keywords(heavy, **WHERE, half_life=DAY)
    await age(database, "weighted_keywords", 2)
    light = [UsedKeyword(keyword="fog", weight=1), UsedKeyword(keyword="sun", category="light", weight=50)]
    await database.use_keywords(light, **WHERE, half_life=DAY)

    assert list(await weights(database, DAY)) == ["storm", "fog", "rain"]
    assert list(await weights(database, DAY, limit=2)) == ["storm", "fog"]
    assert list(await weights(database, DAY, category="light")) == ["sun"]


async def test_fully_decayed_option_is_forgotten(database: Database) -> None:
    await database.use_keywords(
        [UsedKeyword(keyword="storm", weight=1000), UsedKeyword(keyword="fog")], **WHERE, half_life=DAY
    )
    await age(database, "weighted_keywords", 7)

    assert await database.prune_keywords(**WHERE, half_life=DAY) == 1
    assert list(await weights(database, DAY)) == ["storm"]
    assert await database.prune_keywords(**WHERE, half_life=DAY, lighter_than=10) == 1
    assert await weights(database, DAY) == {}


async def test_details_are_of_last_use(database: Database) -> None:
    details: dict[str, Any] = {"source": "$$NOW", "a.b": {"$inc": [1]}, "ref": {"$ref": "a", "$id": 1}}
    await database.use_keywords([UsedKeyword(keyword="fog", details={"old": 1})], **WHERE, half_life=DAY)
    await database.use_keywords([UsedKeyword(keyword="fog", details=details)], **WHERE, half_life=DAY)

    found = await database.list_keywords(**WHERE, half_life=DAY)

    assert [one.details for one in found] == [details]


@pytest.mark.parametrize("text", HOSTILE)
async def test_any_user_text_is_value(database: Database, text: str) -> None:
    owner = {"owner_id": text} if text.isprintable() and text else {}  # other texts are no ids
    module: dict[str, Any] = MODULE | {name: text for name in MODULE if name != "owner_id"} | owner
    where: dict[str, Any] = WHERE | {name: text for name in WHERE if name != "owner_id"} | owner
    used = [UsedKeyword(keyword=text, category=text, details={"a": text})]
    for _ in range(2):
        await database.use_options([text, "x"], **module)
        await database.use_keywords(used, **where, half_life=AGES)

    usage = {one.option: one.count for one in await database.list_option_usage(**module)}
    keywords = await database.list_keywords(**where, half_life=AGES, category=text)
    assert usage == {text: 2, "x": 2}
    assert [(one.keyword, one.details) for one in keywords] == [(text, {"a": text})]
    assert keywords[0].weight == pytest.approx(2)


async def test_texts_joining_alike_stay_apart(database: Database) -> None:
    for category, keyword in (("a", "b\x00c"), ("a\x00b", "c"), ('a", "b', "c")):
        await database.use_keywords([UsedKeyword(keyword=keyword, category=category)], **WHERE, half_life=DAY)

    assert await database.collection("weighted_keywords").count_documents({}) == 3


async def test_unusable_option_is_refused(database: Database) -> None:
    fine = UsedKeyword(keyword="fine")
    bad: list[list[UsedKeyword]] = [
        [UsedKeyword(keyword="a", weight=weight)] for weight in (0, -1, float("nan"), float("inf"), 1_000_001)
    ]
    bad += [[fine], [UsedKeyword(keyword="\ud800")], [UsedKeyword(keyword="a", details={"a\x00": 1})]]
    bad += [[UsedKeyword(keyword="x" * 4096)], [UsedKeyword(keyword=f"{number}") for number in range(1000)]]
    for keywords in bad:
        with pytest.raises(InvalidDataError):
            await database.use_keywords([fine, *keywords], **WHERE, half_life=DAY)
    for half_life in (timedelta(0), timedelta(milliseconds=1)):
        with pytest.raises(InvalidDataError, match="half_life"):
            await database.use_keywords([fine], **WHERE, half_life=half_life)
    with pytest.raises(TooLargeError, match=r"^option: "):
        await database.use_options(["fine", "x" * 4096], **MODULE)

    assert await database.collection("weighted_keywords").count_documents({}) == 0
    assert await database.collection("option_usage").count_documents({}) == 0
    await database.use_options([], **MODULE)


async def test_concurrent_uses_all_count(database: Database, mongo_uri: str) -> None:
    def one(host: Database) -> list[Callable[[], Awaitable[None]]]:
        words = [UsedKeyword(keyword=word, weight=0.5) for word in ("fog", "rain")]
        return [
            lambda: host.use_keywords(words, **WHERE, half_life=AGES),
            lambda: host.use_options(["red", "blue"], **MODULE),
        ]

    async with Database(mongo_uri, database.name) as other:
        for _ in range(50):
            await asyncio.gather(*(call() for host in (database, other) for call in one(host)))

    assert {row.option: row.count for row in await database.list_option_usage(**MODULE)} == {"red": 100, "blue": 100}
    # In a thousand years' half-life, the seconds of this test cost less than the tolerance.
    assert await weights(database) == {"fog": pytest.approx(50, abs=1e-6), "rain": pytest.approx(50, abs=1e-6)}


async def test_concurrent_new_options_are_made_once(database: Database, mongo_uri: str) -> None:
    async with Database(mongo_uri, database.name) as other:
        for number in range(50):
            names = [f"{number} {part}" for part in range(5)]
            await asyncio.gather(*(host.use_options(names, **MODULE) for host in (database, other, database, other)))

    usage = await database.list_option_usage(**MODULE, limit=1000)
    assert len(usage) == 250
    assert {one.count for one in usage} == {4}


async def test_history_joins_transaction(database: Database) -> None:
    async def body(session: Session) -> list[WeightedKeyword]:
        await database.use_options(["red"], **MODULE, session=session)
        await database.use_keywords([UsedKeyword(keyword="fog")], **WHERE, half_life=DAY, session=session)
        return await database.list_keywords(**WHERE, half_life=DAY, session=session)

    async def failing(session: Session) -> None:
        await body(session)
        raise KeyError("changed my mind")

    with pytest.raises(KeyError):
        await database.transaction(failing)
    assert await database.list_option_usage(**MODULE) == []
    assert [one.keyword for one in await database.transaction(body)] == ["fog"]
    assert len(await database.list_option_usage(**MODULE)) == 1
