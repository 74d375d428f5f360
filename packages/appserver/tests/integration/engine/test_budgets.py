"""Budgets of runs: a task that may cost more than is left is not started; the run goes on when the limit is raised."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx2

from appdb import BudgetRepository, Claimer, Database, Lease, TaskQueue, TokenRepository
from appdb.models import BudgetKind, BudgetScope, CallUsage

MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
Start = Callable[..., Awaitable[dict[str, Any]]]

SOON = 30


def paid(name: str, estimate: str) -> dict[str, Any]:
    return {"id": name, "type": "task.run@1", "in": {"actor": "picture", "queue": "media", "estimate": estimate}}


def workflow(*modules: dict[str, Any]) -> dict[str, Any]:
    steps = [{"id": "work", "modules": list(modules)}]
    return {"format": 1, "name": "paid", "steps": steps, "cost_limit": "1.00"}


async def test_dear_task_is_refused_until_limit_is_raised(
    make_client: MakeClient, address: str, start: Start, database: Database
) -> None:
    async with httpx2.AsyncClient(base_url=address) as visitor:
        guest = (await visitor.post("/api/guests")).json()
    client = await make_client(key=guest["key"])
    run = await start(client, definition=workflow(paid("draw", "2.00")))
    scope = BudgetScope(kind=BudgetKind.RUN, run_id=run["id"])

    await BudgetRepository(database).set_limit(scope, Decimal(5), owner_id=guest["user_id"])
    again = await client.post(f"/api/runs/{run['id']}/retry", json={"module": "draw"})

    assert (run["status"], run["error"]["code"]) == ("error", "budget_exceeded")
    assert again.status_code == 200, again.text
    assert [wait["kind"] for wait in again.json()["run"]["waiting_on"]] == ["task"]


async def test_dear_task_after_another_stops_the_run(
    client: httpx2.AsyncClient, start: Start, queue: TaskQueue
) -> None:
    run = await start(definition=workflow(paid("sketch", "0.50"), paid("draw", "2.00")))
    claimer = Claimer(worker_id="w", queues=("media",), handlers=("picture@1",))
    task = (await queue.claim(claimer))[0]

    await queue.complete(Lease.of(task), {})
    looked = await client.post(f"/api/runs/{run['id']}/look")

    assert run["status"] == "processing"
    assert looked.json()["error"]["code"] == "budget_exceeded"
    assert looked.json()["error"]["at"]["module"] == "draw"


async def test_plan_tells_what_modules_cost_before(
    client: httpx2.AsyncClient, start: Start, queue: TaskQueue, database: Database
) -> None:
    run = await start(definition=workflow(paid("sketch", "0.50")))
    task = (await queue.claim(Claimer(worker_id="w", queues=("media",), handlers=("picture@1",))))[0]
    used = CallUsage(provider="p", model="m", operation="txt2img", cost=Decimal("0.07"))
    await TokenRepository(database).record_for_task(Lease.of(task), task, "call", used)
    await queue.complete(Lease.of(task), {})
    await client.post(f"/api/runs/{run['id']}/look")

    planned = await client.post(f"/api/runs/{run['id']}/retry?dry_run=true", json={"module": "sketch"})

    assert planned.json()["plan"]["estimated_cost"] == "0.07"


async def test_parts_of_map_share_limit_of_run(client: httpx2.AsyncClient, start: Start, database: Database) -> None:
    # One may fail, so that the other two go on and keep what they have reserved.
    given = {
        "items": ["a", "b", "c"],
        "run": [paid("draw", "0.40")],
        "at_once": 3,
        "complete_when": {"tolerated_failures": 1},
    }
    run = await start(definition=workflow({"id": "each", "type": "flow.map@1", "in": given}))
    statuses: list[str] = []
    async with asyncio.timeout(SOON):
        # Each part is begun by a task of the engine; of three, two fit.
        while "error" not in statuses or "created" in statuses:
            await asyncio.sleep(0.05)
            parts = (await client.get(f"/api/runs/{run['id']}/children")).json()["items"]
            statuses = [part["status"] for part in parts]
    row = await database.collection("budgets").find_one({"_id": f"run:{run['id']}"}) or {}
    scope = BudgetScope(kind=BudgetKind.RUN, run_id=run["id"])
    budget = await BudgetRepository(database).get(scope, owner_id=row["owner_id"])

    assert sorted(statuses) == ["error", "processing", "processing"]
    assert (budget.limit, budget.reserved) == (Decimal(1), Decimal("0.8"))
