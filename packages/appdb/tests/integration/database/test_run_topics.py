"""Topics of runs: what changes a run wakes its followers, from the one change stream of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import ChangeFeed, Database
from appdb.feed import Subscription, run_topic, runs_topic
from appsupport.mongo.running_feed import running_feed
from appsupport.runs.run_events import asked, completed, started, step_started
from appsupport.runs.run_repositories import OTHER, OWNER, Runs

SOON = timedelta(seconds=5)
NEVER = timedelta(milliseconds=300)


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[ChangeFeed]:
    async with running_feed(database, events=True, runs=True) as feed:
        yield feed


@pytest.fixture
def runs(database: Database) -> Runs:
    return Runs(database)


async def quiet(hints: Subscription) -> None:
    """Let hints of what was done before come and go."""
    while await hints.wait(NEVER):
        continue


async def test_every_change_of_run_wakes_its_follower(feed: ChangeFeed, runs: Runs) -> None:
    run = await runs.begin()
    with feed.subscribe(run_topic(run.id)) as hints:
        await quiet(hints)
        await runs.append(run, step_started("a"), started("a", "m"))
        assert await hints.wait(SOON)
        await runs.append(run, completed("a", "m"), asked("a", "m", "f1"))
        assert await hints.wait(SOON)
        await runs.states.jump(run.id, "a", None, owner_id=OWNER, branch_id=run.branch_id)
        assert await hints.wait(SOON)
        await quiet(hints)
        await runs.workflows.set_version(run.id, "ver_2", owner_id=OWNER)
        assert await hints.wait(SOON)
        await quiet(hints)
        await runs.workflows.delete(run.id, owner_id=OWNER)
        assert await hints.wait(SOON)


async def test_run_lock_and_other_runs_wake_nobody(feed: ChangeFeed, runs: Runs) -> None:
    run, other = await runs.begin(), await runs.begin("other")
    with feed.subscribe(run_topic(run.id)) as hints:
        await quiet(hints)
        await runs.append(other, step_started("a"))
        await runs.database.transaction(lambda session: runs.workflows.hold(run.id, owner_id=OWNER, session=session))

        assert not await hints.wait(NEVER)


async def test_new_run_wakes_followers_of_owner_alone(feed: ChangeFeed, runs: Runs) -> None:
    with feed.subscribe(runs_topic(OWNER)) as mine, feed.subscribe(runs_topic(OTHER)) as others:
        await runs.begin()

        assert await mine.wait(SOON)
        assert not await others.wait(NEVER)


async def test_feed_without_runs_hears_nothing_of_them(database: Database, runs: Runs) -> None:
    run = await runs.begin()
    async with running_feed(database, events=True) as feed:
        with feed.subscribe(run_topic(run.id)) as hints, feed.subscribe(runs_topic(OWNER)) as new:
            await runs.append(run, step_started("a"))
            await runs.begin("second")

            assert not await hints.wait(NEVER)
            assert not await new.wait(NEVER)
