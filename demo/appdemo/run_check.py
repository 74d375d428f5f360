"""The story of a run: a workflow asks, its stream is lost and found again, and one step is done once more."""

from __future__ import annotations

import time
from typing import Any

import httpx2

from appdemo.following import Event, read_stream, require

SCRIPT = "The keeper woke before the gulls did.\n\nShe lit the lamp."
SCENES = 2
TIMEOUT_SECONDS = 60
NOTES = ("snapshot", "tasks", "end")
"""Events of the stream that are none of the run's log."""


def check_run(client: httpx2.Client) -> None:
    """Run the shipped workflow ``narrated_video`` to its end by calls alone, and go back in it once."""
    run = _start(client)
    path = f"/api/runs/{run['id']}"
    _answer(client, run, {"title": "The lamp", "text": SCRIPT, "voice": "en"})
    asked = _pick_pictures(client, path)
    seen = _watch(client, path)
    print(f"a run asked {1 + asked} questions, and its stream gave {len(seen)} events, each once and in order")
    first = client.get(path).raise_for_status().json()
    require(first["status"] == "completed", f"the run ended as {first['status']}: {first['error']}")
    _go_back(client, path, first)


def _start(client: httpx2.Client) -> dict[str, Any]:
    offered = client.get("/api/workflows").raise_for_status().json()["items"]
    template = next(one["id"] for one in offered if one["name"] == "narrated_video")
    started = client.post("/api/runs", json={"template_id": template, "project": "The lamp"}).raise_for_status().json()
    require(started["question"] is not None, "the reply to the start holds no question")
    return dict(started)


def _answer(client: httpx2.Client, run: dict[str, Any], response: Any) -> dict[str, Any]:
    question = run["question"]
    address = f"/api/runs/{run['id']}/interactions/{question['interaction_id']}/answer"
    return dict(client.post(address, json={"response": response}).raise_for_status().json())


def _pick_pictures(client: httpx2.Client, path: str) -> int:
    """Answer what the parts of the run ask, and return how many questions these were."""
    answered: set[str] = set()
    until = time.monotonic() + TIMEOUT_SECONDS
    while len(answered) < SCENES:
        require(time.monotonic() < until, f"only {len(answered)} of {SCENES} pictures were asked for")
        for child in client.get(f"{path}/children").raise_for_status().json()["items"]:
            if child["status"] == "awaiting_input" and child["id"] not in answered:
                part = client.get(f"/api/runs/{child['id']}").raise_for_status().json()
                events = client.get(f"/api/runs/{child['id']}/events").raise_for_status().json()["items"]
                made = [
                    one["data"]["result"]["content_ids"][0] for one in events if one["type"] == "sub_action_completed"
                ]
                _answer(client, part, {"content_ids": made[:1]})
                answered.add(child["id"])
        time.sleep(0.1)
    return len(answered)


def _watch(client: httpx2.Client, path: str) -> list[Event]:
    """Follow the run from its first event to its end, with a drop in between."""
    seen: list[Event] = []
    for event in read_stream(client, f"{path}", "0"):
        seen.append(event)
        if event.type == "module_started" and event.data["module"] == "render":
            break
    position = next(event.id for event in reversed(seen) if event.id)
    seen += list(read_stream(client, path, position))
    numbers = [int(event.id) for event in seen if event.id and event.type not in NOTES]
    require(numbers == list(range(1, 1 + len(numbers))), f"the run's events are not each once and in order: {numbers}")
    require(seen[-1].type == "end", f"the run's stream ended with {seen[-1].type}")
    return seen


def _go_back(client: httpx2.Client, path: str, first: dict[str, Any]) -> None:
    """Encode the film once more on a new branch: the plan says so beforehand, and nothing else runs again."""
    plan = client.post(f"{path}/jump?dry_run=true", json={"module": "render"}).raise_for_status().json()["plan"]
    again = [one["module"] for one in plan["runs_again"]]
    require(again == ["render"], f"the plan says that {again} run again")
    client.post(f"{path}/jump", json={"module": "render"}).raise_for_status()
    until = time.monotonic() + TIMEOUT_SECONDS
    while (run := client.get(path).raise_for_status().json())["status"] == "processing":
        require(time.monotonic() < until, "the run did not end again")
        time.sleep(0.1)
    require(run["status"] == "completed", f"after the jump the run ended as {run['status']}: {run['error']}")
    require(run["branch_id"] != first["branch_id"], "the jump made no branch")
    require(run["output"]["video"] != first["output"]["video"], "the film was not made again")
    branches = client.get(f"{path}/branches").raise_for_status().json()["items"]
    print(f"a jump back encoded it again on a branch of its own; both of {len(branches)} branches can be read")
