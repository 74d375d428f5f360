"""Going back over HTTP: planned and done, without losing what was."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

from appdb import Claimer, Lease, TaskQueue

Start = Callable[..., Awaitable[dict[str, Any]]]


async def answered(client: httpx2.AsyncClient, run: dict[str, Any], *values: str) -> dict[str, Any]:
    """Answer the run's questions, and return the run then."""
    for value in values:
        path = f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}/answer"
        answer = await client.post(path, json={"response": {"value": value}})
        assert answer.status_code == 200, answer.text
        run = answer.json()
    return run


async def back(client: httpx2.AsyncClient, run: dict[str, Any], way: str, **body: Any) -> dict[str, Any]:
    """Plan a way back, do it, check that both say the same, and return the run then."""
    path = f"/api/runs/{run['id']}/{way}"
    planned = await client.post(f"{path}?dry_run=true", json=body)
    assert planned.status_code == 200, planned.text
    assert (await client.get(f"/api/runs/{run['id']}")).json()["last_seq"] == run["last_seq"]
    done = await client.post(path, json=body)
    assert done.status_code == 200, done.text
    assert done.json()["plan"] == planned.json()["plan"]
    found: dict[str, Any] = done.json()["run"]
    return found


async def test_retry_asks_again_on_same_branch(client: httpx2.AsyncClient, start: Start) -> None:
    run = await answered(client, await start(), "weather")

    retried = await back(client, run, "retry", module="topic", feedback={"message": "shorter"})
    done = await answered(client, retried, "rain", "wet")

    assert (retried["branch_id"], retried["question"]["title"]) == (run["branch_id"], "What is the topic?")
    assert done["output"] == {"said": "rain: wet"}


async def test_jump_leads_to_new_branch(client: httpx2.AsyncClient, start: Start) -> None:
    run = await answered(client, await start(), "weather", "fine")

    jumped = await back(client, run, "jump", module="mood")
    done = await answered(client, jumped, "bad")

    branches = (await client.get(f"/api/runs/{run['id']}/branches")).json()["items"]
    assert jumped["question"]["title"] == "How is weather?"
    assert jumped["branch_id"] != run["branch_id"]
    assert done["output"] == {"said": "weather: bad"}
    assert [branch["current"] for branch in branches] == [True, False]


async def test_old_question_is_asked_again_and_left_branch_returned_to(
    client: httpx2.AsyncClient, start: Start
) -> None:
    first = await start()
    run = await answered(client, first, "weather", "fine")

    again = await back(client, run, "branch", interaction_id=first["question"]["interaction_id"])
    other = await answered(client, again, "music", "loud")
    returned = await back(client, other, "switch", branch_id=run["branch_id"])

    assert again["question"]["title"] == "What is the topic?"
    assert other["output"] == {"said": "music: loud"}
    assert (returned["status"], returned["values"]) == ("completed", {"topic": "weather"})
    assert returned["output"] == run["output"] == {"said": "weather: fine"}


async def test_reset_begins_again(client: httpx2.AsyncClient, start: Start) -> None:
    run = await answered(client, await start(), "weather", "fine")

    begun = await back(client, run, "reset")

    assert (begun["question"]["title"], begun["values"]) == ("What is the topic?", {})
    assert begun["id"] == run["id"]


async def test_run_moves_to_other_version(
    client: httpx2.AsyncClient, start: Start, two_questions: dict[str, Any]
) -> None:
    run = await answered(client, await start(), "weather")
    changed = two_questions | {"output": {"all": "{{ state.topic }}"}}
    saved = (await client.post("/api/workflows", json={"definition": changed})).json()

    moved = await back(client, run, "version", version_id=saved["version"]["id"])
    done = await answered(client, moved, "fine")

    assert moved["version_id"] == saved["version"]["id"] != run["version_id"]
    assert done["output"] == {"all": "weather"}


async def test_failed_run_goes_on_by_retry_with_other_inputs(client: httpx2.AsyncClient, start: Start) -> None:
    check = {
        "id": "check",
        "type": "io.validate@1",
        "in": {"value": "x", "schema": {"type": "integer"}},
    }
    steps = [{"id": "work", "modules": [check]}]
    run = await start(definition={"format": 1, "name": "checks", "steps": steps})

    done = await back(client, run, "retry", module="check", inputs={"value": 7})

    assert run["status"] == "error"
    assert done["status"] == "completed"


async def test_retries_at_once_are_done_once(client: httpx2.AsyncClient, start: Start) -> None:
    run = await answered(client, await start(), "weather")
    body = {"module": "topic", "last_seq": run["last_seq"]}

    answers = await asyncio.gather(*(client.post(f"/api/runs/{run['id']}/retry", json=body) for _ in range(6)))

    log = (await client.get(f"/api/runs/{run['id']}/events")).json()["items"]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert Counter(event["type"] for event in log)["retry_requested"] == 1


async def test_way_to_unknown_module_is_refused(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()

    refused = await client.post(f"/api/runs/{run['id']}/jump", json={"module": "mood"})
    unknown = await client.post(f"/api/runs/{run['id']}/branch", json={"interaction_id": "int_x"})

    assert (refused.status_code, refused.json()["facts"]["code"]) == (409, "action_refused")
    assert unknown.status_code == 404


async def test_retry_of_failed_items_runs_no_other_again(
    client: httpx2.AsyncClient, start: Start, queue: TaskQueue
) -> None:
    draw = {
        "id": "draw",
        "type": "task.run@1",
        "in": {"actor": "picture", "queue": "media", "payload": {"n": "{{ item }}"}},
    }
    every = {"id": "all", "type": "flow.map@1", "in": {"items": ["a", "b", "c"], "run": draw, "at_once": 3}}
    steps = [{"id": "work", "modules": [every]}]
    run = await start(definition={"name": "maps", "steps": steps, "output": {"results": "{{ modules.all.results }}"}})
    address, claimer = f"/api/runs/{run['id']}", Claimer(worker_id="w", queues=("media",), handlers=("picture@1",))

    async def work(failing: str) -> list[str]:
        """Do what a worker would, and return the items that it was given."""
        tasks = await queue.claim(claimer, limit=10)
        # The one that fails comes last: the map stops at it.
        for task in sorted(tasks, key=lambda task: task.payload["n"] == failing):
            item = str(task.payload["n"])
            if item == failing:
                await queue.fail(Lease.of(task), "Discarded", "no", retry_in=None)
            else:
                await queue.complete(Lease.of(task), {"made": item})
        await client.post(f"{address}/look")
        return sorted(str(task.payload["n"]) for task in tasks)

    given = await work("b")
    failed = (await client.get(address)).json()
    retried = await back(client, failed, "retry", module="all", failed_only=True)
    again = await work("")
    done = (await client.get(address)).json()

    assert (given, failed["status"]) == (["a", "b", "c"], "error")
    assert (again, retried["branch_id"]) == (["b"], run["branch_id"])
    assert done["status"] == "completed", done
    assert [one["result"]["made"] for one in done["output"]["results"]] == ["a", "b", "c"]
