"""Runs over HTTP: started, answered, read; each reply has what follows."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

Start = Callable[..., Awaitable[dict[str, Any]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]


def address_of(run: dict[str, Any]) -> str:
    return f"/api/runs/{run['id']}/interactions/{run['question']['interaction_id']}"


async def say(client: httpx2.AsyncClient, run: dict[str, Any], value: Any) -> httpx2.Response:
    return await client.post(f"{address_of(run)}/answer", json={"response": {"value": value}})


async def test_start_asks_and_answers_lead_to_end(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()

    first = await say(client, run, "weather")
    second = await say(client, first.json(), "fine")

    assert (run["status"], run["question"]["title"], run["module"]) == ("awaiting_input", "What is the topic?", "topic")
    assert (first.status_code, first.json()["question"]["title"]) == (200, "How is weather?")
    assert (second.json()["status"], second.json()["question"]) == ("completed", None)
    assert second.json()["output"] == {"said": "weather: fine"}
    read = (await client.get(f"/api/runs/{run['id']}")).json()
    assert read["output"] == {"said": "weather: fine"}
    assert read["last_seq"] == second.json()["last_seq"]


async def test_start_again_with_key_gives_same_run(client: httpx2.AsyncClient, start: Start) -> None:
    first = await start(key="k1")
    await say(client, first, "weather")

    again = await start(key="k1")
    other = await client.post(
        "/api/runs", json={"template_id": first["template_id"], "project": "other"}, headers={"Idempotency-Key": "k1"}
    )

    assert (again["id"], again["question"]["title"]) == (first["id"], "How is weather?")
    assert other.status_code == 409


async def test_second_run_of_open_project_is_refused(client: httpx2.AsyncClient, start: Start) -> None:
    first = await start(project="film")

    refused = await start(project="film", status=409)
    other = await start(project="film", when_open="cancel_and_start")

    assert refused["facts"] == {"code": "open", "run_id": first["id"]}
    assert other["id"] != first["id"]
    assert (await client.get(f"/api/runs/{first['id']}")).json()["status"] == "cancelled"


async def test_starts_of_project_at_once_give_one_run(
    client: httpx2.AsyncClient, two_questions: dict[str, Any]
) -> None:
    body = {"definition": two_questions, "project": "film"}

    answers = await asyncio.gather(*(client.post("/api/runs", json=body) for _ in range(8)))

    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 7}
    assert len((await client.get("/api/runs?project=film")).json()["items"]) == 1


async def test_input_that_does_not_fit_is_named(start: Start, two_questions: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n", "m"]}

    refused = await start(definition=two_questions | {"input": schema}, input={"n": "x"}, status=422)

    assert {error["field"] for error in refused["errors"]} == {"/input/n", "/input/m"}


async def test_bad_definition_is_told_with_all_problems(start: Start) -> None:
    steps = [{"id": "Talk", "modules": [{"id": "a", "type": "user.nothing@1"}]}]

    refused = await start(definition={"format": 1, "name": "Bad", "steps": steps}, status=422)

    assert {problem["pointer"] for problem in refused["facts"]["problems"]} >= {"/name", "/steps/0/id"}


async def test_bad_answer_leaves_question_open(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()

    refused = await say(client, run, "")

    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["/value"]
    assert (await client.get(address_of(run))).json()["open"]


async def test_same_answer_again_gives_same_reply(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()
    first = await say(client, run, "weather")

    again = await say(client, run, "weather")

    assert again.status_code == 200
    assert again.json() == first.json()


async def test_other_answer_is_told_the_accepted_one(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()
    await say(client, run, "weather")

    late = await say(client, run, "music")

    assert late.status_code == 409
    facts = late.json()["facts"]
    assert (facts["code"], facts["accepted"]["response"]) == ("answered", {"value": "weather"})
    assert facts["accepted"]["at"]


async def test_of_answers_at_once_one_is_accepted(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()

    answers = await asyncio.gather(*(say(client, run, f"topic {number}") for number in range(8)))

    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 7}
    accepted = {
        answer.json()["facts"]["accepted"]["response"]["value"] for answer in answers if answer.status_code == 409
    }
    state = (await client.get(f"/api/runs/{run['id']}/state")).json()
    assert {state["values"]["topic"]} == accepted


async def test_runs_of_others_are_not_there(make_client: MakeClient, start: Start) -> None:
    run, stranger = await start(), await make_client()
    run_id, asked = run["id"], run["question"]["interaction_id"]
    body = {"response": {"value": "x"}}

    answers = [
        await stranger.get(f"/api/runs/{run_id}"),
        await stranger.get(f"/api/runs/{run_id}/state"),
        await stranger.get(f"/api/runs/{run_id}/events"),
        await stranger.get(f"/api/runs/{run_id}/events.jsonl"),
        await stranger.get(f"/api/runs/{run_id}/branches"),
        await stranger.get(f"/api/runs/{run_id}/files"),
        await stranger.get(f"/api/runs/{run_id}/usage"),
        await stranger.get(f"/api/runs/{run_id}/children"),
        await stranger.get(f"/api/runs/{run_id}/stream"),
        await stranger.get(f"/api/runs/{run_id}/interactions/{asked}"),
        await stranger.post(f"/api/runs/{run_id}/interactions/{asked}/answer", json=body),
        await stranger.post(f"/api/runs/{run_id}/cancel"),
        await stranger.post(f"/api/runs/{run_id}/look"),
        await stranger.delete(f"/api/runs/{run_id}"),
    ]

    assert {answer.status_code for answer in answers} == {404}


async def test_log_is_paged_and_exported(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()
    path = f"/api/runs/{run['id']}"

    first = (await client.get(f"{path}/events?limit=2")).json()
    rest = (await client.get(f"{path}/events?after={first['next']}")).json()
    lines = (await client.get(f"{path}/events.jsonl")).text.splitlines()

    events = [*first["items"], *rest["items"]]
    assert [event["seq"] for event in events] == list(range(run["last_seq"] + 1))
    assert [json.loads(line) for line in lines] == events
    assert rest["next"] is None


async def test_state_is_told_after_any_event(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()
    await say(client, run, "weather")
    path = f"/api/runs/{run['id']}/state"

    before = (await client.get(f"{path}?at={run['last_seq']}")).json()
    now = (await client.get(path)).json()

    assert (before["question"]["title"], before["outputs"]) == ("What is the topic?", {})
    assert now["outputs"] == {"talk": {"topic": {"value": "weather", "expired": False}}}


async def test_deleted_run_is_gone(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()

    deleted = await client.delete(f"/api/runs/{run['id']}")

    assert deleted.status_code == 204
    assert (await client.get(f"/api/runs/{run['id']}")).status_code == 404


async def test_cancel_is_final_and_repeatable(client: httpx2.AsyncClient, start: Start) -> None:
    run = await start()

    cancelled = await client.post(f"/api/runs/{run['id']}/cancel")
    again = await client.post(f"/api/runs/{run['id']}/cancel")
    late = await say(client, run, "weather")

    assert (cancelled.json()["status"], again.json()["last_seq"]) == ("cancelled", cancelled.json()["last_seq"])
    assert late.status_code == 409


async def test_workflow_is_stored_and_started(
    client: httpx2.AsyncClient, start: Start, two_questions: dict[str, Any]
) -> None:
    saved = await client.post("/api/workflows", json={"definition": two_questions})
    again = await client.post("/api/workflows", json={"definition": two_questions})
    template = saved.json()

    run = await start(template_id=template["id"])

    assert saved.status_code == 201
    assert again.json() == template
    assert run["version_id"] == template["version"]["id"]
    found = (await client.get("/api/workflows")).json()["items"]
    assert [one["id"] for one in found if not one["shared"]] == [template["id"]]
    versions = (await client.get(f"/api/workflows/{template['id']}/versions")).json()["items"]
    assert [one["id"] for one in versions] == [run["version_id"]]
    assert (await client.get(f"/api/workflows/versions/{run['version_id']}")).json()["definition"] == two_questions
    assert (await client.delete(f"/api/workflows/{template['id']}")).status_code == 409


async def test_check_tells_problems_and_stores_nothing(
    client: httpx2.AsyncClient, two_questions: dict[str, Any]
) -> None:
    good = (await client.post("/api/workflows/check", json={"definition": two_questions})).json()
    bad = (await client.post("/api/workflows/check", json={"definition": {"format": 1}})).json()

    assert good == {"valid": True, "problems": []}
    assert not bad["valid"]
    found = (await client.get("/api/workflows")).json()["items"]
    assert [one["name"] for one in found if not one["shared"]] == []
    assert (await client.get("/api/workflows/schema")).json()["type"] == "object"


async def test_inbox_has_open_questions_of_caller(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start
) -> None:
    first, second = await start(), await start()
    await start(await make_client())
    await say(client, await start(), "weather")

    page = (await client.get("/api/interactions?limit=2")).json()
    rest = (await client.get(f"/api/interactions?limit=2&before={page['next']}")).json()

    assert [entry["question"]["run_id"] for entry in page["items"]] == [first["id"], second["id"]]
    assert page["items"][0]["question"] == first["question"]
    assert [entry["question"]["title"] for entry in rest["items"]] == ["How is weather?"]
    assert (await client.get("/api/interactions?before=nope")).status_code == 422
