"""Budgets: what is spent and reserved is exact, however tasks end and whoever races."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from appdb import (
    AttemptWrite,
    BudgetExceededError,
    BudgetRepository,
    Claimer,
    Completed,
    Database,
    Failed,
    InvalidDataError,
    Lease,
    LeaseLostError,
    NewTask,
    NotFoundError,
    Task,
    TaskQueue,
    TaskState,
    TokenRepository,
    WorkflowRepository,
)
from appdb._driver import Session, start_session, start_transaction
from appdb.host import app_name_of
from appdb.models import Budget, BudgetKind, BudgetScope, CallUsage, NewRun, NewUsage, TaskFilter
from appsupport.mongo.round_trips import commands_sent
from appsupport.runs.run_repositories import OTHER, OWNER, open_run

CLAIMER = Claimer(worker_id="w1", queues=("default",), handlers=("echo@1",))
USER, DAY = BudgetScope(kind=BudgetKind.USER), BudgetScope(kind=BudgetKind.DAY)
RUN = BudgetScope(kind=BudgetKind.RUN, run_id="wf_1")
SCOPES = {"user": USER, "day": DAY, "run": RUN}


class Bench:
    """The doors that budgets concern, over one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.budgets = BudgetRepository(database)
        self.queue = TaskQueue(database, lease=timedelta(seconds=30))
        self.tokens = TokenRepository(database)

    async def limit(self, amount: str | None, scope: BudgetScope = USER) -> Budget:
        return await self.budgets.set_limit(scope, None if amount is None else Decimal(amount), owner_id=OWNER)

    async def add(self, reserves: str | None = "1", **changes: Any) -> Task:
        amount = None if reserves is None else Decimal(reserves)
        fields: dict[str, Any] = {"owner_id": OWNER, "actor": "echo", "payload": {}, "reserves": amount}
        return await self.queue.enqueue(NewTask(**fields | changes))

    async def claim(self) -> Task:
        (task,) = await self.queue.claim(CLAIMER)
        return task

    async def held(self, reserves: str | None = "1", **changes: Any) -> Task:
        await self.add(reserves, **changes)
        return await self.claim()

    async def spend(self, task: Task, cost: str, key: str = "call") -> None:
        usage = CallUsage(provider="local", model="small", operation="chat", cost=Decimal(cost))
        await self.tokens.record_for_task(Lease.of(task), task, key, usage)

    async def figures(self, scope: BudgetScope = USER) -> tuple[Decimal | int, Decimal | int]:
        """Return what is spent and what is reserved."""
        found = await self.budgets.get(scope, owner_id=OWNER)
        return found.spent, found.reserved


@pytest.fixture
async def bench(database: Database) -> Bench:
    await open_run(database, "wf_1")
    return Bench(database)


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
async def test_task_over_limit_is_refused_until_raised(bench: Bench, scope: BudgetScope) -> None:
    await bench.limit("2", scope)
    await bench.add("1.5", run_id="wf_1")
    with pytest.raises(BudgetExceededError) as raised:
        await bench.add("0.75", run_id="wf_1")

    refused = raised.value
    assert refused.scope == scope.key(OWNER)
    figures = (refused.limit, refused.spent, refused.reserved, refused.asked)
    assert figures == (Decimal(2), Decimal(0), Decimal("1.5"), Decimal("0.75"))
    assert len(await bench.queue.page(owner_id=OWNER)) == 1

    await bench.limit("2.25", scope)
    await bench.add("0.75", run_id="wf_1")
    assert (await bench.budgets.get(scope, owner_id=OWNER)).left == 0


async def test_other_owners_and_runs_have_own_budgets(bench: Bench, database: Database) -> None:
    await open_run(database, "wf_2")
    await bench.limit("1")
    await bench.limit("1", RUN)
    await bench.add("5", owner_id=OTHER)
    await bench.limit("10")
    await bench.add("5", run_id="wf_2")

    assert await bench.figures(RUN) == (0, 0)
    assert await bench.figures() == (0, 5)
    with pytest.raises(NotFoundError):
        await bench.budgets.get(USER, owner_id=OTHER)
    with pytest.raises(NotFoundError):
        await bench.budgets.set_limit(RUN, Decimal(1), owner_id=OTHER)
    assert [one.id for one in await bench.budgets.list_for(owner_id=OWNER, run_id="wf_1")] == ["run:wf_1", "user:usr_a"]


async def test_cost_is_spent_and_no_longer_reserved(bench: Bench) -> None:
    await bench.limit("10")
    task = await bench.held("1")
    await bench.spend(task, "0.25", "a")
    assert await bench.figures() == (Decimal("0.25"), Decimal("0.75"))
    await bench.spend(task, "0.5", "a")
    assert await bench.figures() == (Decimal("0.5"), Decimal("0.5"))
    await bench.spend(task, "2", "b")
    assert await bench.figures() == (Decimal("2.5"), 0)
    await bench.queue.complete(Lease.of(task))
    assert await bench.figures() == (Decimal("2.5"), 0)


async def test_task_that_may_cost_anything_needs_room(bench: Bench) -> None:
    await bench.limit("1")
    task = await bench.held("0")
    await bench.spend(task, "1")
    with pytest.raises(BudgetExceededError):
        await bench.add("0")

    await bench.add(None)
    await bench.limit(None)
    await bench.add("1000")
    assert (await bench.budgets.get(USER, owner_id=OWNER)).left is None


async def _complete(bench: Bench, task: Task) -> None:
    await bench.queue.complete(Lease.of(task))


async def _complete_in_batch(bench: Bench, task: Task) -> None:
    other = await bench.held("1")
    writes = [AttemptWrite(lease=Lease.of(one), outcome=Completed()) for one in (task, other)]
    assert not await bench.queue.commit(writes)


async def _fail(bench: Bench, task: Task) -> None:
    await bench.queue.commit([AttemptWrite(lease=Lease.of(task), outcome=Failed(kind="X", message="", retry_in=None))])


async def _cancel(bench: Bench, task: Task) -> None:
    await bench.queue.cancel(task.id, owner_id=OWNER)


async def _cancel_many(bench: Bench, task: Task) -> None:
    await bench.queue.cancel_many(TaskFilter(owner_id=OWNER, task_ids=(task.id,)))


async def _poison(bench: Bench, task: Task) -> None:
    ended = {"lease.expires_at": task.created_at, "max_attempts": 1}
    await bench.database.collection("tasks").update_one({"_id": task.id}, {"$set": ended})
    assert [one.state for one in await bench.queue.recover()] == [TaskState.FAILED]


async def _expire(bench: Bench, task: Task) -> None:
    await bench.queue.release(Lease.of(task))
    await bench.database.collection("tasks").update_one({"_id": task.id}, {"$set": {"expires_at": task.created_at}})
    assert await bench.queue.expire()


async def _set_aside(bench: Bench, task: Task) -> None:
    await bench.queue.release(Lease.of(task))
    await bench.database.collection("tasks").update_one({"_id": task.id}, {"$set": {"payload": "broken"}})
    assert await bench.queue.claim(CLAIMER) == []


async def _delete_run(bench: Bench, _task: Task) -> None:
    await WorkflowRepository(bench.database).delete("wf_1", owner_id=OWNER)


ENDS: dict[str, Callable[[Bench, Task], Awaitable[None]]] = {
    "complete": _complete,
    "complete in a batch": _complete_in_batch,
    "fail for good": _fail,
    "cancel": _cancel,
    "cancel many": _cancel_many,
    "lose its last worker": _poison,
    "expire": _expire,
    "be unreadable": _set_aside,
    "lose its run": _delete_run,
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_every_end_releases_and_keeps_spent(bench: Bench, end: Callable[[Bench, Task], Awaitable[None]]) -> None:
    await bench.limit("10")
    task = await bench.held("1", run_id="wf_1")
    await bench.spend(task, "0.25")
    assert await bench.figures() == (Decimal("0.25"), Decimal("0.75"))
    await end(bench, task)

    assert await bench.figures() == (Decimal("0.25"), 0)


async def test_lost_worker_keeps_reservation_for_next_attempt(bench: Bench) -> None:
    await bench.limit("10")
    task = await bench.held("1")
    await bench.spend(task, "0.25")
    await bench.database.collection("tasks").update_one({}, {"$set": {"lease.expires_at": task.created_at}})
    await bench.queue.recover()
    with pytest.raises(LeaseLostError):
        await bench.spend(task, "5", "late")
    assert await bench.figures() == (Decimal("0.25"), Decimal("0.75"))

    again = await bench.claim()
    await bench.spend(again, "0.25")
    await bench.queue.complete(Lease.of(again))
    assert await bench.figures() == (Decimal("0.25"), 0)


async def test_racing_tasks_never_exceed_limit(bench: Bench) -> None:
    await bench.limit("10")
    outcomes = await asyncio.gather(*(bench.add("1") for _ in range(50)), return_exceptions=True)
    refused = [one for one in outcomes if isinstance(one, BudgetExceededError)]

    assert (len(outcomes) - len(refused), len(refused)) == (10, 40), outcomes
    assert await bench.figures() == (0, 10)


async def test_racing_tasks_and_costs_stay_exact(bench: Bench) -> None:
    await bench.limit("15")
    held = [await bench.held("1") for _ in range(10)]
    costs = [bench.spend(task, "0.75") for task in held]
    ends = [bench.queue.cancel(task.id, owner_id=OWNER) for task in held[:5]]
    outcomes = await asyncio.gather(*costs, *ends, *(bench.add("1") for _ in range(10)), return_exceptions=True)
    recorded = (await bench.tokens.totals(owner_id=OWNER)).user.cost
    live = [task for task in await bench.queue.page(owner_id=OWNER, limit=100) if not task.state.final]
    spent, reserved = await bench.figures()

    allowed = BudgetExceededError | LeaseLostError
    assert all(isinstance(one, allowed) for one in outcomes if isinstance(one, BaseException)), outcomes
    assert spent == recorded
    assert reserved == len(live) - 5 * Decimal("0.75")
    assert spent + reserved <= Decimal(15)


@pytest.mark.parametrize("scope", SCOPES.values(), ids=SCOPES)
async def test_first_limit_counts_what_was_spent(bench: Bench, scope: BudgetScope) -> None:
    task = await bench.held("1", run_id="wf_1")
    await bench.spend(task, "0.25")
    await bench.tokens.record(
        NewUsage(provider="p", model="m", operation="o", cost=Decimal(7), run_id="wf_1"), owner_id=OWNER
    )
    await bench.limit("1", scope)
    assert await bench.figures(scope) == (Decimal("0.25"), Decimal("0.75"))
    await bench.limit("2", scope)
    assert await bench.figures(scope) == (Decimal("0.25"), Decimal("0.75"))


async def test_first_limit_misses_no_racing_cost(bench: Bench) -> None:
    for number in range(10):
        owner = f"usr_{number}"
        tasks = [await bench.held("1", owner_id=owner) for _ in range(8)]
        spends = [bench.spend(task, "0.25") for task in tasks]
        await asyncio.gather(*spends, bench.budgets.set_limit(USER, Decimal(10), owner_id=owner))
        for task in tasks:
            await bench.queue.complete(Lease.of(task))

        found = await bench.budgets.get(USER, owner_id=owner)
        assert (found.spent, found.reserved) == (Decimal(2), Decimal(0))


async def test_new_day_begins_with_nothing_spent(bench: Bench) -> None:
    await bench.limit("1", DAY)
    task = await bench.held("1")
    await bench.spend(task, "0.75")
    yesterday = {"$set": {"day": task.created_at - timedelta(days=1)}}
    await bench.database.collection("budgets").update_one({"_id": DAY.key(OWNER)}, yesterday)
    assert await bench.figures(DAY) == (0, Decimal("0.25"))
    await bench.add("0.75")
    await bench.spend(task, "0.25", "b")
    assert await bench.figures(DAY) == (Decimal("0.25"), Decimal("0.75"))


async def test_batch_is_enqueued_whole_or_not_at_all(bench: Bench) -> None:
    await bench.limit("2.5")
    new = [NewTask(owner_id=OWNER, actor="echo", payload={}, reserves=Decimal(1)) for _ in range(3)]
    with pytest.raises(BudgetExceededError):
        await bench.queue.enqueue_many(new)
    assert await bench.queue.page(owner_id=OWNER) == []
    await bench.queue.enqueue_many(new[:2])

    assert await bench.figures() == (0, 2)


async def test_refused_transaction_leaves_nothing(bench: Bench) -> None:
    await bench.limit("1", RUN)

    async def advance(session: Any) -> None:
        await bench.queue.enqueue_many(
            [NewTask(owner_id=OWNER, actor="echo", payload={}, run_id="wf_1", reserves=Decimal(2))], session=session
        )

    with pytest.raises(BudgetExceededError):
        await bench.database.transaction(advance)
    assert await bench.figures(RUN) == (0, 0)


async def test_repeated_enqueue_reserves_once(bench: Bench) -> None:
    await bench.limit("1")
    for _ in range(3):
        await bench.add("1", task_id="tq_1")

    assert await bench.figures() == (0, 1)


async def test_deleted_run_takes_its_budget_along(bench: Bench) -> None:
    await bench.limit("1", RUN)
    await WorkflowRepository(bench.database).delete("wf_1", owner_id=OWNER)

    assert await bench.database.collection("budgets").count_documents({}) == 0


async def open_child(database: Database, run_id: str, parent_id: str) -> None:
    new = NewRun(project=f"of {run_id}", run_id=run_id, parent_id=parent_id)
    await WorkflowRepository(database).open(new, owner_id=OWNER)


async def test_child_runs_count_for_all_runs_above(bench: Bench, database: Database) -> None:
    await open_child(database, "wf_2", "wf_1")
    await open_child(database, "wf_3", "wf_2")
    middle = BudgetScope(kind=BudgetKind.RUN, run_id="wf_2")
    await bench.limit("2", RUN)
    await bench.limit("3", middle)
    task = await bench.held("1", run_id="wf_3")
    await bench.spend(task, "0.25")
    assert await bench.figures(RUN) == await bench.figures(middle) == (Decimal("0.25"), Decimal("0.75"))
    with pytest.raises(BudgetExceededError, match="run:wf_1"):
        await bench.add("1.5", run_id="wf_2")

    spawned = NewTask(owner_id=OWNER, actor="echo", payload={}, reserves=Decimal("0.5"))
    await bench.queue.spawn(Lease.of(task), "child", spawned)
    assert await bench.figures(RUN) == (Decimal("0.25"), Decimal("1.25"))
    child = await bench.claim()
    await bench.spend(child, "0.5")
    assert await bench.figures(RUN) == (Decimal("0.75"), Decimal("0.75"))
    lowest = BudgetScope(kind=BudgetKind.RUN, run_id="wf_3")
    await bench.limit("9", lowest)
    assert await bench.figures(lowest) == (Decimal("0.75"), Decimal("0.75"))


@pytest.mark.parametrize("after", ["then", "on_end"])
async def test_what_follows_counts_for_runs_above(bench: Bench, database: Database, after: str) -> None:
    await open_child(database, "wf_2", "wf_1")
    await bench.limit("2", RUN)
    follows = NewTask(owner_id=OWNER, actor="echo", payload={}, reserves=Decimal(1))
    for complete in (bench.queue.complete, _commit_alone(bench)):
        task = await bench.held("1", run_id="wf_2", **{after: (follows,)})
        await complete(Lease.of(task))
        following = await bench.claim()
        assert await bench.figures(RUN) == (0, 1)
        await bench.queue.cancel(following.id, owner_id=OWNER)


def _commit_alone(bench: Bench) -> Callable[[Lease], Awaitable[object]]:
    return lambda lease: bench.queue.commit([AttemptWrite(lease=lease, outcome=Completed())])


async def test_first_limit_counts_child_runs(bench: Bench, database: Database) -> None:
    await open_child(database, "wf_2", "wf_1")
    await open_child(database, "wf_3", "wf_2")
    for number in (1, 2, 3):
        task = await bench.held("1", run_id=f"wf_{number}")
        await bench.spend(task, "0.25")
    await bench.limit("9", RUN)

    assert await bench.figures(RUN) == (Decimal("0.75"), Decimal("2.25"))


@pytest.mark.parametrize("amount", [Decimal(-1), Decimal(10) ** 10, Decimal("1e-13"), Decimal("NaN"), 0.1, "1"])
async def test_amount_that_cannot_be_stored_is_refused(bench: Bench, amount: Any) -> None:
    with pytest.raises(InvalidDataError):
        await bench.budgets.set_limit(USER, amount, owner_id=OWNER)
    with pytest.raises(InvalidDataError):
        await bench.queue.enqueue(NewTask(owner_id=OWNER, actor="echo", payload={}, reserves=amount))


@pytest.mark.parametrize("scope", [BudgetScope(kind=BudgetKind.RUN), BudgetScope(kind=BudgetKind.DAY, run_id="wf_1")])
async def test_scope_without_its_run_is_refused(bench: Bench, scope: BudgetScope) -> None:
    with pytest.raises(InvalidDataError, match="give the run"):
        await bench.budgets.get(scope, owner_id=OWNER)
    with pytest.raises(InvalidDataError, match="give the run"):
        await bench.limit("1", scope)


@pytest.mark.parametrize(
    ("reserves", "limited", "sent"),
    [
        (None, True, ["findAndModify", "update", "commitTransaction"]),
        ("1", False, ["findAndModify", "update", "aggregate", "commitTransaction"]),
        ("1", True, ["findAndModify", "update", "aggregate", "update", "commitTransaction"]),
    ],
)
async def test_only_estimates_under_limits_cost_writes(
    bench: Bench, reserves: str | None, limited: bool, sent: list[str]
) -> None:
    if limited:
        await bench.limit("10")
    amount = None if reserves is None else Decimal(reserves)
    new = NewTask(owner_id=OWNER, actor="echo", payload={}, run_id="wf_1", reserves=amount)

    async def advance(session: Any) -> None:
        await bench.queue.enqueue_many([new], session=session)

    with commands_sent() as names:
        await bench.database.transaction(advance)
    assert names == sent
    assert await bench.database.collection("budgets").count_documents({}) == int(limited)


@pytest.mark.parametrize("write", ["enqueue", "enqueue in a transaction", "record"])
async def test_budget_locked_by_dead_host_delays_briefly(mongo_uri: str, bench: Bench, write: str) -> None:
    await bench.limit("10")
    task = await bench.held("1")
    name = bench.database.name
    async with Database(mongo_uri, name, app_name=app_name_of("appworker/0.0.0", name)) as dying:
        session = await start_session(dying.raw.client)
        await start_transaction(session)
        locked = {"$set": {"touched_at": task.created_at}}
        await dying.collection("budgets").update_one({"_id": USER.key(OWNER)}, locked, session=session)
        match write:
            case "enqueue":
                await bench.add("1")
            case "record":
                await bench.spend(task, "1")
            case _:
                new = NewTask(owner_id=OWNER, actor="echo", payload={}, reserves=Decimal(1))

                async def advance(joined: Session) -> None:
                    await bench.queue.enqueue_many([new], session=joined)

                await bench.database.transaction(advance)
        await session.end_session()

    assert sum(await bench.figures()) == (1 if write == "record" else 2)
