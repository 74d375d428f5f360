"""Repeated tasks: retried, replayed with the same or another payload, and what tasks have spawned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import pytest

from appdb import Database, Lease, NewTask, Task, TaskQueue, WorkflowRepository
from appdb.models import NewRun

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]


async def owner_of(client: httpx2.AsyncClient) -> str:
    return str((await client.get("/api/me")).json()["user_id"])


@pytest.fixture
async def failed(client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue) -> dict[str, Any]:
    """A task that has failed for good."""
    task = await submit(client)
    _, lease = await claim()
    await queue.fail(lease, "broken", "no luck", retry_in=None)
    return task


async def test_failed_task_is_retried_as_a_new_one(client: httpx2.AsyncClient, failed: dict[str, Any]) -> None:
    answer = await client.post(f"/api/tasks/{failed['id']}/retry")

    again = answer.json()
    assert (answer.status_code, again["state"], again["payload"]) == (200, "queued", failed["payload"])
    assert again["id"] != failed["id"]
    assert answer.headers["location"] == f"/api/tasks/{again['id']}"
    assert (await client.get(f"/api/tasks/{failed['id']}")).json()["state"] == "failed"


async def test_waiting_task_is_retried_at_once(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await queue.fail(lease, "busy", "later", retry_in=timedelta(hours=1))

    answer = await client.post(f"/api/tasks/{task['id']}/retry")

    assert (answer.status_code, answer.json()["id"]) == (200, task["id"])
    claimed, _ = await claim()
    assert claimed.id == task["id"]


async def test_task_that_lives_is_not_repeated(client: httpx2.AsyncClient, submit: Submit) -> None:
    task = await submit(client)

    retried = await client.post(f"/api/tasks/{task['id']}/retry")
    replayed = await client.post(f"/api/tasks/{task['id']}/replay", json={})

    assert (retried.status_code, replayed.status_code) == (409, 409)
    assert "queued" in retried.json()["detail"]
    assert len((await client.get("/api/tasks")).json()["items"]) == 1


async def test_replay_takes_the_same_or_another_payload(client: httpx2.AsyncClient, failed: dict[str, Any]) -> None:
    other = {**failed["payload"], "script": "Another."}

    same = await client.post(f"/api/tasks/{failed['id']}/replay", json={})
    changed = await client.post(f"/api/tasks/{failed['id']}/replay", json={"payload": other})
    misfit = await client.post(f"/api/tasks/{failed['id']}/replay", json={"payload": {"operation": "nothing"}})

    assert (same.status_code, same.json()["payload"]) == (201, failed["payload"])
    assert (changed.status_code, changed.json()["payload"]) == (201, other)
    assert misfit.status_code == 422
    assert "payload.operation" in {error["field"] for error in misfit.json()["errors"]}
    assert len({same.json()["id"], changed.json()["id"], failed["id"]}) == 3


async def test_replays_of_one_key_make_one_task(client: httpx2.AsyncClient, failed: dict[str, Any]) -> None:
    path, headers = f"/api/tasks/{failed['id']}/replay", {"Idempotency-Key": "again-1"}

    answers = await asyncio.gather(*(client.post(path, json={}, headers=headers) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("/api/tasks")).json()["items"]) == 2


async def test_task_of_a_run_is_repeated_by_its_run(
    client: httpx2.AsyncClient, database: Database, queue: TaskQueue
) -> None:
    owner = await owner_of(client)
    run, _ = await WorkflowRepository(database).open(NewRun(project="film"), owner_id=owner)
    task = await queue.enqueue(NewTask(actor="free", owner_id=owner, payload={}, run_id=run.id))
    await queue.cancel(task.id, owner_id=owner)

    for answer in (
        await client.post(f"/api/tasks/{task.id}/retry"),
        await client.post(f"/api/tasks/{task.id}/replay", json={}),
    ):
        assert answer.status_code == 409
        assert f"/api/runs/{run.id}/retry" in answer.json()["detail"]


async def test_children_are_listed_for_their_owner(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue, make_client: MakeClient
) -> None:
    task = await submit(client)
    claimed, lease = await claim()
    spawned = [
        await queue.spawn(lease, key, NewTask(actor="free", owner_id=claimed.owner_id, payload={"n": key}))
        for key in ("first", "second")
    ]
    stranger = await make_client()

    listed = (await client.get(f"/api/tasks/{task['id']}/children")).json()["items"]

    assert [child["id"] for child in listed] == spawned
    assert {"payload", "result"}.isdisjoint(listed[0])
    assert (await client.get(f"/api/tasks/{spawned[0]}/children")).json()["items"] == []
    assert (await stranger.get(f"/api/tasks/{task['id']}/children")).status_code == 404


@pytest.mark.parametrize("action", ["retry", "replay"])
async def test_anothers_task_is_not_repeated(
    failed: dict[str, Any], make_client: MakeClient, queue: TaskQueue, action: str
) -> None:
    stranger = await make_client()

    for task_id in (failed["id"], "tq_missing"):
        assert (await stranger.post(f"/api/tasks/{task_id}/{action}", json={})).status_code == 404
    assert await queue.page(owner_id=await owner_of(stranger)) == []


async def test_key_of_another_replay_is_refused(client: httpx2.AsyncClient, failed: dict[str, Any]) -> None:
    path, headers = f"/api/tasks/{failed['id']}/replay", {"Idempotency-Key": "again-1"}
    await client.post(path, json={}, headers=headers)

    other = await client.post(path, json={"payload": {**failed["payload"], "script": "Another."}}, headers=headers)

    assert (other.status_code, other.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert len((await client.get("/api/tasks")).json()["items"]) == 2
