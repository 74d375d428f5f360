"""The command: starts, says where, refuses with a reason, and ends as asked while streams are open."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from appdb import Database

NOBODY = {"workers": 0, "worker_seen_at": None}

Submit = Callable[..., Awaitable[dict[str, Any]]]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("APP_", "APPSERVER_"))}
    return kept | variables


@contextmanager
def running(log: Path, *arguments: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "appserver", *arguments],
            env=environment(**variables),
            cwd=log.parent,
            stdout=sink,
            stderr=sink,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = re.search(r"ready at (http://\S+?)/\n", log.read_text())
        if found:
            return found[1]
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def refused(tmp_path: Path, *arguments: str, **variables: str) -> str:
    """Run the command, which must refuse without a traceback, and return what it says."""
    ended = subprocess.run(
        [sys.executable, "-m", "appserver", *arguments],
        env=environment(**variables),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""
    return ended.stderr


@pytest.mark.usefixtures("announced")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_stop_ends_host_despite_open_streams(
    tmp_path: Path, mongo_uri: str, database: Database, submit: Submit, number: signal.Signals
) -> None:
    log = tmp_path / "log"
    shared = {"APP_MONGO_URI": mongo_uri, "APP_MONGO_DATABASE": database.name}
    with running(log, "--port", "0", **shared) as process:
        async with httpx2.AsyncClient(base_url=address_in(log, process), timeout=20) as client:
            key = (await client.post("/api/guests")).json()["key"]
            client.headers["Authorization"] = f"Bearer {key}"
            task = await submit(client)
            async with client.stream("GET", f"/api/tasks/{task['id']}/stream") as answer:
                lines = answer.aiter_lines()
                while "snapshot" not in await anext(lines):
                    pass
                began = time.monotonic()
                process.send_signal(number)
                assert process.wait(timeout=10) == 0
                assert time.monotonic() - began < 8

    text = log.read_text()
    assert "Traceback" not in text
    assert key not in text
    assert f'"path": "/api/tasks/{task["id"]}/stream"' in text
    assert re.search(r'"request_id": "[0-9a-f]{32}"', text)


@pytest.mark.usefixtures("announced")
def test_taken_port_is_named(tmp_path: Path, mongo_uri: str, database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = refused(tmp_path, "--port", str(port), APP_MONGO_URI=mongo_uri, APP_MONGO_DATABASE=database.name)

    assert f"127.0.0.1:{port}" in message
    assert "APPSERVER_PORT" in message


def test_missing_database_error_hides_password(tmp_path: Path) -> None:
    uri = "mongodb://user:hunter2@127.0.0.1:9/?replicaSet=rs0"

    message = refused(tmp_path, "--port", "0", APP_MONGO_URI=uri)

    assert "127.0.0.1:9" in message
    assert "appdb dev-db" in message
    assert "hunter2" not in message


def test_standalone_server_is_refused(tmp_path: Path, standalone_mongo_uri: str) -> None:
    message = refused(tmp_path, "--port", "0", APP_MONGO_URI=standalone_mongo_uri)

    assert "standalone" in message
    assert "rs.initiate()" in message


def test_unmigrated_database_is_refused(tmp_path: Path, mongo_uri: str, database_name: str) -> None:
    message = refused(tmp_path, "--port", "0", APP_MONGO_URI=mongo_uri, APP_MONGO_DATABASE=database_name)

    assert "appdb migrate" in message


@pytest.mark.parametrize("name", ["a b", "a$", "admin"])
def test_impossible_database_name_is_refused(tmp_path: Path, mongo_uri: str, name: str) -> None:
    message = refused(tmp_path, "--port", "0", APP_MONGO_URI=mongo_uri, APP_MONGO_DATABASE=name)

    assert message.startswith(f"appserver: database name: {name!r}")


def test_unknown_setting_is_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, APPSERVER_PROT="1")

    assert "APPSERVER_PROT: unknown setting; did you mean APPSERVER_PORT?" in message


async def test_health_tells_problem(serve: Callable[..., Awaitable[str]], database: Database) -> None:
    async with httpx2.AsyncClient(base_url=await serve()) as client:
        live, ready = await client.get("/healthz/live"), await client.get("/healthz/ready")
        await database.collection("config").delete_many({})
        changed = await client.get("/healthz/ready")

    assert (live.status_code, ready.status_code) == (200, 200)
    assert ready.json() == {"ready": True, "checks": {"database": True, "contract": True}} | NOBODY
    assert changed.status_code == 503
    assert changed.json() == {"ready": False, "checks": {"database": True, "contract": False}} | NOBODY
