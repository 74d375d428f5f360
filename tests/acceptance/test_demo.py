"""The demo in a terminal: it leaves nothing behind however it ends, and what dies in it comes back."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pymongo
import pytest

from appdemo.following import Event, read_stream
from appsupport.hosts.installed_hosts import commands, generate
from appsupport.hosts.process_status import gone

ROOT = Path(__file__).parents[2]
SECONDS = 90
MARK = "DEMO_TEST_MARK"
CTRL_C = b"\x03"
LONG_SCRIPT = "\n\n".join(f"Paragraph {number} goes on for a while." for number in range(20))
# nox gives what it runs three tenths of a second after Ctrl-C, two more after SIGTERM, and then kills it.
IMPATIENT = """
import os, subprocess, sys
os.close(os.open(sys.argv[1], os.O_RDWR))  # a session's first terminal is the one whose Ctrl-C it hears
running = subprocess.Popen(sys.argv[2:])
try:
    running.wait()
except KeyboardInterrupt:
    for seconds, harder in ((0.3, running.terminate), (0.2, running.kill)):
        try:
            running.wait(seconds)
            break
        except subprocess.TimeoutExpired:
            harder()
    running.wait()
"""


class Demo:
    """A demo that was started in a terminal of its own, as nox would start it."""

    def __init__(self, folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        places = [f"--{name}={commands(name)}" for name in ("database", "server", "worker")]
        demo = [sys.executable, str(ROOT / "demo" / "run.py"), *places, f"--data={folder}", "--port=0"]
        self._terminal, inner = pty.openpty()
        self._shell = subprocess.Popen(
            [sys.executable, "-c", IMPATIENT, os.ttyname(inner), *demo],
            env=os.environ | {MARK: self.mark},
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
        )
        os.close(inner)
        os.set_blocking(self._terminal, False)
        self.said = ""

    @property
    def address(self) -> str:
        return self.wait_for(r"Open (http://\S+) in a browser")

    def wait_for(self, pattern: str) -> str:
        """Return the first group of *pattern* once the demo has said it."""
        found: re.Match[str] | None = None

        def look() -> bool:
            nonlocal found
            self._read()
            found = re.search(pattern, self.said)
            return found is not None

        eventually(look, f"the demo does not say {pattern}: {self.said}")
        assert found is not None
        return found[1]

    def interrupt(self) -> None:
        """Press Ctrl-C, and return once the terminal's own process has ended."""
        os.write(self._terminal, CTRL_C)

        def ended() -> bool:
            self._read()
            return self._shell.poll() is not None

        eventually(ended, "the demo does not end")

    def processes(self, command: str = "") -> list[int]:
        """Return the demo's living processes whose command line holds *command*."""
        return [pid for pid in marked(self.mark) if command in command_line(pid)]

    def end(self) -> None:
        os.close(self._terminal)
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self._shell.wait()

    def _read(self) -> None:
        try:
            self.said += os.read(self._terminal, 65_536).decode()
        except OSError:  # nothing to read now, or nobody writes any more
            return


def marked(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
        except OSError:  # it has just ended, or is another user's
            continue
    return [pid for pid in found if not gone(pid)]


def command_line(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def eventually(holds: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Demo]]:
    """Start demos in one folder; whatever they leave is killed."""
    started: list[Demo] = []

    def start_demo() -> Demo:
        started.append(Demo(tmp_path / "demo"))
        return started[-1]

    yield start_demo
    for demo in started:
        demo.end()


def test_ctrl_c_leaves_no_process(start: Callable[[], Demo]) -> None:
    first = start()
    assert first.address
    assert len(first.processes("mongod")) == 1
    first.interrupt()
    second = start()

    assert second.address
    assert first.processes() == []
    uri = second.wait_for(r"export APP_MONGO_URI='(\S+)' APP_MONGO_DATABASE=demo")
    with pymongo.MongoClient[dict[str, object]](uri) as client:
        assert client["demo"]["workers"].count_documents({}) > 0
    second.interrupt()
    eventually(lambda: not second.processes(), "processes are left")


def test_killed_demo_takes_its_hosts_along(start: Callable[[], Demo]) -> None:
    demo = start()
    assert demo.address
    for pid in demo.processes("run.py"):
        os.kill(pid, signal.SIGKILL)

    eventually(lambda: not demo.processes(), f"processes are left: {list(map(command_line, demo.processes()))}")


def test_second_demo_names_first(start: Callable[[], Demo]) -> None:
    first = start()
    assert first.address
    named = int(start().wait_for(r"another demo runs in \S+ \(pid (\d+)\)"))

    assert "run.py" in command_line(named)


def test_killed_hosts_restart_and_generation_finishes(start: Callable[[], Demo]) -> None:
    demo = start()
    with httpx2.Client(base_url=demo.address, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {client.post('/api/guests').json()['key']}"
        task = generate(client, script=LONG_SCRIPT)
        for event in read_stream(client, task, None):
            if event.type == "content":
                break
        for name in ("appworker", "appserver", "dev-db"):
            (victim,) = (
                pid
                for pid in demo.processes(f"/bin/{name}") or demo.processes(name)
                if "run.py" not in command_line(pid)
            )
            os.kill(victim, signal.SIGKILL)
        for name in ("worker", "server", "database"):
            assert demo.wait_for(rf"the {name} was ended by (SIGKILL); starting it again")
            assert demo.wait_for(rf"(the {name} is ready again)")
        end = follow(client, task)

    assert end.type == "completed"


def follow(client: httpx2.Client, task: str) -> Event:
    """Return the last event of the task, however often its stream is cut."""
    last: Event | None = None

    def over() -> bool:
        nonlocal last
        try:
            for event in read_stream(client, task, "-1"):
                last = event
        except (httpx2.TransportError, httpx2.HTTPStatusError):
            return False
        return last is not None and last.type in {"completed", "failed", "cancelled"}

    eventually(over, f"the task does not end: {last}")
    assert last is not None
    return last


def test_failing_host_ends_demo_with_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "appworker").write_text("#!/bin/sh\necho '\"event\": \"ready\"'\necho 'no such voice' >&2\nexit 3\n")
    (broken / "appworker").chmod(0o755)
    places = [f"--database={commands('database')}", f"--server={commands('server')}", f"--worker={broken}"]
    command = [sys.executable, str(ROOT / "demo" / "run.py"), *places, f"--data={tmp_path / 'demo'}", "--port=0"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 1
    assert "worker ended with code 3" in ended.stderr
    assert "no such voice" in ended.stderr
