"""A generation from script to video over HTTP: restarts, kills and cancels lose nothing."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from appdemo.following import Event, read_stream
from appsupport.hosts.installed_hosts import Stack, generate

TERMINAL = {"completed", "failed", "cancelled"}
LONG_SCRIPT = "\n\n".join(
    f"Paragraph {number} goes on for a while, and says nothing new at all." for number in range(60)
)


def numbers(events: list[Event]) -> list[int]:
    return [int(event.id) for event in events if event.type != "snapshot" and event.id is not None]


def ended(event: Event) -> bool:
    # A viewer who comes late finds the end in the snapshot.
    return event.type in TERMINAL or (event.type == "snapshot" and event.data["state"] in TERMINAL)


def follow(client: httpx2.Client, task: str, seen: list[Event]) -> None:
    """Read the stream to its end, from where *seen* stops, coming back as often as it is cut."""
    deadline = time.monotonic() + 60
    while not seen or not ended(seen[-1]):
        assert time.monotonic() < deadline, "the story does not end"
        try:
            seen.extend(read_stream(client, task, seen[-1].id if seen else None))
        except (httpx2.TransportError, httpx2.HTTPStatusError):
            time.sleep(0.05)  # the host is away; come back


def test_restarted_server_loses_no_event(stack: Stack, client: httpx2.Client) -> None:
    task = generate(client, script=LONG_SCRIPT, width=640, height=360)
    seen: list[Event] = []
    for restart in (signal.SIGKILL, signal.SIGTERM):
        with httpx2.Client(base_url=stack.address, headers=client.headers, timeout=60) as viewer:
            for event in read_stream(viewer, task, seen[-1].id if seen else None):
                seen.append(event)
                if len(seen) % 10 == 0:
                    break
        stack.server.process.send_signal(restart)
        assert stack.server.process.wait(10) == (-signal.SIGKILL if restart is signal.SIGKILL else 0)
        stack.start_server()
    follow(client, task, seen)

    assert seen[-1].type == "completed"
    first = numbers(seen)[0]
    assert numbers(seen) == list(range(first, first + len(numbers(seen))))
    assert first == (seen[0].data["last_seq"] + 1 if seen[0].type == "snapshot" else 0)


def test_killed_worker_leaves_every_item_once(stack: Stack, client: httpx2.Client) -> None:
    task = generate(client, script=LONG_SCRIPT)
    for event in read_stream(client, task, None):
        if event.type == "content":
            break
    stack.start_worker()
    stack.workers[0].process.kill()
    seen: list[Event] = []
    follow(client, task, seen)
    items = client.get("/api/contents", params={"task_id": task.rsplit("/", 1)[1]}).json()["items"]

    assert seen[-1].type == "completed"
    assert client.get(task).json()["attempt"] == 2
    assert sorted(item["index"] for item in items if item["role"] == "picture") == list(range(60))
    assert len(items) == 121


def test_viewers_see_same_events_and_cancel_nothing(client: httpx2.Client) -> None:
    task = generate(client)
    for _ in range(3):
        for _event in read_stream(client, task, None):
            break  # a tab that is closed at once
    with ThreadPoolExecutor(5) as tabs:
        stories = list(tabs.map(lambda _: list(read_stream(client, task, "-1")), range(5)))

    assert all(story == stories[0] for story in stories)
    assert numbers(stories[0]) == list(range(len(stories[0])))
    assert stories[0][-1].type == "completed"


@pytest.mark.parametrize("script", ["😀🎉 \x00\x07\x1b[31m caf\u00e9 \u202eevil\u202c", "🦊\n\n🐙", "a" * 20_000])
def test_odd_scripts_become_videos(client: httpx2.Client, script: str) -> None:
    task = generate(client, script=script, width=320, height=180, words_per_minute=450)
    seen: list[Event] = []
    follow(client, task, seen)

    assert seen[-1].type == "completed", seen[-1].data
    result = client.get(task).json()["result"]
    video = client.get(f"/api/contents/{result['video_content_id']}/file")
    assert video.content[4:8] == b"ftyp"


@pytest.mark.parametrize("script", ["", "  \n\t ", "\x00\x01", "word " * 13_000])
def test_impossible_scripts_are_refused_by_name(client: httpx2.Client, script: str) -> None:
    body = {"actor": "media", "payload": {"operation": "script2video", "script": script}}
    refused = client.post("/api/tasks", json=body)

    assert refused.status_code == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["errors"][0]["field"] == "payload.script"
    assert client.get("/api/tasks").json()["items"] == []


def test_too_many_paragraphs_fail_with_remedy(client: httpx2.Client) -> None:
    task = generate(client, script="\n\n".join(["short"] * 101))
    seen: list[Event] = []
    follow(client, task, seen)

    failed = client.get(task).json()
    assert (failed["state"], failed["attempt"]) == ("failed", 1)
    assert "101 paragraphs" in failed["error"]["message"]


def test_cancel_stops_work_within_second(stack: Stack, client: httpx2.Client) -> None:
    task = generate(client, script=LONG_SCRIPT)
    for event in read_stream(client, task, None):
        if event.type == "content":
            break
    assert client.post(f"{task}/cancel").json()["state"] == "cancelled"
    time.sleep(1)
    made = len(client.get("/api/contents", params={"task_id": task.rsplit("/", 1)[1]}).json()["items"])
    log = stack.workers[0].log.read_text()

    assert "an attempt was stopped" in log
    assert made < 120
    assert client.post(f"{task}/cancel").json()["state"] == "cancelled"
    assert client.get(task).json()["state"] == "cancelled"
