"""Ids of others at every route of runs and workflows: they look like ids that are not there, and tell nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2

Start = Callable[..., Awaitable[dict[str, Any]]]
MakeClient = Callable[..., Awaitable[httpx2.AsyncClient]]
BODIES: dict[str, dict[str, Any]] = {
    "/answer": {"response": {"value": "x"}},
    "/draft": {"value": "x"},
    "/links": {"expires_seconds": 60},
    "/signals": {"name": "go"},
    "/actions": {"module": "topic", "action": "more"},
    "/retry": {"module": "topic"},
    "/jump": {"module": "topic"},
    "/branch": {"interaction_id": "int_x"},
    "/switch": {"branch_id": "br_x"},
    "/version": {"version_id": "ver_x"},
    "/budget": {"limit": "1"},
}


async def calls_of(client: httpx2.AsyncClient, ids: dict[str, str]) -> list[tuple[str, str]]:
    """Return method and address of each route with an id of a run or a workflow in it, filled with *ids*."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    wanted = [(path, item) for path, item in paths.items() if "{run_id}" in path or "/api/workflows/" in path]
    return [
        (method.upper(), path.format_map(ids))
        for path, item in sorted(wanted)
        if "{" in path
        for method in item
        # Last, or the others would find nothing for that reason.
        if method != "delete" or "interactions" in path
    ]


async def test_ids_of_others_are_not_there_at_any_route(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start
) -> None:
    run, stranger = await start(), await make_client()
    ids = {
        "run_id": run["id"],
        "interaction_id": run["question"]["interaction_id"],
        "template_id": run["template_id"],
        "version_id": run["version_id"],
        "file_id": "wff_x",
    }
    calls = await calls_of(client, ids)

    assert len(calls) >= 30
    for method, path in calls:
        body = next((body for end, body in BODIES.items() if path.endswith(end)), {})
        answer = await stranger.request(method, path, json=None if method == "GET" else body)
        told = answer.text.replace(path, "").replace(run["id"], "").replace(ids["interaction_id"], "")
        assert answer.status_code == 404, (method, path, answer.status_code, answer.text[:300])
        assert "What is the topic" not in told, (method, path)
    assert (await client.get(f"/api/runs/{run['id']}")).json()["last_seq"] == run["last_seq"]


async def test_deletion_of_others_finds_nothing(
    client: httpx2.AsyncClient, make_client: MakeClient, start: Start
) -> None:
    run, stranger = await start(), await make_client()

    for path in (f"/api/runs/{run['id']}", f"/api/workflows/{run['template_id']}"):
        assert (await stranger.delete(path)).status_code == 404
        assert (await client.get(path)).status_code == 200


async def test_branch_and_version_of_others_lead_nowhere(make_client: MakeClient, start: Start) -> None:
    theirs, stranger = await start(), await make_client()
    mine = await start(stranger)
    address = f"/api/runs/{mine['id']}"

    answers = [
        await stranger.post(f"{address}/switch", json={"branch_id": theirs["branch_id"]}),
        await stranger.post(f"{address}/version", json={"version_id": theirs["version_id"]}),
        await stranger.post(f"{address}/branch", json={"interaction_id": theirs["question"]["interaction_id"]}),
        await stranger.get(f"{address}/state", params={"at": 1, "branch_id": theirs["branch_id"]}),
        await stranger.post("/api/runs", json={"version_id": theirs["version_id"]}),
        await stranger.post("/api/runs", json={"template_id": theirs["template_id"]}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6
