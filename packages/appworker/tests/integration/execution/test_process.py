"""Actors in processes of their own: what crosses the pipe, how they die, and how they are made to end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from appdb.models import ContentKind
from appsupport.hosts.process_status import gone, until_gone
from appsupport.hosts.recording_context import RecordingContext, job_of
from appworker.actors.base import Actor
from appworker.actors.loading import load_actor
from appworker.execution.process import executor as executor_module
from appworker.execution.process.executor import KILLED_WITHIN, ProcessExecutor
from appworker.execution.process.parent_side import TERM_GRACE
from appworker.execution.results import ActorDone, ActorFailed, ActorResult, ActorStopped, ActorSuspended
from appworker.execution.stop import STOP_GRACE, StopReason

ACTORS_FOLDER = Path(__file__).parents[1] / "actors"
TIMEOUT_SECONDS = 90
"""Seconds that a slow machine gets; nothing is measured by them."""

Load = Callable[[str], Actor[Any]]


@pytest.fixture
async def executor() -> AsyncIterator[ProcessExecutor]:
    made = ProcessExecutor()
    async with asyncio.timeout(TIMEOUT_SECONDS):
        yield made
        await made.close()


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    monkeypatch.syspath_prepend(ACTORS_FOLDER)
    return lambda name: load_actor(f"process_actors:{name}")


def pid_of(outcome: ActorResult) -> int:
    assert isinstance(outcome, ActorDone), outcome
    assert outcome.result is not None
    return int(outcome.result["pid"])


async def said(context: RecordingContext) -> dict[str, int]:
    """Return the first thing that the actor says."""
    while not context.said:
        await asyncio.sleep(0.01)
    found: dict[str, int] = context.said[0]
    return found


async def test_whole_context_works_across_pipe(
    executor: ProcessExecutor, load: Load, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    context = RecordingContext(children=[{"state": "completed", "result": {"y": 2}}])
    outcome = await executor.start(job_of(load("works"), context, number=2, text=str(tmp_path)))

    pid = pid_of(outcome)
    facts = ["task-1", "user-1", 2, "key-1", context.deadline.isoformat()]
    step = {"pid": pid}
    assert isinstance(outcome, ActorDone)
    assert outcome.result == {"pid": pid, "text": f"{facts} {step} child-c {context.children}"}
    assert pid != os.getpid()
    assert context.steps == {"step": step}
    assert context.stored == {"bytes": b"\x00\xff" * 100_000, "file": b"from a file"}
    assert context.said == [
        (0.5, "half"),
        {"n": 0},
        {"n": 1},
        ("o", "p", {}),
        ("bytes", ContentKind.TEXT, 7),
        ("file", ContentKind.TEXT, 7),
        ("c", "child", {"x": 1}, None, 2),
    ]
    logged = {record.name: record for record in caplog.records if record.getMessage() == "logged"}
    assert logged["appworker.actor.process.works"].__dict__["task_id"] == "task-1"
    await executor.close()
    assert "printed \u00e9" in [record.__dict__.get("line") for record in caplog.records]


async def test_plain_function_works_across_pipe(executor: ProcessExecutor, load: Load) -> None:
    context = RecordingContext(children=[])
    outcome = await executor.start(job_of(load("plain"), context, number=3))

    pid = pid_of(outcome)
    step = {"pid": pid}
    assert outcome == ActorDone(result={"pid": pid, "text": f"{step} []"})
    assert context.said == [(0.5, "half"), {"n": 3}, ("bytes", ContentKind.TEXT, 7)]


async def test_process_is_reused_only_after_good_end(executor: ProcessExecutor, load: Load) -> None:
    works, boom = load("plain"), load("exit_")
    contexts = [RecordingContext(children=[]) for _ in range(3)]
    first, again = [pid_of(await executor.start(job_of(works, context))) for context in contexts[:2]]
    suspended = await executor.start(job_of(works, RecordingContext()))
    after_suspension = pid_of(await executor.start(job_of(works, contexts[2])))
    failed = [await executor.start(job_of(boom, RecordingContext(), number=3)) for _ in range(2)]
    raised = [await executor.start(job_of(load("raise_"), RecordingContext())) for _ in range(2)]
    await executor.close()

    assert first == again == after_suspension
    assert suspended == ActorSuspended()
    assert {type(outcome) for outcome in failed + raised} == {ActorFailed}
    assert gone(first)


async def test_concurrent_attempts_have_their_own_processes(executor: ProcessExecutor, load: Load) -> None:
    works = load("plain")
    started = [executor.start(job_of(works, RecordingContext(children=[]))) for _ in range(2)]

    assert len({pid_of(await outcome) for outcome in started}) == 2


async def test_raised_errors_are_distinguished(
    executor: ProcessExecutor, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    raising = load("raise_")
    started = [executor.start(job_of(raising, RecordingContext(), text=text)) for text in ("discard", "later", "")]
    invalid = await executor.start(job_of(raising, RecordingContext(), number="many"))

    assert [await outcome for outcome in started] == [
        ActorFailed(kind="Discarded", message="never", retry=False),
        ActorFailed(kind="RetryLater", message="busy", retry=True, retry_in=timedelta(seconds=9)),
        ActorFailed(kind="RuntimeError", message="broken", retry=True),
    ]
    assert isinstance(invalid, ActorFailed)
    assert (invalid.kind, invalid.retry) == ("InvalidPayload", False)
    tracebacks = [str(record.__dict__.get("exception")) for record in caplog.records]
    assert any('raise RuntimeError("broken")' in text for text in tracebacks)


@pytest.mark.parametrize(
    ("name", "number", "message"),
    [
        ("exit_", 0, "the actor's process ended by itself, with exit code 0"),
        ("exit_", 3, "the actor's process ended by itself, with exit code 3"),
        ("signal_", signal.SIGSEGV, "the actor's process was ended by SIGSEGV"),
        ("signal_", signal.SIGKILL, "the actor's process was ended by SIGKILL: this host may be out of memory"),
        ("memory", 1_000, "the actor's process ran out of memory: its memory_limit is 64 MiB"),
        ("cpu", 0, "the actor's process was ended by SIGXCPU: it used up its cpu_limit of 1 s"),
    ],
)
async def test_process_death_is_failure_with_cause(
    executor: ProcessExecutor, load: Load, name: str, number: int, message: str
) -> None:
    outcome = await executor.start(job_of(load(name), RecordingContext(), number=number))

    assert outcome == ActorFailed(kind="ProcessDied", message=message, retry=True)


async def test_memory_limit_spares_smaller_actor(executor: ProcessExecutor, load: Load) -> None:
    outcome = await executor.start(job_of(load("memory"), RecordingContext(), number=30))

    assert isinstance(outcome, ActorDone)
    assert outcome.result is not None
    assert outcome.result["text"] == str(30 * 1024 * 1024)


async def test_huge_result_fails_without_burdening_worker(executor: ProcessExecutor, load: Load) -> None:
    before = peak_mib()
    outcome = await executor.start(job_of(load("huge"), RecordingContext(), number=100))

    assert isinstance(outcome, ActorFailed)
    assert (outcome.kind, outcome.retry) == ("TooLargeError", False)
    assert "over the limit" in outcome.message
    assert peak_mib() - before < 50


def peak_mib() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


async def test_stop_is_heard_inside_process(
    executor: ProcessExecutor, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    context = RecordingContext()
    outcome = executor.start(job_of(load("polite"), context))
    pid = (await said(context))["pid"]
    context.stop.throw(StopReason.DRAIN)
    stopped_at = time.monotonic()

    assert await outcome == ActorStopped()
    assert time.monotonic() - stopped_at < STOP_GRACE.total_seconds()
    assert "stopped politely" in caplog.messages
    assert gone(pid)


class StoppedByACall(RecordingContext):
    """Is told to stop while it emits."""

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        self.stop.throw(StopReason.DRAIN)
        await super().emit(data)


@pytest.mark.parametrize("name", ["works", "plain"])
async def test_call_refused_by_stop_is_no_failure(executor: ProcessExecutor, load: Load, name: str) -> None:
    assert await executor.start(job_of(load(name), StoppedByACall(), number=1)) == ActorStopped()


async def test_foreign_sigterm_ends_nothing(executor: ProcessExecutor, load: Load) -> None:
    context = RecordingContext()
    outcome = executor.start(job_of(load("polite"), context, number=1))
    os.kill((await said(context))["pid"], signal.SIGTERM)

    assert isinstance(await outcome, ActorDone)


async def test_idle_process_is_ended(executor: ProcessExecutor, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "IDLE_SECONDS", 0.2)
    pid = pid_of(await executor.start(job_of(load("plain"), RecordingContext(children=[]))))
    assert not gone(pid)
    await until_gone(pid)
    again = pid_of(await executor.start(job_of(load("plain"), RecordingContext(children=[]))))

    assert again != pid


async def test_unstopped_actor_gets_sigterm_after_grace(executor: ProcessExecutor, load: Load) -> None:
    context = RecordingContext()
    outcome = executor.start(job_of(load("deaf"), context))
    pid = (await said(context))["pid"]
    context.stop.throw(StopReason.TIMEOUT)
    stopped_at = time.monotonic()

    assert await outcome == ActorStopped()
    assert time.monotonic() - stopped_at >= STOP_GRACE.total_seconds()
    assert gone(pid)


async def test_actor_ignoring_sigterm_is_killed_with_children(
    executor: ProcessExecutor, load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    context = RecordingContext()
    outcome = executor.start(job_of(load("stubborn"), context))
    pids = await said(context)
    context.stop.throw(StopReason.LEASE_LOST)
    stopped_at = time.monotonic()

    assert await outcome == ActorStopped()
    took = time.monotonic() - stopped_at
    assert took >= (STOP_GRACE + TERM_GRACE).total_seconds()
    # Twice, for a machine that has much else to do.
    assert took < 2 * KILLED_WITHIN.total_seconds()
    assert "an actor's process does not end; it gets SIGKILL" in caplog.messages
    await until_gone(*pids.values())


async def test_process_failing_to_load_actor_tells_why(
    executor: ProcessExecutor, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "fading_actors.py"
    module.write_text((ACTORS_FOLDER / "process_actors.py").read_text())
    monkeypatch.syspath_prepend(tmp_path)
    found = load_actor("fading_actors:plain")
    module.unlink()
    outcome = await executor.start(job_of(found, RecordingContext()))

    assert isinstance(outcome, ActorFailed)
    assert (outcome.kind, outcome.retry) == ("ActorLoadError", True)
    assert "'fading_actors:plain' cannot be loaded: No module named" in outcome.message
    assert load("plain").name == found.name


async def test_actor_not_loaded_by_name_cannot_be_isolated(executor: ProcessExecutor, load: Load) -> None:
    nameless = load("plain").function
    from appworker import actor

    outcome = await executor.start(job_of(actor("nameless", isolation="process")(nameless), RecordingContext()))

    assert isinstance(outcome, ActorFailed)
    assert "needs a name that a process can load it by" in outcome.message


WORKER = """
    import asyncio, sys
    from appworker.execution.process.executor import ProcessExecutor
    from appworker.actors.loading import load_actor
    from appsupport.hosts.recording_context import RecordingContext, job_of

    async def main():
        executor, contexts = ProcessExecutor(), []
        for name in ("deaf", "stubborn"):
            contexts.append(RecordingContext())
            executor.start(job_of(load_actor(f"process_actors:{name}"), contexts[-1]))
        while not all(context.said for context in contexts):
            await asyncio.sleep(0.01)
        print(*(context.said[0]["pid"] for context in contexts), flush=True)
        await asyncio.Event().wait()

    asyncio.run(main())
"""


def start_worker() -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ACTORS_FOLDER), *sys.path])}
    command = [sys.executable, "-c", textwrap.dedent(WORKER)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


async def test_no_process_outlives_killed_worker() -> None:
    worker = start_worker()
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            assert worker.stdout is not None
            pids = [int(pid) for pid in (await asyncio.to_thread(worker.stdout.readline)).split()]
            assert len(pids) == 2
            assert not any(map(gone, pids))
            worker.kill()
            await until_gone(*pids)
    finally:
        worker.kill()
        worker.communicate()
