"""TokenRepository against a real server: every call once, and sums that are exact."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appdb import (
    ConflictError,
    Database,
    InvalidDataError,
    NotFoundError,
    TokenRepository,
    TooLargeError,
    WorkflowRepository,
)
from appdb._queries import tokens as queries
from appdb.models import NewUsage, UsageFilter, UsageTotals
from appsupport.runs.run_repositories import open_run

OWNER, OTHER = "usr_a", "usr_b"
HOSTILE = ["$lease.token", "$$NOW", "a.b", "", "😀", "\x00\x01", "{$gt: ''}", "$where"]


@pytest.fixture
async def tokens(database: Database) -> TokenRepository:
    await open_run(database, "wf_1")
    return TokenRepository(database)


def usage(**more: Any) -> NewUsage:
    given: dict[str, Any] = {"provider": "p", "model": "m", "operation": "chat", "cost": Decimal("0.1")}
    return NewUsage(**given | more)


async def test_record_repeated_with_id_is_not_doubled(tokens: TokenRepository) -> None:
    one = usage(cost=Decimal("0.3"), input_tokens=10, output_tokens=5)
    first, *others = await asyncio.gather(*[tokens.record(one, owner_id=OWNER) for _ in range(8)])
    other: list[dict[str, Any]] = [{"cost": Decimal(9)}, {"input_tokens": 11}, {"model": "n"}]
    for changes in other:
        with pytest.raises(ConflictError, match=f"{one.id}: it was recorded with other data"):
            await tokens.record(replace(one, **changes), owner_id=OWNER)
    totals = await tokens.totals(owner_id=OWNER)

    assert others == [first] * len(others)
    assert (totals.user.calls, totals.user.cost) == (1, Decimal("0.3"))
    assert (totals.user.input_tokens, totals.user.output_tokens) == (10, 5)


async def test_taken_usage_id_is_refused(tokens: TokenRepository) -> None:
    one = usage()
    await tokens.record(one, owner_id=OWNER)
    with pytest.raises(ConflictError, match=one.id):
        await tokens.record(one, owner_id=OTHER)

    assert await tokens.totals(owner_id=OTHER) == UsageTotals()
    assert (await tokens.totals(owner_id=OWNER)).user.calls == 1


async def test_totals_are_exact_and_consistent(tokens: TokenRepository) -> None:
    rng = random.Random(7)
    made = [
        usage(
            provider=f"p{rng.randrange(2)}",
            model=f"m{rng.randrange(3)}",
            step_id=rng.choice([None, "s1", "s2"]),
            run_id=rng.choice([None, "wf_1"]),
            cost=Decimal(rng.randrange(10**15)).scaleb(-12),
            units=Decimal(rng.randrange(1000)).scaleb(-1),
            input_tokens=rng.randrange(10**6),
        )
        for _ in range(200)
    ]
    await asyncio.gather(*[tokens.record(one, owner_id=OWNER) for one in made])
    await tokens.record(usage(cost=Decimal(999)), owner_id=OTHER)
    totals = await tokens.totals(owner_id=OWNER)
    of_run = await tokens.totals(owner_id=OWNER, wanted=UsageFilter(run_id="wf_1"))

    exact = sum((one.cost for one in made), Decimal(0))
    assert totals.user.cost == exact
    assert totals.user.units == sum(one.units for one in made)
    assert totals.user.input_tokens == sum(one.input_tokens for one in made)
    for part in (totals.by_provider, totals.by_model, totals.by_step):
        assert sum((row.cost for row in part), Decimal(0)) == exact
        assert sum(row.calls for row in part) == 200
        assert [row.cost for row in part] == sorted((row.cost for row in part), reverse=True)
    assert len(totals.by_model) == 6
    assert {row.step_id for row in totals.by_step} == {None, "s1", "s2"}
    assert of_run.user.cost == sum(one.cost for one in made if one.run_id)


async def test_decimal_sums_lose_nothing(tokens: TokenRepository) -> None:
    for cost in [*["0.1"] * 10, "0.000000000001", "1000000000"]:
        await tokens.record(usage(cost=Decimal(cost)), owner_id=OWNER)

    assert (await tokens.totals(owner_id=OWNER)).user.cost == Decimal("1000000001.000000000001")


async def test_no_calls_cost_nothing(tokens: TokenRepository) -> None:
    assert await tokens.totals(owner_id=OWNER) == UsageTotals()
    assert await tokens.page(owner_id=OWNER) == []


async def test_time_range_includes_start_excludes_end(tokens: TokenRepository) -> None:
    rows = []
    for _ in range(4):
        rows.append(await tokens.record(usage(), owner_id=OWNER))
        await asyncio.sleep(0.005)
    wanted = UsageFilter(since=rows[1].created_at, until=rows[3].created_at)
    found = await tokens.page(owner_id=OWNER, wanted=wanted)

    assert [row.id for row in found] == [rows[2].id, rows[1].id]
    assert (await tokens.totals(owner_id=OWNER, wanted=wanted)).user.calls == 2
    nothing = UsageFilter(until=rows[0].created_at - timedelta(days=1))
    assert (await tokens.totals(owner_id=OWNER, wanted=nothing)).user.calls == 0


@pytest.mark.parametrize("run_id", [None, "wf_1"])
async def test_pages_hold_every_call_once_newest_first(tokens: TokenRepository, run_id: str | None) -> None:
    made = await asyncio.gather(*[tokens.record(usage(run_id=run_id), owner_id=OWNER) for _ in range(17)])
    wanted = UsageFilter(run_id=run_id, since=min(row.created_at for row in made))
    seen: list[str] = []
    while page := await tokens.page(owner_id=OWNER, wanted=wanted, limit=5, before=seen[-1] if seen else None):
        seen += [row.id for row in page]

    assert seen == [row.id for row in sorted(made, key=lambda row: (row.created_at, row.id), reverse=True)]


async def test_another_owner_sees_nothing(tokens: TokenRepository) -> None:
    row = await tokens.record(usage(run_id="wf_1"), owner_id=OWNER)
    with pytest.raises(NotFoundError):
        await tokens.page(owner_id=OTHER, before=row.id)

    assert await tokens.page(owner_id=OTHER) == []
    assert await tokens.totals(owner_id=OTHER, wanted=UsageFilter(run_id="wf_1")) == UsageTotals()
    assert (await tokens.totals(owner_id=OWNER)).user.calls == 1


async def test_usage_of_missing_run_is_refused(tokens: TokenRepository, database: Database) -> None:
    one = usage(run_id="wf_1", cost=Decimal("0.3"))
    recorded = await tokens.record(one, owner_id=OWNER)
    with pytest.raises(NotFoundError, match="wf_1"):
        await tokens.record(usage(run_id="wf_1"), owner_id=OTHER)
    await WorkflowRepository(database).delete("wf_1", owner_id=OWNER)
    with pytest.raises(NotFoundError, match="wf_1"):
        await tokens.record(usage(run_id="wf_1"), owner_id=OWNER)

    assert await tokens.record(one, owner_id=OWNER) == recorded, "a repetition is no new call"
    assert await tokens.page(owner_id=OTHER) == []
    await tokens.record(usage(), owner_id=OWNER)
    assert (await tokens.totals(owner_id=OWNER)).user.cost == Decimal("0.4")
    assert (await tokens.totals(owner_id=OWNER, wanted=UsageFilter(run_id="wf_1"))).user.cost == Decimal("0.3")


@pytest.mark.parametrize("value", HOSTILE)
async def test_user_text_stays_text(tokens: TokenRepository, value: str) -> None:
    names = ["provider", "model", "operation", "display_name", "step_id", "module_name"]
    owner = value if value and value.isprintable() else OWNER
    row = await tokens.record(usage(**dict.fromkeys(names, value)), owner_id=owner)
    (found,) = await tokens.page(owner_id=owner)
    totals = await tokens.totals(owner_id=owner)

    assert found == row
    assert {getattr(found, field) for field in names} == {value}
    assert (totals.by_provider[0].provider, totals.by_model[0].model, totals.by_step[0].step_id) == (value,) * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"cost": Decimal(-1)},
        {"cost": Decimal("NaN")},
        {"cost": Decimal("Infinity")},
        {"cost": Decimal("1E-13")},
        {"cost": Decimal(1000000001)},
        {"cost": 0.1},
        {"units": Decimal("-0.5")},
        {"input_tokens": -1},
        {"output_tokens": 10**13},
        {"input_tokens": 1.5},
        {"output_tokens": True},
        {"provider": None},
        {"model": 5},
        {"run_id": "a\x00b"},
        {"id": ""},
        {"display_name": "\ud800"},
        {"display_name": "x" * 10_000},
    ],
)
async def test_unsummable_value_is_refused(tokens: TokenRepository, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidDataError, match=next(iter(wrong))):
        await tokens.record(usage(**wrong), owner_id=OWNER)

    assert (await tokens.totals(owner_id=OWNER)).user.calls == 0
    assert await tokens.page(owner_id=OWNER) == []


async def test_usage_names_are_limited(tokens: TokenRepository) -> None:
    long = "x" * 3_000
    with pytest.raises(TooLargeError):
        await tokens.record(usage(display_name=long, model=long, provider=long), owner_id=OWNER)


async def test_record_joins_callers_transaction(tokens: TokenRepository, database: Database) -> None:
    async def body(session: Any) -> None:
        await tokens.record(usage(), owner_id=OWNER, session=session)
        raise LookupError

    with pytest.raises(LookupError):
        await database.transaction(body)

    assert (await tokens.totals(owner_id=OWNER)).user.calls == 0


async def test_unknown_fields_of_newer_release_survive(tokens: TokenRepository, database: Database) -> None:
    one = usage()
    await tokens.record(one, owner_id=OWNER)
    await database.collection("tokens").update_one({"_id": one.id}, {"$set": {"newer": {"a.b": 1}}})
    await tokens.record(one, owner_id=OWNER)

    assert (await database.collection("tokens").find_one({"_id": one.id}) or {})["newer"] == {"a.b": 1}


@pytest.mark.parametrize("run_id", [None, "wf_1"])
async def test_totals_read_only_summed_calls(tokens: TokenRepository, database: Database, run_id: str | None) -> None:
    now = await database.server_time()
    other = {"owner_id": OTHER, "run_id": "wf_1", "created_at": now, "cost": 1}
    await database.collection("tokens").insert_many([{"_id": f"tok_{n}", **other} for n in range(3_000)])
    for _ in range(20):
        await tokens.record(usage(run_id="wf_1"), owner_id=OWNER)
    wanted = UsageFilter(run_id=run_id, since=now - timedelta(days=1))
    command = {"aggregate": "tokens", "pipeline": queries.totals(queries.calls(OWNER, wanted)), "cursor": {}}
    answer = await database.raw.command({"explain": command, "verbosity": "executionStats"})
    stats = answer["stages"][0]["$cursor"]["executionStats"]

    assert stats["totalKeysExamined"] <= 21
    assert stats["totalDocsExamined"] <= 20
