"""Schedules against a real server: what fires, when, for whom, and what is made up for."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner

from appdb import Database, InvalidDataError, NotFoundError, ScheduleRepository, TaskQueue, TaskState, TooLargeError
from appdb._queries import schedules as queries
from appdb._queries.paging import BY_NAME
from appdb.cli import main
from appdb.models import CatchUp, NewSchedule, Schedule
from appdb.schedules.cron import MAX_CATCH_UP
from appdb.schedules.schedule_document import scheduled_task_id
from appsupport.mongo.crowds import insert_crowd

OWNER = "usr_a"
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OTHERS = 5_000


@pytest.fixture
def repository(database: Database) -> ScheduleRepository:
    return ScheduleRepository(database)


@pytest.fixture
def queue(database: Database) -> TaskQueue:
    return TaskQueue(database)


def new(name: str = "report", **changes: Any) -> NewSchedule:
    given = {"owner_id": OWNER, "name": name, "cron": "0 0 * * *", "actor": "echo", "payload": {"text": "hello"}}
    return NewSchedule(**(given | changes))


async def put_back(database: Database, schedule: Schedule, next_at: datetime) -> None:
    """Make *schedule* wait for *next_at* since nobody lived: ticks up to now are missed."""
    await database.collection("schedules").update_one({"_id": schedule.id}, {"$set": {"next_at": next_at}})


async def task_ids(database: Database) -> set[str]:
    return {row["_id"] async for row in database.collection("tasks").find({}, {"_id": 1})}


def day_of(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0)


async def test_due_tick_enqueues_task_of_schedule(
    repository: ScheduleRepository, database: Database, queue: TaskQueue
) -> None:
    described: dict[str, Any] = {"queue": "media", "priority": 7, "max_attempts": 5, "actor_version": 2}
    schedule = await repository.put(new(timeout=timedelta(minutes=5), **described))
    tick = day_of(await database.server_time())
    await put_back(database, schedule, tick)
    (task,) = await repository.tick()
    passed = await repository.get("report", owner_id=OWNER)

    assert await queue.get(scheduled_task_id(schedule.id, tick), owner_id=OWNER) == task
    assert {name: getattr(task, name) for name in described} == described
    assert (task.actor, task.payload, task.timeout_seconds, task.state) == (
        "echo",
        {"text": "hello"},
        300.0,
        TaskState.QUEUED,
    )
    assert (passed.last_tick, passed.next_at) == (tick, tick + DAY)
    assert await repository.tick() == []


async def test_next_tick_follows_schedules_zone(repository: ScheduleRepository, database: Database) -> None:
    schedule = await repository.put(new(cron="30 6 * * *", time_zone="Asia/Kathmandu"))
    local = schedule.next_at.astimezone(ZoneInfo("Asia/Kathmandu"))

    assert (local.hour, local.minute) == (6, 30)
    assert timedelta(0) < schedule.next_at - await database.server_time() <= DAY


async def test_racing_hosts_enqueue_each_tick_once(
    repository: ScheduleRepository, database: Database, mongo_uri: str
) -> None:
    schedule = await repository.put(new(catch_up=CatchUp.ALL))
    newest = day_of(await database.server_time())
    await put_back(database, schedule, newest - 19 * DAY)
    hosts = [Database(mongo_uri, database.name) for _ in range(10)]
    fired = await asyncio.gather(*(ScheduleRepository(host).tick() for host in hosts))
    for host in hosts:
        await host.close()
    enqueued = [task.id for tasks in fired for task in tasks]

    assert len(enqueued) == len(set(enqueued))
    assert set(enqueued) == await task_ids(database)
    assert set(enqueued) >= {scheduled_task_id(schedule.id, newest - number * DAY) for number in range(20)}


def last_change(zone: str, now: datetime, *, forward: bool) -> datetime:
    """Return the newest instant, at least two days before *now*, at which the clock went forward or back."""
    moment = day_of(now) - 2 * DAY
    while True:
        before, after = ((moment - step).astimezone(ZoneInfo(zone)).utcoffset() for step in (HOUR, timedelta(0)))
        assert before is not None
        assert after is not None
        if (after > before) if forward else (after < before):
            return moment
        moment -= HOUR


SPRING, AUTUMN = True, False
FIXED, ELAPSED = "0,30 0,1,2", "*/30 *"


@pytest.mark.parametrize(
    ("zone", "forward", "times", "minutes"),
    [
        # Minutes after the day's begin. What the gap of spring swallows comes once at its end; what autumn repeats
        # comes once, unless it goes by elapsed time.
        (BERLIN, SPRING, FIXED, [0, 30, 60, 90, 120]),
        (NEW_YORK, SPRING, FIXED, [0, 30, 60, 90, 120]),
        (BERLIN, AUTUMN, FIXED, [0, 30, 60, 90, 120, 150]),
        (NEW_YORK, AUTUMN, FIXED, [0, 30, 60, 90, 180, 210]),
        (BERLIN, SPRING, ELAPSED, range(0, 23 * 60, 30)),
        (NEW_YORK, AUTUMN, ELAPSED, range(0, 25 * 60, 30)),
    ],
)
async def test_clock_change_days_ticks_come_once(
    repository: ScheduleRepository, database: Database, zone: str, forward: bool, times: str, minutes: list[int]
) -> None:
    change = last_change(zone, await database.server_time(), forward=forward).astimezone(ZoneInfo(zone))
    midnight = change.replace(hour=0, minute=0, fold=0).astimezone(UTC)
    cron = f"{times} {change.day} {change.month} *"
    schedule = await repository.put(new(cron=cron, time_zone=zone, catch_up=CatchUp.ALL))
    await put_back(database, schedule, midnight)
    fired = await asyncio.gather(*(ScheduleRepository(database).tick() for _ in range(4)))
    enqueued = [task.id for tasks in fired for task in tasks]

    assert len(enqueued) == len(minutes)
    assert set(enqueued) == {scheduled_task_id(schedule.id, midnight + number * MINUTE) for number in minutes}
    assert await task_ids(database) == set(enqueued)


@pytest.mark.parametrize(
    ("catch_up", "expected"), [(CatchUp.LATEST, [0]), (CatchUp.ALL, [3, 2, 1, 0]), (CatchUp.SKIP, [])]
)
async def test_missed_ticks_follow_catch_up_rule(
    repository: ScheduleRepository, database: Database, catch_up: CatchUp, expected: list[int]
) -> None:
    today = day_of(await database.server_time())
    yearly = today - 60 * DAY  # far enough from the present that no further tick comes within the test
    schedule = await repository.put(new(cron=f"0-3 0 {yearly.day} {yearly.month} *", catch_up=catch_up))
    newest = yearly + 3 * MINUTE
    await put_back(database, schedule, yearly)
    tasks = await repository.tick()
    passed = await repository.get("report", owner_id=OWNER)

    assert [task.id for task in tasks] == [
        scheduled_task_id(schedule.id, newest - number * MINUTE) for number in expected
    ]
    assert passed.last_tick == (newest if expected else None)
    assert passed.next_at > today


async def test_all_catches_up_newest_hundred_only(repository: ScheduleRepository, database: Database) -> None:
    schedule = await repository.put(new(catch_up=CatchUp.ALL))
    newest = day_of(await database.server_time())
    await put_back(database, schedule, newest - 500 * DAY)
    enqueued = {task.id for task in await repository.tick()}

    assert len(enqueued) - MAX_CATCH_UP in {0, 1}  # one more when the day turned meanwhile
    assert scheduled_task_id(schedule.id, newest) in enqueued
    assert scheduled_task_id(schedule.id, newest - (MAX_CATCH_UP + 1) * DAY) not in enqueued


async def test_paused_schedule_never_fires_or_catches_up(repository: ScheduleRepository, database: Database) -> None:
    schedule = await repository.put(new(catch_up=CatchUp.ALL))
    await put_back(database, schedule, day_of(await database.server_time()))
    paused = await repository.pause("report", owner_id=OWNER)
    while_paused = await repository.tick()
    resumed = await repository.resume("report", owner_id=OWNER)

    assert (paused.enabled, while_paused, resumed.enabled) == (False, [], True)
    assert resumed.next_at > await database.server_time() - MINUTE
    assert await repository.tick() == []


async def test_resuming_unpaused_schedule_loses_no_tick(repository: ScheduleRepository, database: Database) -> None:
    schedule = await repository.put(new())
    await put_back(database, schedule, day_of(await database.server_time()))
    await repository.resume("report", owner_id=OWNER)

    assert len(await repository.tick()) == 1


async def test_putting_schedule_again_loses_no_tick(repository: ScheduleRepository, database: Database) -> None:
    schedule = await repository.put(new(payload={"old": 1}))
    due = day_of(await database.server_time())
    await put_back(database, schedule, due)
    again = await repository.put(new(payload={"text": "new"}))
    (task,) = await repository.tick()
    await repository.pause("report", owner_id=OWNER)
    paused = await repository.put(new())

    assert (again.id, again.next_at) == (schedule.id, due)
    assert task.payload == {"text": "new"}
    assert (paused.enabled, paused.last_tick) == (False, due)
    assert len(await repository.page(owner_id=OWNER)) == 1


@pytest.mark.parametrize("change", [{"cron": "30 0 * * *"}, {"time_zone": BERLIN}])
async def test_schedule_with_other_times_starts_anew(
    repository: ScheduleRepository, database: Database, change: dict[str, str]
) -> None:
    schedule = await repository.put(new())
    now = await database.server_time()
    await put_back(database, schedule, day_of(now) - 3 * DAY)
    changed = await repository.put(new(**change))

    assert changed.next_at > now


async def test_schedule_put_after_deletion_repeats_no_tick(repository: ScheduleRepository, database: Database) -> None:
    tick = day_of(await database.server_time())
    for _ in range(2):
        await put_back(database, await repository.put(new()), tick)
        await repository.tick()
        await repository.delete("report", owner_id=OWNER)

    assert len(await task_ids(database)) == 1


async def test_another_owners_schedule_looks_missing(repository: ScheduleRepository) -> None:
    mine = await repository.put(new())
    theirs = await repository.put(new(owner_id="usr_b", payload={}))
    await repository.put(new("only mine"))
    for call in (repository.get, repository.pause, repository.resume, repository.delete):
        with pytest.raises(NotFoundError, match="no schedule 'only mine'"):
            await call("only mine", owner_id="usr_b")

    assert mine.id != theirs.id
    assert await repository.get("report", owner_id=OWNER) == mine
    assert await repository.page(owner_id="usr_b") == [theirs]


async def test_schedules_are_paged_by_name(repository: ScheduleRepository) -> None:
    for name in ("c", "a", "d", "b"):
        await repository.put(new(name))
    first = await repository.page(owner_id=OWNER, limit=3)
    second = await repository.page(owner_id=OWNER, after=first[-1].name, limit=3)

    assert [[schedule.name for schedule in page] for page in (first, second)] == [["a", "b", "c"], ["d"]]


@pytest.mark.parametrize("value", ["$payload", "$$NOW", "a.b", "{$gt: ''}", "😀"])
async def test_user_text_stays_text(repository: ScheduleRepository, database: Database, value: str) -> None:
    payload = {"text": value, "nested": {"$gt": value, "a.b": [value]}}
    written = new(value, owner_id=value, actor=value, queue=value, payload=payload)
    schedule = await repository.put(written)
    await put_back(database, schedule, day_of(await database.server_time()))
    (task,) = await repository.tick()

    assert (schedule.name, schedule.owner_id) == (value, value)
    assert (task.owner_id, task.actor, task.queue, task.payload) == (value, value, value, payload)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("cron", {"cron": "every day"}),
        ("cron", {"cron": "$$NOW"}),
        ("time_zone", {"time_zone": "Mars/Base"}),
        ("name", {"name": ""}),
        ("name", {"name": "a\0b"}),
        ("name", {"name": "x" * 101}),
        ("owner_id", {"owner_id": "\ud800"}),
        ("max_attempts", {"max_attempts": 0}),
        ("timeout", {"timeout": timedelta(0)}),
        ("actor", {"actor": "\ud800"}),
        ("timeout", {"timeout": timedelta.max}),
        ("queue", {"queue": "a\x1fb"}),
        ("priority", {"priority": 0.5}),
        ("payload", {"payload": {"text": "\ud800"}}),
    ],
)
async def test_invalid_schedule_is_refused_by_name(
    repository: ScheduleRepository, database: Database, field: str, change: dict[str, Any]
) -> None:
    with pytest.raises(InvalidDataError) as caught:
        await repository.put(new(**change))

    assert caught.value.field == field
    assert await database.collection("schedules").count_documents({}) == 0


async def test_payload_over_256_kib_is_refused(repository: ScheduleRepository) -> None:
    with pytest.raises(TooLargeError, match="payload"):
        await repository.put(new(payload={"text": "x" * 256 * 1024}))


async def test_unreadable_schedule_does_not_block_others(
    repository: ScheduleRepository, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    odd, well = await repository.put(new("odd")), await repository.put(new("well"))
    tick = day_of(await database.server_time())
    await put_back(database, odd, tick - DAY)
    await put_back(database, well, tick)
    await database.collection("schedules").update_one({"_id": odd.id}, {"$set": {"time_zone": "Mars/Base"}})
    tasks = await repository.tick()

    assert [task.id for task in tasks] == [scheduled_task_id(well.id, tick)]
    assert any("Mars/Base" in getattr(record, "error", "") for record in caplog.records)
    assert (await repository.get("odd", owner_id=OWNER)).last_tick is None


DAMAGES: dict[str, dict[str, Any]] = {
    "a payload of text": {"payload": "hello"},
    "half a priority": {"priority": 0.5},
    "an unknown way to catch up": {"catch_up": "never"},
    "a queue that no task may have": {"queue": "a\x1fb"},
    "no attempt": {"max_attempts": 0},
    "no text for a cron": {"cron": 5},
    "no date for a tick": {"next_at": None},
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_schedules_fire_behind_unreadable_ones(
    repository: ScheduleRepository, database: Database, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    tick = day_of(await database.server_time())
    for number in range(5):
        odd = await repository.put(new(f"odd {number}"))
        await put_back(database, odd, tick - DAY)
        await database.collection("schedules").update_one({"_id": odd.id}, {"$set": DAMAGES[damage]})
    well = await repository.put(new("well"))
    await put_back(database, well, tick)
    tasks = await repository.tick(limit=2)
    again = await repository.tick(limit=2)

    assert [task.id for task in tasks] == [scheduled_task_id(well.id, tick)]
    assert again == []
    # Once, although they stay due.
    assert len([record for record in caplog.records if hasattr(record, "schedule_id")]) == 5


async def explain(database: Database, pipeline: list[dict[str, Any]]) -> str:
    command = {"aggregate": "schedules", "pipeline": pipeline, "cursor": {}}
    answer = await database.raw.command({"explain": command, "verbosity": "executionStats"})
    return json.dumps(answer, default=str)


@pytest.fixture
async def crowded(database: Database, repository: ScheduleRepository) -> Database:
    """A database with many paused and many later schedules, and ten that are due."""
    row = (await repository.put(new())).to_document()
    now = await database.server_time()
    rows = []
    for number in range(OTHERS + 10):
        due, paused = number >= OTHERS, number % 2 == 0
        at = now - HOUR if due or paused else now + 365 * DAY
        rows.append(row | {"_id": f"sch_{number}", "name": f"{number:05}", "enabled": due or not paused, "next_at": at})
    await insert_crowd(database, "schedules", rows)
    return database


async def test_ticking_reads_only_due_schedules(crowded: Database) -> None:
    pipeline = queries.due(100)
    plan = json.loads(await explain(crowded, pipeline))
    stats = plan["stages"][0]["$cursor"]["executionStats"] if "stages" in plan else plan["executionStats"]

    assert "schedules_due" in str(plan)
    assert "COLLSCAN" not in str(plan)
    assert (stats["nReturned"], stats["totalDocsExamined"]) == (10, 10)
    assert stats["totalKeysExamined"] <= 12
    assert "$$NOW" in str(pipeline)


async def test_schedule_page_follows_index_order(crowded: Database) -> None:
    match = queries.page(OWNER, "01000")
    plan = await explain(crowded, [{"$match": match}, {"$sort": dict(BY_NAME)}, {"$limit": 10}])

    assert "schedules_owner" in plan
    assert '"SORT"' not in plan
    assert '"totalKeysExamined": 10,' in plan


def test_command_manages_schedules(mongo_uri: str, database_name: str) -> None:
    def run(*words: str, fails: bool = False) -> str:
        options = ["--uri", mongo_uri, "--database", database_name]
        result = CliRunner().invoke(main, [*options, *words])
        assert (result.exit_code != 0) is fails, result.output
        return result.output

    run("migrate")
    mine = ("--owner", OWNER)
    times = ("--cron", "30 6 * * MON-FRI", "--zone", BERLIN)
    made = ("--actor", "echo", "--payload", '{"text": "hello"}', "--timeout", "90", "--catch-up", "all")
    put = json.loads(run("schedules", "put", "news", *mine, *times, *made, "--json"))
    paused = run("schedules", "pause", "news", *mine)
    listed = [json.loads(line) for line in run("schedules", "list", *mine, "--json").splitlines()]
    resumed = run("schedules", "resume", "news", *mine)
    shown = json.loads(run("schedules", "show", "news", *mine, "--json"))
    lines = run("schedules", "list", *mine)

    assert (put["payload"], put["timeout_seconds"], put["catch_up"]) == ({"text": "hello"}, 90.0, "all")
    assert paused.endswith("paused\n")
    assert [row["enabled"] for row in listed] == [False]
    assert "next 20" in resumed
    assert shown == put
    assert lines.startswith("news: '30 6 * * MON-FRI' in Europe/Berlin, actor echo, next 20")
    assert json.loads(run("schedules", "delete", "news", *mine, "--json")) == {"deleted": "news"}
    assert "no schedule 'news'" in run("schedules", "show", "news", *mine, fails=True)
    assert "Europe/Berlin" in run("schedules", "put", "x", *mine, *times[:3], "Mars", *made, fails=True)
    assert "not JSON" in run("schedules", "put", "x", *mine, *times, "--actor", "a", "--payload", "{", fails=True)
    assert "JSON object" in run("schedules", "put", "x", *mine, *times, "--actor", "a", "--payload", "[]", fails=True)
