"""All hosts as separate processes, each from an environment that holds its own wheel only."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from appdemo.host import Host
from appsupport.hosts.installed_hosts import Stack, commands

Submit = Callable[..., str]

CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture
def stack(mongo_uri: str, database_name: str, logs: Path) -> Iterator[Stack]:
    """An API host and a worker host on a migrated database of their own."""
    environment = {
        "APP_MONGO_URI": mongo_uri,
        "APP_MONGO_DATABASE": database_name,
        "APPWORKER_LEASE": "3",
        "APPWORKER_HEARTBEAT": "0.5",
    }
    migrating = Host("migrate", [str(commands("server") / "appdb"), "migrate"], environment, logs)
    assert migrating.process.wait(60) == 0
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Stack(environment=environment, logs=logs, port=port, server=migrating, workers=[])
    try:
        made.start_server()
        made.start_worker()
        yield made
    finally:
        for host in (made.server, *made.workers):
            host.process.kill()
            host.process.wait()
            print(f"--- {host.name}\n{host.log.read_text(errors='replace')[-4000:]}")  # noqa: T201 - shown on failure


@pytest.fixture
def client(stack: Stack) -> Iterator[httpx2.Client]:
    """A client with a new guest's key."""
    with httpx2.Client(base_url=stack.address, timeout=60) as made:
        key = made.post("/api/guests").raise_for_status().json()["key"]
        made.headers["Authorization"] = f"Bearer {key}"
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real Chromium: APP_TEST_CHROMIUM, one on PATH, or Playwright's own."""
    found = os.environ.get("APP_TEST_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=CHROMIUM_ARGUMENTS)
        yield chromium
        chromium.close()


def is_complaint(message: ConsoleMessage) -> bool:
    # A refused form and a host that is away are what some tests are about.
    return message.type == "error" and not message.text.startswith("Failed to load resource")


@pytest.fixture
def page(browser: Browser, stack: Stack) -> Iterator[Page]:
    """A new visitor's page; whatever it complains about fails the test."""
    context = browser.new_context(base_url=stack.address)
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if is_complaint(message) else None)
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def start_own_worker(stack: Stack) -> Callable[[], Host]:
    """Start worker hosts with the actors of ``page_actors``."""
    names = ",".join(f"page_actors:{name}" for name in ("various", "endless"))
    command = [str(commands("worker") / "python"), "-m", "appworker", "--actors", names, "--slots", "10"]
    environment = stack.environment | {"PYTHONPATH": str(Path(__file__).parent)}

    def start() -> Host:
        worker = Host("own-worker", command, environment, stack.logs)
        stack.workers.append(worker)
        worker.wait_for(r'"event": "(ready)"')
        return worker

    return start


@pytest.fixture
def own_worker(start_own_worker: Callable[[], Host]) -> Host:
    """A worker host with the actors of ``page_actors``."""
    return start_own_worker()


@pytest.fixture
def submit(page: Page, client: httpx2.Client, stack: Stack) -> Submit:
    """Start a task of any actor in the page's name, and return the address of its page."""
    key = client.headers["Authorization"].removeprefix("Bearer ")
    page.context.add_cookies([{"name": "app_key", "value": key, "url": stack.address}])

    def start(actor: str, **payload: object) -> str:
        posted = client.post("/api/tasks", json={"actor": actor, "payload": payload}).raise_for_status()
        return str(posted.headers["Location"]).removeprefix("/api")

    return start
