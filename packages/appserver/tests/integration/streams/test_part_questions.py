"""Questions of parts: viewers of a run hear at once of what the runs below it ask, by one read for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from appdb import Database, RunListRepository
from appdb.models import NewRun, NewRunEvent, OpenQuestion, Run
from appserver.streams.log_reader import POLL
from appserver.streams.part_questions import REST
from appsupport.mongo.running_feed import running_feed
from appsupport.workflows.watched_run import OWNER, SOON, E, Watched, next_of

VIEWERS = 30
AT_ONCE = POLL.total_seconds() / 2


class Family:
    """A watched run that waits for parts, and hands that let them ask and be answered."""

    def __init__(self, watched: Watched) -> None:
        self.watched = watched

    async def part(self, parent: Run | None = None) -> Run:
        """Open a part of the watched run, or of another one, which waits for it from then on."""
        above = parent or self.watched.run
        new = NewRun(project="part", parent_id=above.id)
        part, _ = await self.watched.runs.open(new, owner_id=OWNER)
        waits = {"sub_action_id": f"m/{part.id}", "_waiting_on": [{"kind": "child", "id": part.id}]}
        await self._append(above, (E.STEP_STARTED, {}), (E.MODULE_STARTED, {}), (E.SUB_ACTION_STARTED, waits))
        return part

    async def asks(self, part: Run, name: str) -> None:
        """Let *part* ask something; what it asked before is answered."""
        now = await self.watched.runs.get(part.id, owner_id=OWNER)
        if (asked := now.position.interaction_id) is not None:
            settles = (E.INTERACTION_RESPONSE, {"interaction_id": asked, "response": {}})
            await self._append(part, settles, (E.INTERACTION_REQUESTED, {"interaction_id": name}))
        else:
            await self._append(part, (E.STEP_STARTED, {}), (E.INTERACTION_REQUESTED, {"interaction_id": name}))

    async def answers(self, part: Run, name: str) -> None:
        """Answer what *part* asks."""
        await self._append(part, (E.INTERACTION_RESPONSE, {"interaction_id": name, "response": {}}))

    async def _append(self, run: Run, *events: tuple[E, dict[str, Any]]) -> None:
        now = await self.watched.runs.get(run.id, owner_id=OWNER)
        new = [NewRunEvent(type=kind, step="s", module="m", data=data) for kind, data in events]
        await self.watched.events.append(run.id, new, owner_id=OWNER, branch_id=now.branch_id)


@pytest.fixture
def family(watched: Watched) -> Family:
    return Family(watched)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """The runs below which open questions were read."""
    waiting, read = RunListRepository.waiting, []

    async def counted(self: RunListRepository, **options: Any) -> list[OpenQuestion]:
        read.append(options["below"])
        return await waiting(self, **options)

    monkeypatch.setattr(RunListRepository, "waiting", counted)
    return read


async def told(stream: AsyncIterator[bytes], *names: str) -> list[tuple[str, str]]:
    """Return the runs and questions of the next event of a stream that has one of *names*."""
    while True:
        for seq, name, data in await next_of(stream):
            if name in names:
                assert (seq is None) == (name == "parts")
                return [(one["run_id"], one["interaction_id"]) for one in data["asked_by_parts"]]


async def test_question_of_part_is_told_at_once_and_when_it_is_settled(family: Family, watched: Watched) -> None:
    part = await family.part()
    stream = watched.follow()
    assert await told(stream, "snapshot") == []

    async with asyncio.timeout(AT_ONCE):
        await family.asks(part, "one")
        asked = await told(stream, "parts")
    async with asyncio.timeout(AT_ONCE):
        await family.asks(part, "two")
        replaced = await told(stream, "parts")
    async with asyncio.timeout(AT_ONCE):
        await family.answers(part, "two")
        settled = await told(stream, "parts")

    assert (asked, replaced, settled) == ([(part.id, "one")], [(part.id, "two")], [])


async def test_part_of_part_that_comes_later_is_told_at_once(family: Family, watched: Watched) -> None:
    stream = watched.follow()
    await told(stream, "snapshot")
    middle = await family.part()
    part = await family.part(middle)

    async with asyncio.timeout(AT_ONCE):
        await family.asks(part, "deep")
        assert await told(stream, "parts") == [(part.id, "deep")]
    async with asyncio.timeout(AT_ONCE):
        await watched.runs.cancel(part.id, owner_id=OWNER)
        assert await told(stream, "parts") == []


async def test_viewer_that_comes_hears_what_is_asked(family: Family, watched: Watched) -> None:
    first, second = await family.part(), await family.part()
    await family.asks(first, "one")
    await family.asks(second, "two")
    asked = [(first.id, "one"), (second.id, "two")]

    assert await told(watched.follow(), "snapshot") == asked
    assert await told(watched.follow(after=0), "tasks") == asked


async def test_deleted_part_asks_nothing(family: Family, watched: Watched) -> None:
    part = await family.part()
    await family.asks(part, "one")
    stream = watched.follow()
    await told(stream, "snapshot")

    async with asyncio.timeout(AT_ONCE):
        await watched.runs.delete(part.id, owner_id=OWNER)
        assert await told(stream, "parts") == []


async def test_jump_away_from_parts_leaves_no_question(family: Family, watched: Watched) -> None:
    part = await family.part()
    await family.asks(part, "one")
    stream = watched.follow()
    assert await told(stream, "snapshot") == [(part.id, "one")]

    async with asyncio.timeout(AT_ONCE):
        await watched.jump()
        assert await told(stream, "snapshot") == []
        assert await told(stream, "parts") == []


async def test_many_viewers_share_reads_and_silence_costs_none(
    family: Family, watched: Watched, reads: list[str | None]
) -> None:
    part = await family.part()
    streams = [watched.follow() for _ in range(VIEWERS)]
    await asyncio.gather(*(told(stream, "snapshot") for stream in streams))
    await asyncio.sleep(2 * REST.total_seconds())
    reads.clear()

    await asyncio.sleep(AT_ONCE)
    silent = len(reads)
    await family.asks(part, "one")
    seen = await asyncio.gather(*(told(stream, "parts") for stream in streams))
    await asyncio.sleep(2 * REST.total_seconds())

    assert silent == 0
    assert seen == [[(part.id, "one")]] * VIEWERS
    # The question, and once more since its run was followed only then.
    assert reads == [watched.run.id] * 2


async def test_many_questions_cost_few_reads(family: Family, watched: Watched, reads: list[str | None]) -> None:
    part = await family.part()
    stream = watched.follow()
    await told(stream, "snapshot")
    reads.clear()

    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in range(40):
        await family.asks(part, f"q{number}")
    async with asyncio.timeout(SOON):
        while await told(stream, "parts") != [(part.id, "q39")]:
            continue
    took = loop.time() - began

    assert len(reads) <= took / REST.total_seconds() + 2


async def test_run_without_parts_is_not_looked_below(watched: Watched, reads: list[str | None]) -> None:
    await watched.start()
    stream = watched.follow()
    await told(stream, "snapshot")
    await watched.append((E.MODULE_COMPLETED, {}))
    await next_of(stream)

    assert reads == []


async def test_question_with_lost_hint_comes_within_poll(database: Database) -> None:
    # This feed lives, and tells nothing of runs.
    async with running_feed(database, events=True) as deaf:
        watched = Watched(database, deaf)
        await watched.open()
        family = Family(watched)
        part = await family.part()
        stream = watched.follow()
        await told(stream, "snapshot")
        await family.asks(part, "one")

        async with asyncio.timeout(POLL.total_seconds() + SOON):
            assert await told(stream, "parts") == [(part.id, "one")]
