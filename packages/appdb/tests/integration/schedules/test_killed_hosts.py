"""Hosts that tick one schedule and are killed: each tick enqueues exactly once, whoever dies where."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from appdb import Database, ScheduleRepository
from appdb.models import CatchUp, NewSchedule, Schedule
from appdb.schedules.schedule_document import scheduled_task_id
from appdemo.host import Host

OWNER = "usr_a"
MINUTE = timedelta(minutes=1)
MISSED = 95
SCHEDULERS = 10
KILL_AFTER = (5, 12, 20)
"""How many ticks are passed when the first, second and third host is killed."""
TRANSACTION_SECONDS = 3
GUARD_SECONDS = 150
StartScheduler = Callable[..., Host]


@pytest.fixture
def start_scheduler(mongo_uri: str, database: Database, logs: Path) -> Iterator[StartScheduler]:
    """Start processes that tick; whatever is left of them is killed after the test."""
    running: list[Host] = []

    def start(point: str = "never") -> Host:
        program = str(Path(__file__).with_name("scheduler_process.py"))
        command = [sys.executable, program, mongo_uri, database.name, point]
        host = Host(f"scheduler-{len(running)}", command, {}, logs)
        running.append(host)
        return host

    yield start
    for host in running:
        host.process.kill()
        host.process.wait()
        print(f"--- {host.name}\n{host.log.read_text(errors='replace')[-2000:]}")  # noqa: T201 - shown on failure


@pytest.fixture
async def short_transactions(database: Database) -> AsyncIterator[None]:
    """Let the server end the transactions of the dead after 3 s instead of 60."""
    admin = database.raw.client.admin
    name = "transactionLifetimeLimitSeconds"
    before = (await admin.command({"getParameter": 1, name: 1}))[name]
    await admin.command({"setParameter": 1, name: TRANSACTION_SECONDS})
    yield
    await admin.command({"setParameter": 1, name: before})


@pytest.fixture
def repository(database: Database) -> ScheduleRepository:
    return ScheduleRepository(database)


async def every_minute(
    repository: ScheduleRepository, database: Database, name: str = "minutely", missed: int = MISSED
) -> tuple[Schedule, datetime]:
    """Put a schedule whose last *missed* ticks nobody has seen, and return it with the first of them."""
    new = NewSchedule(owner_id=OWNER, name=name, cron="* * * * *", actor="echo", payload={}, catch_up=CatchUp.ALL)
    schedule = await repository.put(new)
    first = schedule.next_at - missed * MINUTE
    await database.collection("schedules").update_one({"_id": schedule.id}, {"$set": {"next_at": first}})
    return schedule, first


async def until_caught_up(repository: ScheduleRepository, database: Database, name: str = "minutely") -> Schedule:
    async with asyncio.timeout(GUARD_SECONDS):
        while (found := await repository.get(name, owner_id=OWNER)).next_at <= await database.server_time():
            await asyncio.sleep(0.05)
    return found


async def stored_ids(database: Database) -> list[str]:
    return [row["_id"] async for row in database.collection("tasks").find({}, {"_id": 1})]


def expected_ids(schedule: Schedule, first: datetime) -> set[str]:
    """Return the tasks of every minute from *first* to the last tick of *schedule*."""
    assert schedule.last_tick is not None
    minutes = (schedule.last_tick - first) // MINUTE + 1
    return {scheduled_task_id(schedule.id, first + number * MINUTE) for number in range(minutes)}


def reported(hosts: list[Host]) -> Counter[str]:
    """Return how often hosts said of each task that they had enqueued it."""
    lines = [line for host in hosts for line in host.log.read_text().splitlines()]
    return Counter(line.removeprefix("enqueued: ") for line in lines if line.startswith("enqueued: "))


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("short_transactions")
async def test_racing_killed_hosts_enqueue_each_tick_once(
    repository: ScheduleRepository, database: Database, start_scheduler: StartScheduler
) -> None:
    hosts = [start_scheduler() for _ in range(SCHEDULERS)]
    for host in hosts:
        await asyncio.to_thread(host.wait_for, "(ready)")
    schedule, first = await every_minute(repository, database)
    passed_at_kill = []
    for host, passed in zip(hosts, KILL_AFTER, strict=False):
        async with asyncio.timeout(GUARD_SECONDS):
            while (count := await database.collection("tasks").count_documents({})) < passed:
                await asyncio.sleep(0.005)
        host.process.send_signal(signal.SIGKILL)
        passed_at_kill.append(count)
    await until_caught_up(repository, database)
    final = await repository.pause(schedule.name, owner_id=OWNER)
    for host in hosts[len(KILL_AFTER) :]:
        host.check()
    ids = await stored_ids(database)
    reports = reported(hosts)

    assert [host.process.wait() for host in hosts[: len(KILL_AFTER)]] == [-signal.SIGKILL] * len(KILL_AFTER)
    assert passed_at_kill[-1] < MISSED
    assert len(ids) >= MISSED
    assert set(ids) == expected_ids(final, first)
    assert set(reports.values()) == {1}
    assert set(reports) <= set(ids)


@pytest.mark.timeout(400)
@pytest.mark.usefixtures("short_transactions")
@pytest.mark.parametrize(("point", "enqueued"), [("passed", 0), ("enqueued", 0), ("committed", 1)])
async def test_host_killed_in_tick_neither_loses_nor_doubles(
    repository: ScheduleRepository, database: Database, start_scheduler: StartScheduler, point: str, enqueued: int
) -> None:
    schedule, first = await every_minute(repository, database, missed=5)
    victim = start_scheduler(point)
    code = await asyncio.to_thread(victim.process.wait, GUARD_SECONDS)
    at_death = await stored_ids(database)
    other, other_first = await every_minute(repository, database, "another", missed=3)
    while_held = {task.id for task in await repository.tick()}
    await asyncio.to_thread(start_scheduler().wait_for, "(ready)")
    await until_caught_up(repository, database)
    final = await repository.pause(schedule.name, owner_id=OWNER)
    other = await repository.pause(other.name, owner_id=OWNER)
    ids = await stored_ids(database)

    assert code == -signal.SIGKILL
    assert len(at_death) == enqueued
    # What the dead host still holds is no reason to wait with the others.
    assert {scheduled_task_id(other.id, other_first + number * MINUTE) for number in range(3)} <= while_held
    assert set(ids) == expected_ids(final, first) | expected_ids(other, other_first)
