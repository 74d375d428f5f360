"""Values that no event can hold: the run stops at an error with its ways on, the person is told, nothing is stuck."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from appdb import Claimer, Lease, TaskQueue, TooLargeError

Start = Callable[..., Awaitable[dict[str, Any]]]
SOON = 20
KIB = 1024
WAYS_ON = {"retry", "jump", "move_version", "reset", "cancel"}
REST = {"id": "rest", "type": "flow.wait@1", "in": {"seconds": 0.1}}
TASK = {"id": "part", "type": "task.run@1", "in": {"actor": "work"}}
LISTS = {"id": "part", "type": "transform.concat@1", "in": {"lists": [["x" * KIB] * 70] * 2}}
SAVE = {"id": "save", "type": "io.save@1", "in": {"name": "a.json", "content": ["x" * KIB] * 140}}
LOAD = {"id": "part", "type": "io.load@1", "in": {"name": "a.json"}}
INNER = {**TASK, "id": "inner"}
MAP = {"id": "part", "type": "flow.map@1", "in": {"items": list(range(20)), "run": INNER}}
CHILD = {"id": "part", "type": "flow.child@1", "in": {"run": [{**TASK, "id": f"inner{n}"} for n in range(9)]}}
LARGE_CHILD = {"id": "part", "type": "flow.child@1", "in": {"run": [{**TASK, "id": f"inner{n}"} for n in range(20)]}}
PAYLOAD = {**TASK, "in": {"actor": "work", "payload": {"text": "x" * 205 * KIB}}}
MANY = {"id": "make", "type": "transform.concat@1", "in": {"lists": [[1] * 9_500]}}
ITEMS = {"id": "part", "type": "flow.map@1", "in": {"items": [["{{ modules.make.items }}"] * 3], "run": INNER}}


def workflow(*modules: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"name": "large", "steps": [{"id": "only", "modules": list(modules)}], **more}


@asynccontextmanager
async def working(queue: TaskQueue, result: dict[str, Any]) -> AsyncIterator[None]:
    """Complete each task with *result*; one that no task can hold is said as workers say it."""
    claimer = Claimer(worker_id="wrk_1", queues=("default",), handlers=("work@1",))

    async def work() -> None:
        while True:
            for task in await queue.claim(claimer, limit=16):
                try:
                    await queue.complete(Lease.of(task), result)
                except TooLargeError as exc:
                    said = f"the actor's result cannot be stored: {exc}"
                    await queue.fail(Lease.of(task), type(exc).__name__, said, retry_in=None)
            await asyncio.sleep(0.02)

    running = asyncio.create_task(work())
    try:
        yield
    finally:
        running.cancel()


async def settled(client: httpx2.AsyncClient, run: dict[str, Any]) -> dict[str, Any]:
    """Return the run once it goes on no more by itself."""
    async with asyncio.timeout(SOON):
        while (now := (await client.get(f"/api/runs/{run['id']}")).json())["status"] == "processing":
            await asyncio.sleep(0.05)
    found: dict[str, Any] = now
    return found


CASES = {
    "result of a task": ([TASK], 70 * KIB, "invalid_output", "part", "71,702 bytes", "65,536", "actor work"),
    "result that no task holds": ([TASK], 300 * KIB, "invalid_output", "task tq_", "307,216", "262,144", "retry"),
    "outputs": ([LISTS], 0, "invalid_output", "module part (transform.concat@1)", "143,", "131,072", "io.save"),
    "loaded file": ([SAVE, LOAD], 0, "invalid_output", "module part (io.load@1)", "143,", "131,072", "io.save"),
    "small results of a map": ([MAP], 8 * KIB, "invalid_output", "module part (flow.map@1)", "165,", "131,072", "part"),
    "output of a child": ([CHILD], 8 * KIB, "invalid_output", "module part", "74,", "65,536", "io.save"),
    "large output of a child": ([LARGE_CHILD], 8 * KIB, "misconfigured", "the output", "165,", "131,072", "output"),
    "input of a task": ([PAYLOAD], 0, "misconfigured", "module part", "209,931", "204,800", "give less"),
}


@pytest.mark.parametrize("before", [(), (REST,)], ids=["in the request", "in the loop"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_value_that_no_event_holds_is_an_error_of_the_run(
    client: httpx2.AsyncClient,
    start: Start,
    queue: TaskQueue,
    case: tuple[Any, ...],
    before: tuple[dict[str, Any], ...],
) -> None:
    modules, given, code, what, size, most, hint = case
    async with working(queue, {"text": "x" * given}):
        run = await start(definition=workflow(*before, *modules))
        failed = await settled(client, run)

    error = failed["error"]
    assert (failed["status"], error["code"], error["at"]["module"]) == ("error", code, "part")
    assert what in error["message"]
    assert f"{size}" in error["message"]
    assert f"{most} are allowed" in error["message"]
    assert hint in error["hint"]
    assert set(failed["actions"]) >= WAYS_ON


async def test_item_of_many_small_values_is_told_by_its_map(
    client: httpx2.AsyncClient, start: Start, queue: TaskQueue
) -> None:
    """As JSON it is small; as it is stored it takes five times as much."""
    async with working(queue, {}):
        failed = await settled(client, await start(definition=workflow(REST, MANY, ITEMS)))

    assert (failed["status"], failed["module"], failed["error"]["code"]) == ("error", "part", "misconfigured")
    assert "as it is stored" in failed["error"]["message"]


async def test_answer_that_is_too_large_leaves_its_question(client: httpx2.AsyncClient, start: Start) -> None:
    ask = {"id": "ask", "type": "user.form@1", "in": {"title": "What?", "schema": {"type": "object"}}}
    named = {**ask, "out": {"said": "answer"}}
    for module, size, told in [
        (ask, 140 * KIB, "the answer takes 143,"),
        (ask, 500 * KIB, "the answer takes 512,"),
        (named, 70 * KIB, "outputs of module ask (user.form@1), with what has a name in the state, take 143,"),
    ]:
        run = await start(definition=workflow(module))
        address = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"

        refused = await client.post(address, json={"response": {"text": "x" * size}})
        now = (await client.get(f"/api/runs/{run['id']}")).json()
        taken = await client.post(address, json={"response": {"text": "x" * 60 * KIB}})

        (error,) = refused.json()["errors"]
        assert (refused.status_code, error["field"]) == (422, "")
        assert told in error["message"]
        assert "131,072 are allowed; give less" in error["message"]
        assert (now["status"], now["last_seq"]) == ("awaiting_input", run["last_seq"])
        assert (taken.status_code, taken.json()["status"]) == (200, "completed")


@pytest.mark.parametrize("size", [130 * KIB, 256 * KIB - 120])
async def test_message_that_no_wait_could_take_is_refused(client: httpx2.AsyncClient, start: Start, size: int) -> None:
    """Some were kept before, and stopped the run for ever where it waited for them."""
    run = await start(definition=workflow(REST, {"id": "wait", "type": "flow.signal@1", "in": {"name": "go"}}))
    address = f"/api/runs/{run['id']}/signals"

    refused = await client.post(address, json={"name": "go", "payload": "x" * size})
    taken = await client.post(address, json={"name": "go", "payload": "x" * 120 * KIB})

    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "/payload")
    assert "131,072 are allowed" in refused.json()["errors"][0]["message"]
    assert taken.status_code == 200
    assert (await settled(client, run))["status"] == "completed"
