"""Dead writers: a host that died in a transaction on a run keeps others from that run for a moment only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from appdb import Database, DbEventType, EventRepository, WorkflowRepository
from appdb.host import Session, app_name_of
from appdb.models import NewRun, NewRunEvent, Run, RunStatus

OWNER = "usr_a"
BRIEFLY = 5
"""Seconds; the server itself would keep such a transaction for a minute."""


@pytest.fixture
async def run(mongo_uri: str, database: Database) -> AsyncIterator[Run]:
    """A run whose lock is held by a host that does nothing more."""
    made, _ = await WorkflowRepository(database).open(NewRun(project="p"), owner_id=OWNER)
    locked, never = asyncio.Event(), asyncio.Event()
    async with Database(mongo_uri, database.name, app_name=app_name_of("appserver/0.0.0", database.name)) as dying:

        async def die(session: Session) -> None:
            await append(dying, made, session)
            locked.set()
            await never.wait()

        dead = asyncio.create_task(dying.transaction(die))
        await locked.wait()
        yield made
        dead.cancel()
        await asyncio.wait([dead])


async def append(database: Database, run: Run, session: Session | None = None) -> None:
    new = [NewRunEvent(type=DbEventType.STEP_STARTED, step="one")]
    await EventRepository(database).append(run.id, new, owner_id=OWNER, branch_id=run.branch_id, session=session)


async def test_dead_writer_delays_append_briefly(database: Database, run: Run) -> None:
    asked_at = time.monotonic()
    await append(database, run)

    assert time.monotonic() - asked_at < BRIEFLY


async def test_dead_writer_delays_transaction_briefly(database: Database, run: Run) -> None:
    asked_at = time.monotonic()
    await database.transaction(lambda session: append(database, run, session))

    assert time.monotonic() - asked_at < BRIEFLY


async def test_dead_writer_delays_cancel_briefly(database: Database, run: Run) -> None:
    asked_at = time.monotonic()
    cancelled = await WorkflowRepository(database).cancel(run.id, owner_id=OWNER)

    assert time.monotonic() - asked_at < BRIEFLY
    assert cancelled.status is RunStatus.CANCELLED
