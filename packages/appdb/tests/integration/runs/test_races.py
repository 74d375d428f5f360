"""Races over one run, between hosts that share nothing but the database: fifty rounds of each."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from appdb import (
    AppDbError,
    ConflictError,
    ContentRepository,
    Database,
    DbEventType,
    FileRepository,
    LeaseLostError,
    NewTask,
    NotFoundError,
    VersionRepository,
)
from appdb.models import LIVE_STATES, Branch, FileCategory, NewFile, NewRun, Origin, Recovery, Run, RunState, TaskFilter
from appsupport.faults.aim import Aim
from appsupport.runs.rich_runs import held_task
from appsupport.runs.run_checks import check_cache
from appsupport.runs.run_events import answered, asked, completed, event, started, step_started
from appsupport.runs.run_repositories import OWNER, Runs

E = DbEventType
ROUNDS = 50
AIM_SECONDS = 0.002
"""By how much a write begins sooner or later than in the round before."""
WRITERS = 16
APPENDS = 20
NO_RUN_LEFT = ("events", "branches", "snapshots", "workflow_run_versions")

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
async def hosts(database: Database, mongo_uri: str) -> AsyncIterator[list[Runs]]:
    """Two hosts with connections of their own."""
    async with AsyncExitStack() as stack:
        yield [Runs(await stack.enter_async_context(Database(mongo_uri, database.name))) for _ in range(2)]


async def race(*calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run *calls* at once and return their results or errors of ours; any other error is one of the test."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, AppDbError):
            raise result
    return results


async def later(seconds: float, call: Coroutine[Any, Any, Any]) -> Any:
    """Make *call* after a while, so that it meets others at another point."""
    await asyncio.sleep(seconds)
    return await call


async def check(runs: Runs, run: Run) -> None:
    """Check that the log has no gap, and that caches and events agree."""
    now, state = await runs.get(run), await runs.state(run)
    log = await runs.log(run)
    assert [entry.seq for entry in log] == list(range(now.event_count))
    check_cache(now, state)
    assert (await runs.database.recover_run(run.id, owner_id=OWNER)).disagreements == ()


async def test_sixteen_writers_number_log_densely(database: Database, mongo_uri: str) -> None:
    run = await Runs(database).begin()

    async def write(number: int) -> list[int]:
        async with Database(mongo_uri, database.name) as own:
            runs = Runs(own)
            stored = []
            for turn in range(APPENDS):
                events = [event(E.OUTPUT_STORED, writer=number, turn=turn) for _ in range(1 + turn % 2)]
                stored += await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id)
            return [entry.seq for entry in stored]

    written = await asyncio.gather(*(write(number) for number in range(WRITERS)))

    assert all(seqs == sorted(seqs) for seqs in written)
    assert sorted(seq for seqs in written for seq in seqs) == list(range(1, 1 + WRITERS * APPENDS * 3 // 2))
    log = await Runs(database).log(run)
    for number in range(WRITERS):
        turns = [entry.data["turn"] for entry in log if entry.data.get("writer") == number]
        assert turns == sorted(turns)
    await check(Runs(database), run)


async def test_concurrent_opens_of_project_share_run(hosts: list[Runs]) -> None:
    for number in range(ROUNDS):
        opened = await race(
            *(runs.workflows.open(NewRun(project=f"film {number}"), owner_id=OWNER) for runs in hosts * 2)
        )

        assert len({run.id for run, _ in opened}) == 1
        assert [made for _, made in opened].count(True) == 1


async def test_event_precedes_branch_switch_or_is_refused(hosts: list[Runs]) -> None:
    one, other = hosts
    outcomes = set()
    for number in range(ROUNDS):
        run = await one.begin(f"film {number}")
        await one.append(run, step_started("a"), started("a", "m"))
        jump = one.states.jump(run.id, "a", owner_id=OWNER, branch_id=run.branch_id)
        append = other.events.append(run.id, [completed("a", "m")], owner_id=OWNER, branch_id=run.branch_id)
        calls = (jump, append) if number % 2 else (append, jump)
        first, second = await race(*calls)
        jumped, appended = (first, second) if number % 2 else (second, first)

        assert isinstance(jumped, Branch)
        log = await one.log(run)
        switch = next(entry.seq for entry in log if entry.type is E.JUMP_REQUESTED)
        if isinstance(appended, ConflictError):
            assert len(log) == 4
        else:
            assert appended[0].seq < switch
        outcomes.add(isinstance(appended, ConflictError))
        assert (await one.state(run)).module_outputs() == {}
        await check(one, run)
    assert outcomes, "nothing was raced"


async def test_fifty_answers_have_one_winner(hosts: list[Runs]) -> None:
    run = await hosts[0].begin()
    await hosts[0].append(run, started("a", "m"), asked("a", "m", "f1"))

    async def answer(number: int) -> Any:
        runs = hosts[number % 2]
        events = [answered("f1", value=number)]

        async def body(session: Any) -> Any:
            return await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id, session=session)

        if number % 3:
            return await runs.events.append(run.id, events, owner_id=OWNER, branch_id=run.branch_id)
        return await runs.database.retry(lambda: runs.database.transaction(body))

    results = await race(*map(answer, range(50)))
    (accepted,) = [result[0] for result in results if isinstance(result, list)]
    refused = [result for result in results if isinstance(result, ConflictError)]
    assert len(refused) == 49
    assert {error.accepted for error in refused} == {accepted.id}
    assert all(accepted.id in str(error) for error in refused)
    assert (await hosts[1].state(run)).position.interaction_id is None
    await check(hosts[0], run)


async def test_concurrent_forks_make_one_branch(hosts: list[Runs]) -> None:
    for number in range(ROUNDS):
        run = await hosts[0].begin(f"film {number}")
        await hosts[0].append(run, step_started("a"), asked("a", "m", "f1"), answered("f1"))
        results = await race(
            hosts[0].states.jump(run.id, "a", owner_id=OWNER, branch_id=run.branch_id),
            hosts[1].states.branch_from_interaction(run.id, "f1", owner_id=OWNER, branch_id=run.branch_id),
        )

        made = [result for result in results if isinstance(result, Branch)]
        assert len(made) == 1
        assert [type(result) for result in results if not isinstance(result, Branch)] == [ConflictError]
        assert (await hosts[0].get(run)).branch_id == made[0].id
        assert len(await hosts[0].branches.page(run.id, owner_id=OWNER)) == 2
        await check(hosts[0], run)


async def test_recovery_never_forks_healthy_run(hosts: list[Runs]) -> None:
    for number in range(ROUNDS):
        run = await hosts[0].begin(f"film {number}")
        await hosts[0].append(run, step_started("a"), started("a", "m"))
        asking = hosts[1].events.append(run.id, [asked("a", "m", "f1")], owner_id=OWNER, branch_id=run.branch_id)
        found, stored = await race(hosts[0].database.recover_run(run.id, owner_id=OWNER), asking)

        assert isinstance(found, Recovery)
        assert found.disagreements == ()
        assert [entry.seq for entry in stored] == [3]
        assert (await hosts[0].get(run)).branch_id == run.branch_id
        await check(hosts[0], run)


async def test_concurrent_recoveries_repair_run_once(hosts: list[Runs]) -> None:
    for number in range(ROUNDS):
        run = await hosts[0].begin(f"film {number}")
        await hosts[0].append(run, step_started("a"), started("a", "m"), completed("a", "m"))
        spoiled = {"$set": {"status": "awaiting_input"}}
        await hosts[0].database.collection("workflow_runs").update_one({"_id": run.id}, spoiled)
        write = hosts[1].events.append(
            run.id, [event(E.OUTPUT_STORED)], owner_id=OWNER, branch_id=run.branch_id, expected_seq=4
        )
        results = await race(*(runs.database.recover_run(run.id, owner_id=OWNER) for runs in hosts), write)

        recoveries, written = results[:2], results[2]
        # An append sets the status too, so it may mend the run before a recovery sees it.
        forked = [found for found in recoveries if found.new_branch_id is not None]
        assert len(forked) == (1 if isinstance(written, ConflictError) else len(forked)) <= 1
        assert isinstance(written, ConflictError) is (len(forked) == 1)
        await check(hosts[0], run)


async def test_deleted_run_is_never_written_to(hosts: list[Runs]) -> None:
    for number in range(ROUNDS):
        run = await hosts[0].begin(f"film {number}", version_id="ver_1")
        await hosts[0].append(run, step_started("a"))

        async def advance(run: Run = run) -> None:
            async def body(session: Any) -> None:
                await hosts[1].events.append(
                    run.id, [started("a", "m")], owner_id=OWNER, branch_id=run.branch_id, session=session
                )
                task = NewTask(owner_id=OWNER, actor="engine", payload={}, run_id=run.id)
                await hosts[1].queue.enqueue(task, session=session)

            await hosts[1].database.transaction(body)

        results = await race(
            hosts[0].workflows.delete(run.id, owner_id=OWNER),
            advance(),
            hosts[1].states.jump(run.id, "a", owner_id=OWNER, branch_id=run.branch_id),
            hosts[1].workflows.set_version(run.id, "ver_2", owner_id=OWNER),
        )

        assert results[0] is None
        assert {type(result) for result in results if isinstance(result, Exception)} <= {NotFoundError, ConflictError}
        for name in NO_RUN_LEFT:
            assert await hosts[0].database.collection(name).count_documents({"run_id": run.id}) == 0
        live = await hosts[0].queue.find(TaskFilter(owner_id=OWNER, run_id=run.id))
        assert all(task.state.final for task in live)


async def test_write_racing_deletion_is_deleted_or_refused(hosts: list[Runs]) -> None:
    first, second = hosts
    contents, files = ContentRepository(second.database), FileRepository(second.database)
    refused: Counter[str] = Counter()
    chance = random.Random(7)
    aims: defaultdict[str, Aim] = defaultdict(lambda: Aim(chance))
    for number in range(ROUNDS):
        run = await first.begin(f"film {number}")
        task, lease = await held_task(second, f"q{number}")
        new = NewTask(owner_id=OWNER, actor="engine", payload={}, run_id=run.id)
        file = NewFile(run_id=run.id, branch_id="", category=FileCategory.ROOT, name="a", content="x" * 70_000)
        given: dict[str, Any] = {"operation": "o", "provider": "p", "source_data": {}, "origin": Origin(run_id=run.id)}
        writes: dict[str, Coroutine[Any, Any, Any]] = {
            "put": files.put(file, owner_id=OWNER),
            "put small": files.put(replace(file, name="b", content="x"), owner_id=OWNER),
            "enqueue": second.queue.enqueue(new),
            "enqueue many": second.queue.enqueue_many([new, new]),
            "enqueue later": second.queue.enqueue(replace(new, delay=timedelta(hours=1))),
            "begin": contents.begin(lease, task, **given),
            "spawn": second.queue.spawn(lease, "child", new),
        }
        # Each write begins near the moment of the deletion that decides about it.
        leads = {name: aims[name].lead(AIM_SECONDS) for name in writes}
        begins = max(0.0, -min(leads.values()))
        deletion = later(begins, first.workflows.delete(run.id, owner_id=OWNER))
        deleted, *results = await race(
            deletion, *(later(begins + leads[name], write) for name, write in writes.items())
        )

        assert deleted is None
        failed = {name: result for name, result in zip(writes, results, strict=True) if isinstance(result, Exception)}
        assert {type(error) for error in failed.values()} <= {NotFoundError, LeaseLostError}
        refused.update(failed.keys())
        for name, aim in aims.items():
            aim.heard(first_won=name in failed)
        for name in ("workflow_files", "content_generation_metadata"):
            assert await first.database.collection(name).count_documents({"run_id": run.id}) == 0, name
        live = TaskFilter(owner_id=OWNER, run_id=run.id, states=LIVE_STATES)
        assert await first.queue.find(live) == []
    assert await first.database.collection("files.files").count_documents({}) == 0
    assert all(0 < refused[name] < ROUNDS for name in writes), refused


async def test_read_racing_deletion_is_whole_or_refused(hosts: list[Runs]) -> None:
    outcomes: Counter[bool] = Counter()
    for number in range(ROUNDS):
        run = await hosts[0].begin(f"film {number}")
        await hosts[0].append(run, *[step_started(f"s{turn}") for turn in range(20)])
        reads: list[Callable[[Run], Coroutine[Any, Any, Any]]] = [hosts[1].log, hosts[1].state, hosts[1].counting]
        calls = [later(turn / 2_000, read(run)) for turn in range(8) for read in reads]
        deleted, *results = await race(hosts[0].workflows.delete(run.id, owner_id=OWNER), *calls)

        assert deleted is None
        for result in results:
            outcomes[isinstance(result, NotFoundError)] += 1
            if isinstance(result, RunState):
                assert result.seq == 20
            elif not isinstance(result, NotFoundError):
                assert [entry.seq for entry in result] == list(range(21))
    assert len(outcomes) == 2, "nothing was raced"


async def test_template_deletion_races_safely_with_opening(hosts: list[Runs]) -> None:
    versions = VersionRepository(hosts[0].database)
    deleted_first = 0
    for number in range(ROUNDS):
        template = await versions.get_or_create_template(f"film {number}", owner_id=OWNER)
        new = NewRun(project=f"film {number}", template_id=template.id)
        deletion = later(number % 10 / 1_000, versions.delete_template(template.id, owner_id=OWNER))
        deleted, opened = await race(deletion, hosts[1].workflows.open(new, owner_id=OWNER))

        if deleted is None:
            assert isinstance(opened, NotFoundError)
            deleted_first += 1
        else:
            assert isinstance(deleted, ConflictError)
            assert opened[0].template_id == template.id
    assert 0 < deleted_first < ROUNDS, "nothing was raced"
