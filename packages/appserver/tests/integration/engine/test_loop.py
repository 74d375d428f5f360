"""The engine's loop: what happens outside of requests, such as ends of tasks, timers and child runs, moves runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from appdb import Claimer, Lease, Task, TaskQueue

Start = Callable[..., Awaitable[dict[str, Any]]]
SOON = 30


def workflow(*modules: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"format": 1, "name": "works", "steps": [{"id": "work", "modules": list(modules)}], **changes}


DRAW: dict[str, Any] = {
    "id": "draw",
    "type": "task.run@1",
    "in": {"actor": "picture", "queue": "media", "payload": {"prompt": "tide"}},
}
GIVE = {"drawn": "{{ modules.draw.result }}"}


async def claimed(queue: TaskQueue, actor: str = "picture") -> tuple[Task, Lease]:
    """Claim the next task of an actor, as a worker would."""
    claimer = Claimer(worker_id="w", queues=("media",), handlers=(f"{actor}@1",))
    async with asyncio.timeout(SOON):
        while not (tasks := await queue.claim(claimer)):
            await asyncio.sleep(0.05)
    return tasks[0], Lease.of(tasks[0])


async def until(client: httpx2.AsyncClient, run_id: str, *statuses: str) -> dict[str, Any]:
    """Return the run once it has one of *statuses*."""
    async with asyncio.timeout(SOON):
        while True:
            run: dict[str, Any] = (await client.get(f"/api/runs/{run_id}")).json()
            if run["status"] in statuses:
                return run
            await asyncio.sleep(0.05)


async def test_end_of_task_moves_run_on(client: httpx2.AsyncClient, start: Start, queue: TaskQueue) -> None:
    run = await start(definition=workflow(DRAW, output=GIVE))
    task, lease = await claimed(queue)

    await queue.complete(lease, {"content_ids": ["gc_1"]})
    done = await until(client, run["id"], "completed", "error")

    assert [wait["kind"] for wait in run["waiting_on"]] == ["task"]
    assert (task.run_id, task.module) == (run["id"], "draw")
    assert done["output"] == {"drawn": {"content_ids": ["gc_1"]}}


async def test_failed_task_stops_run_with_ways_on(client: httpx2.AsyncClient, start: Start, queue: TaskQueue) -> None:
    run = await start(definition=workflow(DRAW))
    _, lease = await claimed(queue)

    await queue.fail(lease, "Discarded", "no such picture", retry_in=None)
    failed = await until(client, run["id"], "error")

    assert failed["error"]["code"] == "rejected"
    assert failed["error"]["message"].endswith("no such picture")
    assert {"retry", "jump"} <= set(failed["actions"])


async def test_timer_moves_run_on(client: httpx2.AsyncClient, start: Start) -> None:
    rest = {"id": "rest", "type": "flow.wait@1", "in": {"seconds": 1}}

    run = await start(definition=workflow(rest))

    assert [wait["kind"] for wait in run["waiting_on"]] == ["timer"]
    assert (await until(client, run["id"], "completed", "error"))["status"] == "completed"


async def test_unanswered_question_expires_with_default(client: httpx2.AsyncClient, start: Start) -> None:
    inputs = {"title": "What?", "expires_seconds": 1, "default": "nothing"}
    ask = {"id": "ask", "type": "user.text_input@1", "in": inputs}

    run = await start(definition=workflow(ask, output={"said": "{{ modules.ask.value }}"}))
    done = await until(client, run["id"], "completed", "error")
    asked = run["question"]["interaction_id"]
    address = f"/api/runs/{run['id']}/interactions/{asked}/answer"
    late = await client.post(address, json={"response": {"value": "something"}})

    assert run["question"]["expires_at"] is not None
    assert done["output"] == {"said": "nothing"}
    assert (late.status_code, late.json()["facts"]["code"]) == (409, "expired")


async def test_parts_of_map_end_their_run(client: httpx2.AsyncClient, start: Start, queue: TaskQueue) -> None:
    draw = {"id": "draw", "type": "task.run@1", "in": DRAW["in"] | {"payload": {"prompt": "{{ item }}"}}}
    keep = {
        "id": "keep",
        "type": "io.save@1",
        "in": {"name": "{{ item }}.json", "content": "{{ modules.draw.result }}"},
    }
    each = {"id": "each", "type": "flow.map@1", "in": {"items": ["a", "b", "c"], "run": [draw, keep], "at_once": 2}}

    run = await start(definition=workflow(each))
    for _ in range(3):
        task, lease = await claimed(queue)
        await queue.complete(lease, {"drawn": task.payload["prompt"]})
    done = await until(client, run["id"], "completed", "error")

    assert done["status"] == "completed"
    children = (await client.get(f"/api/runs/{run['id']}/children")).json()["items"]
    assert [(child["status"], child["parent_id"]) for child in children] == [("completed", run["id"])] * 3
    assert (await client.get("/api/runs")).json()["items"][0]["id"] == run["id"]


async def test_signal_before_wait_is_kept(client: httpx2.AsyncClient, start: Start) -> None:
    ask = {"id": "ask", "type": "user.text_input@1", "in": {"title": "What?"}}
    wait = {"id": "wait", "type": "flow.signal@1", "in": {"name": "delivered"}}
    run = await start(definition=workflow(ask, wait))
    path = f"/api/runs/{run['id']}"

    sent = await client.post(
        f"{path}/signals", json={"name": "delivered", "payload": 7}, headers={"Idempotency-Key": "s"}
    )
    await client.post(f"{path}/signals", json={"name": "delivered", "payload": 7}, headers={"Idempotency-Key": "s"})
    asked = run["question"]["interaction_id"]
    done = await client.post(f"{path}/interactions/{asked}/answer", json={"response": {"value": "x"}})

    assert sent.json()["status"] == "awaiting_input"
    assert done.json()["status"] == "completed"


async def test_stuck_run_is_advanced_by_a_look(client: httpx2.AsyncClient, start: Start, queue: TaskQueue) -> None:
    run = await start(definition=workflow(DRAW, output=GIVE))
    await queue.pause("engine")
    _, lease = await claimed(queue)
    await queue.complete(lease, {"done": True})
    looked = await client.post(f"/api/runs/{run['id']}/look")

    assert looked.json()["output"] == {"drawn": {"done": True}}


async def test_run_over_budget_stops_and_goes_on_when_raised(client: httpx2.AsyncClient, start: Start) -> None:
    draw = DRAW | {"in": DRAW["in"] | {"estimate": "2.00"}}
    ask = {"id": "ask", "type": "user.text_input@1", "in": {"title": "What?"}}
    run = await start(definition=workflow(ask, draw, cost_limit="1.50"))
    path = f"/api/runs/{run['id']}"

    answered = f"{path}/interactions/{run['question']['interaction_id']}/answer"
    stopped = (await client.post(answered, json={"response": {"value": "x"}})).json()
    raised = await client.put(f"{path}/budget", json={"limit": "3"})
    retried = (await client.post(f"{path}/retry", json={"module": "draw"})).json()["run"]

    assert (stopped["status"], stopped["error"]["code"]) == ("error", "budget_exceeded")
    assert raised.json()["limit"] == "3"
    assert [wait["kind"] for wait in retried["waiting_on"]] == ["task"]
    assert (await client.get(f"{path}/budgets")).json()[0]["reserved"] == "2"
