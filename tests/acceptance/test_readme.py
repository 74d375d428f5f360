"""The README's own actor works as it says."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from playwright.sync_api import Page, expect

from appdemo.host import Host
from appsupport.hosts.installed_hosts import Stack, commands

ROOT = Path(__file__).parents[2]


def start_hello(stack: Stack, folder: Path) -> None:
    """Start a worker host with the actor that the README tells of."""
    source = re.search(r"```python\n(# hello\.py.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert source is not None
    (folder / "hello.py").write_text(source[1])
    command = [str(commands("worker") / "python"), "-m", "appworker", "--actors", "hello:greet,media"]
    worker = Host("hello", command, stack.environment | {"PYTHONPATH": str(folder)}, stack.logs)
    stack.workers.append(worker)
    worker.wait_for(r'"event": "(ready)"')


def test_actor_of_readme_runs_and_is_checked(stack: Stack, client: httpx2.Client, tmp_path: Path) -> None:
    start_hello(stack, tmp_path)
    deadline = time.monotonic() + 10
    while "greet" not in {actor["name"] for actor in client.get("/api/actors").json()}:
        assert time.monotonic() < deadline, "the worker does not announce its actor"
    posted = client.post("/api/tasks", json={"actor": "greet", "payload": {"name": "Ada"}}).raise_for_status()
    refused = client.post("/api/tasks", json={"actor": "greet", "payload": {"nome": "Ada"}})
    with client.stream("GET", f"{posted.headers['Location']}/stream", params={"after": "-1"}) as stream:
        assert "event: completed" in "".join(stream.iter_text())

    (card,) = client.get("/api/contents", params={"task_id": posted.json()["id"]}).json()["items"]
    picture = client.get(card["url"]).raise_for_status()

    assert client.get(posted.headers["Location"]).json()["result"] == {"text": "Hello, Ada!"}
    assert (picture.headers["Content-Type"], picture.content[:8]) == ("image/png", b"\x89PNG\r\n\x1a\n")
    assert card["caption"] == "A card with the name Ada"
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "payload.name"


def test_page_of_readme_actor_shows_results(
    stack: Stack, tmp_path: Path, page: Page, submit: Callable[..., str]
) -> None:
    start_hello(stack, tmp_path)
    page.goto(submit("greet", name="Ada"))

    expect(page.locator("#state")).to_have_text("Done", timeout=15_000)
    expect(page.locator("#result")).to_contain_text("Hello, Ada!")
    expect(page.get_by_role("img", name="A card with the name Ada")).to_have_js_property("naturalWidth", 640)
    assert page.locator("video, #scenes").count() == 0
    assert "video is ready" not in page.content()
