"""Submitting, listing, reading and cancelling tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from appdb import Database, Lease, Task, TaskQueue

PROBLEM = "application/problem+json"

Submit = Callable[..., Awaitable[dict[str, Any]]]
Claim = Callable[[], Awaitable[tuple[Task, Lease]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]


def fields_of(answer: httpx2.Response) -> list[str]:
    assert answer.headers["content-type"] == PROBLEM, answer.text
    return [error["field"] for error in answer.json()["errors"]]


async def test_submitted_task_is_created_with_location(
    client: httpx2.AsyncClient, queue: TaskQueue, database: Database
) -> None:
    body = {"actor": "media", "payload": {"operation": "script2video", "script": "Hello 👋"}, "priority": 7}

    answer = await client.post("/api/tasks", json=body)

    task = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/tasks/{task['id']}"
    assert (task["state"], task["priority"], task["last_seq"], task["max_attempts"]) == ("queued", 7, -1, 2)
    assert (await client.get(answer.headers["location"])).json() == task
    stored = (await queue.page(owner_id=await _owner(database, task["id"])))[0]
    assert (stored.queue, stored.actor_version, stored.timeout_seconds) == ("media", 1, 60)


async def _owner(database: Database, task_id: str) -> str:
    row = await database.collection("tasks").find_one({"_id": task_id})
    assert row is not None
    return str(row["owner_id"])


async def test_answers_hide_lease_and_owner(client: httpx2.AsyncClient, submit: Submit, claim: Claim) -> None:
    task = await submit(client)
    _, lease = await claim()

    answer = await client.get(f"/api/tasks/{task['id']}")

    assert answer.json()["state"] == "processing"
    assert lease.token not in answer.text
    assert {"lease", "owner_id", "unique_key", "queue"}.isdisjoint(answer.json())


@pytest.mark.parametrize(
    ("body", "status", "fields"),
    [
        ('{"actor":', 400, ["body"]),
        ("[]", 422, ["body"]),
        ('{"payload":{}}', 422, ["actor"]),
        ('{"actor":"free"}', 422, ["payload"]),
        ('{"actor":"free","payload":[]}', 422, ["payload"]),
        ('{"actor":"free","payload":{},"owner_id":"usr_1"}', 422, ["owner_id"]),
        ('{"actor":"free","payload":{},"state":"completed"}', 422, ["state"]),
        ('{"actor":"free","payload":{},"priority":1.5}', 422, ["priority"]),
        ('{"actor":"free","payload":{},"priority":101}', 422, ["priority"]),
        ('{"actor":{"$gt":""},"payload":{}}', 422, ["actor"]),
        ('{"actor":"nobody","payload":{}}', 422, ["actor"]),
        ('{"actor":"free","payload":{"a":{"script":"\\ud800"}}}', 422, ["payload.a.script"]),
        ('{"actor":"free","payload":{"a":["x","\\udfff"]}}', 422, ["payload.a.1"]),
        ('{"actor":"free","payload":{"\\ud800":1}}', 422, ["payload"]),
        ('{"actor":"free","payload":{},"\\ud800":1}', 422, ["body"]),
        ('{"actor":"free","payload":{"a\\u0000b":1}}', 422, ["payload"]),
        ('{"actor":"free","payload":{"x":NaN}}', 422, ["payload.x"]),
        ('{"actor":"free","payload":{"x":1e400}}', 422, ["payload.x"]),
        ('{"actor":"free","payload":{"x":9223372036854775808}}', 422, ["payload.x"]),
        ('{"actor":"free","payload":%s}' % ('{"a":' * 190 + "1" + "}" * 190), 422, ["payload.a.a"]),
        ('{"actor":"free","payload":%s}' % ('{"a":' * 20_000 + "1" + "}" * 20_000), 400, ["body"]),
        ('{"actor":"media","payload":{}}', 422, ["payload.operation", "payload.script"]),
        ('{"actor":"media","payload":{"operation":"script2video","script":""}}', 422, ["payload.script"] * 2),
        ('{"actor":"media","payload":{"operation":"script2video","script":" \\n\\t "}}', 422, ["payload.script"]),
        ('{"actor":"media","payload":{"operation":"script2video","script":7}}', 422, ["payload.script"]),
        ('{"actor":"media","payload":{"operation":"x","script":"a"}}', 422, ["payload.operation"]),
    ],
)
async def test_bad_request_problem_names_field(
    client: httpx2.AsyncClient, body: str, status: int, fields: list[str]
) -> None:
    answer = await client.post("/api/tasks", content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == status, answer.text
    assert fields_of(answer) == fields
    assert {"type", "title", "status", "detail", "instance"} <= answer.json().keys()
    assert (await client.get("/api/tasks")).json()["items"] == []


@pytest.mark.parametrize(
    ("schema", "payload", "status"),
    [
        ({"properties": {"name": {"type": "string", "pattern": r"^\p{L}+$"}}}, {"name": "Zoë"}, 201),
        ({"properties": {"name": {"type": "string", "pattern": r"^\p{L}+$"}}}, {"name": "Zoë1"}, 422),
        ({"properties": {"name": {"type": "string", "pattern": "(?!x)"}}}, {"name": "x"}, 201),
        ({"type": "strin"}, {"name": "x"}, 201),
        ({"$ref": "https://elsewhere.example/schema"}, {"name": "x"}, 201),
    ],
)
async def test_any_schema_gives_no_server_error(
    client: httpx2.AsyncClient, database: Database, schema: dict[str, Any], payload: dict[str, Any], status: int
) -> None:
    # As a worker of an older release stored it, which checked nothing.
    await database.collection("actors").update_one({"_id": "free"}, {"$set": {"payload_schema": schema}})

    answer = await client.post("/api/tasks", json={"actor": "free", "payload": payload})

    assert answer.status_code == status, answer.text


async def test_unknown_actor_error_names_known_ones(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/tasks", json={"actor": "nobody", "payload": {}})

    assert "known are free, media" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("script", "x" * 20_001, "it has 20,001 characters; at most 20,000 are allowed"),
        ("title", "x" * 121, "it has 121 characters; at most 120 are allowed"),
        ("script", "\x07\n", "it is empty, or not of the form that is asked for"),
    ],
)
async def test_problem_message_tells_reason(client: httpx2.AsyncClient, field: str, value: str, message: str) -> None:
    payload = {"operation": "script2video", "script": "Hello.", field: value}

    answer = await client.post("/api/tasks", json={"actor": "media", "payload": payload})

    assert answer.json()["errors"] == [{"field": f"payload.{field}", "message": message}]


async def test_payload_over_256_kib_is_refused(client: httpx2.AsyncClient) -> None:
    over = await client.post("/api/tasks", json={"actor": "free", "payload": {"x": "a" * (256 * 1024)}})
    below = await client.post("/api/tasks", json={"actor": "free", "payload": {"x": "a" * (256 * 1024 - 100)}})

    assert (over.status_code, fields_of(over)) == (413, ["payload"])
    assert below.status_code == 201


async def test_pasted_text_is_whole_or_refused_with_count(client: httpx2.AsyncClient) -> None:
    text = "A word, 一个字, كلمة. " * 6_000

    made = await client.post("/api/tasks", json={"actor": "free", "payload": {"text": text}})
    twice = await client.post("/api/tasks", json={"actor": "free", "payload": {"text": text * 2}})
    task = await client.get(made.headers["location"])

    assert task.json()["payload"]["text"] == text
    assert twice.status_code == 413
    assert f"{len((text * 2).encode()):,}"[:3] in twice.json()["detail"]
    assert "262,144 bytes" in twice.json()["detail"]
    assert len((await client.get("/api/tasks")).json()["items"]) == 1


@pytest.mark.parametrize("announced_length", [True, False])
async def test_body_over_limit_is_problem(client: httpx2.AsyncClient, announced_length: bool) -> None:
    async def parts() -> Any:
        for _ in range(20):
            yield b" " * 65_536

    content = b" " * 20 * 65_536 if announced_length else parts()
    answer = await client.post("/api/tasks", content=content, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (413, PROBLEM)
    assert ("1,310,720 bytes" if announced_length else "more than 1,048,576 bytes") in answer.json()["detail"]
    assert answer.headers["x-request-id"]


async def test_operators_and_control_characters_are_stored(client: httpx2.AsyncClient) -> None:
    payload = {
        "x": {"$gt": ""},
        "$where": "1",
        "a.b": 1,
        "": 2,
        "nul": "a\0b",
        "emoji": "👩‍👩‍👧 \x07",
        "$$NOW": "$$ROOT",
    }

    made = await client.post("/api/tasks", json={"actor": "free", "payload": payload})

    assert made.status_code == 201
    assert (await client.get(made.headers["location"])).json()["payload"] == payload


async def test_twenty_posts_with_key_make_one_task(client: httpx2.AsyncClient) -> None:
    body = {"actor": "free", "payload": {"n": 1}}
    headers = {"Idempotency-Key": "order-17"}

    answers = await asyncio.gather(*(client.post("/api/tasks", json=body, headers=headers) for _ in range(20)))

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("/api/tasks")).json()["items"]) == 1


async def test_key_used_for_another_payload_refused(client: httpx2.AsyncClient, make_client: MakeClient) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first = await client.post("/api/tasks", json={"actor": "free", "payload": {"n": 1}}, headers=headers)

    second = await client.post("/api/tasks", json={"actor": "free", "payload": {"n": 2}}, headers=headers)
    somebody = await make_client()
    theirs = await somebody.post("/api/tasks", json={"actor": "free", "payload": {"n": 2}}, headers=headers)

    assert (second.status_code, fields_of(second)) == (422, ["Idempotency-Key"])
    assert theirs.status_code == 201
    assert theirs.json()["id"] != first.json()["id"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é".encode()])
async def test_key_not_printable_ascii_is_refused(client: httpx2.AsyncClient, key: str | bytes) -> None:
    value = key if isinstance(key, bytes) else key.encode()
    headers: list[tuple[bytes, bytes]] = [(b"Idempotency-Key", value)]

    answer = await client.post("/api/tasks", json={"actor": "free", "payload": {}}, headers=headers)

    assert answer.status_code == 422
    assert fields_of(answer) == ["idempotency-key"]


async def test_pages_hold_all_tasks_newest_first(client: httpx2.AsyncClient, submit: Submit) -> None:
    made = [(await submit(client))["id"] for _ in range(5)]

    first = (await client.get("/api/tasks", params={"limit": 2})).json()
    second = (await client.get("/api/tasks", params={"limit": 2, "before": first["next"]})).json()
    last = (await client.get("/api/tasks", params={"limit": 2, "before": second["next"]})).json()

    seen = [task["id"] for page in (first, second, last) for task in page["items"]]
    assert seen == made[::-1]
    assert last["next"] is None


async def test_tasks_are_filtered_by_state(client: httpx2.AsyncClient, submit: Submit) -> None:
    kept, cancelled = await submit(client), await submit(client)
    await client.post(f"/api/tasks/{cancelled['id']}/cancel")

    async def ids(*states: str) -> list[str]:
        answer = await client.get("/api/tasks", params=[("state", state) for state in states])
        return [task["id"] for task in answer.json()["items"]]

    assert await ids("queued") == [kept["id"]]
    assert await ids("cancelled") == [cancelled["id"]]
    assert await ids("queued", "cancelled") == [cancelled["id"], kept["id"]]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state[$ne]=x", "state[$ne]"),
        ("state=nope", "state.0"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("owner_id=usr_1", "owner_id"),
        ("before=" + "x" * 101, "before"),
    ],
)
@pytest.mark.parametrize("path", ["/api/tasks", "/api/contents"])
async def test_invalid_query_is_refused(client: httpx2.AsyncClient, path: str, query: str, field: str) -> None:
    answer = await client.get(f"{path}?{query}")

    if path == "/api/contents" and field == "state.0":
        field = "state"
    assert (answer.status_code, fields_of(answer)) == (422, [field])


async def test_cancel_is_final_and_repeatable(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()

    first = await client.post(f"/api/tasks/{task['id']}/cancel")
    second = await client.post(f"/api/tasks/{task['id']}/cancel")

    assert (first.status_code, first.json()["state"]) == (200, "cancelled")
    assert second.json() == first.json()
    assert await queue.renew([lease]) == {lease}


async def test_completed_task_cannot_be_cancelled(
    client: httpx2.AsyncClient, submit: Submit, claim: Claim, queue: TaskQueue
) -> None:
    task = await submit(client)
    _, lease = await claim()
    await queue.complete(lease, {"scenes": 2})

    answer = await client.post(f"/api/tasks/{task['id']}/cancel")

    assert (answer.status_code, answer.headers["content-type"]) == (409, PROBLEM)
    assert "already completed" in answer.json()["detail"]
    assert (await client.get(f"/api/tasks/{task['id']}")).json()["result"] == {"scenes": 2}


async def test_actors_are_listed_with_schemas(client: httpx2.AsyncClient) -> None:
    actors = (await client.get("/api/actors")).json()

    assert [actor["name"] for actor in actors] == ["free", "media"]
    assert actors[1].keys() == {"name", "version", "description", "payload_schema"}
    assert json.dumps(actors[1]["payload_schema"]).count("script2video") == 1


async def test_unreadable_task_costs_list_only_itself(
    client: httpx2.AsyncClient, submit: Submit, database: Database
) -> None:
    first, bad, last = [await submit(client) for _ in range(3)]
    await database.collection("tasks").update_one({"_id": bad["id"]}, {"$set": {"priority": 0.5}})
    listed = await client.get("/api/tasks", params={"limit": 2})
    asked = await client.get(f"/api/tasks/{bad['id']}")

    assert (listed.status_code, [task["id"] for task in listed.json()["items"]]) == (200, [last["id"], first["id"]])
    assert (asked.status_code, asked.headers["content-type"]) == (500, PROBLEM)
    assert "cannot be read" in asked.json()["detail"]
