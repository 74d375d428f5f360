"""Topics of runs: what changes a run wakes its followers, from the one change stream of a process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from appdb import ChangeFeed, Database
from appdb.feed import Subscription, questions_topic, run_topic, runs_topic
from appdb.models import NewRun
from appsupport.mongo.running_feed import running_feed
from appsupport.runs.run_events import answered, asked, completed, started, step_started
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


async def test_question_wakes_followers_of_all_runs_above(feed: ChangeFeed, runs: Runs) -> None:
    top = await runs.begin()
    middle = await runs.begin(parent_id=top.id)
    part, other = await runs.begin(parent_id=middle.id), await runs.begin("other")
    with (
        feed.subscribe(questions_topic(top.id)) as above,
        feed.subscribe(questions_topic(middle.id)) as nearer,
        feed.subscribe(questions_topic(part.id)) as own,
        feed.subscribe(questions_topic(other.id)) as others,
    ):
        await runs.append(part, step_started("a"), started("a", "m"), asked("a", "m", "f1"))
        assert await above.wait(SOON)
        assert await nearer.wait(SOON)
        # Whatever else happens to the part, and questions of the run itself, are no questions below it.
        await runs.append(part, answered("f1"), completed("a", "m"))
        await runs.append(other, step_started("a"), asked("a", "m", "f2"))

        for hints in (above, own, others):
            assert not await hints.wait(NEVER)
        await runs.append(part, started("a", "n"), asked("a", "n", "f3"))
        assert await above.wait(SOON)
        # Also what is asked behind a jump.
        await runs.states.jump(part.id, "a", None, owner_id=OWNER, branch_id=part.branch_id)
        await runs.append(part, step_started("a"), started("a", "m"), asked("a", "m", "f4"))
        assert await above.wait(SOON)


async def test_part_that_begins_with_question_wakes_those_above(feed: ChangeFeed, runs: Runs) -> None:
    top = await runs.begin()
    with feed.subscribe(questions_topic(top.id)) as hints:
        await runs.workflows.open(NewRun(project="part", parent_id=top.id), owner_id=OWNER)
        assert not await hints.wait(NEVER)
        asks = [step_started("a"), started("a", "m"), asked("a", "m", "f1")]
        await runs.workflows.open(NewRun(project="part", parent_id=top.id), owner_id=OWNER, events=asks)

        assert await hints.wait(SOON)


async def test_question_in_place_of_another_wakes_followers_of_run_that_asks(feed: ChangeFeed, runs: Runs) -> None:
    top = await runs.begin()
    part = await runs.begin(parent_id=top.id)
    await runs.append(part, step_started("a"), started("a", "m"), asked("a", "m", "f1"))
    with feed.subscribe(run_topic(part.id)) as hints:
        await quiet(hints)
        await runs.append(part, answered("f1"), asked("a", "m", "f2"))

        assert await hints.wait(SOON)


async def test_feed_without_runs_hears_nothing_of_them(database: Database, runs: Runs) -> None:
    run = await runs.begin()
    async with running_feed(database, events=True) as feed:
        with feed.subscribe(run_topic(run.id)) as hints, feed.subscribe(runs_topic(OWNER)) as new:
            await runs.append(run, step_started("a"))
            await runs.begin("second")

            assert not await hints.wait(NEVER)
            assert not await new.wait(NEVER)
