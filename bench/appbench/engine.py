"""The engine: an answer to the next question over HTTP, and a start to the worker's first line.

Same work: one bare majority transaction that writes the same documents into copies of the collections; for a start a
process of its own waits on a change stream for the task's document, and claims it. Ours and the floor take turns.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from appbench.bare_run import BareRuns, RunForm, bare_runs
from appbench.floors import CLAIM_KEY, FLOOR, bare_collection
from appbench.pickup import QUIET_SECONDS, percentile
from appbench.rows import Row
from appbench.stage import IN_FLIGHT, Stage
from appbench.watching import result_of
from appdb import Database

_WAITER = Path(__file__).parent / "bare_waiter.py"
WARM_UP = 10
ANSWER = {"response": {"value": "yes"}}


def _ask(name: str) -> dict[str, Any]:
    return {"id": name, "type": "user.text_input@1", "in": {"title": f"What is the {name}?"}}


ASKS = {"name": "asks", "steps": [{"id": "only", "modules": [_ask("topic"), _ask("mood")]}]}
WORKS = {
    "name": "works",
    "steps": [
        {"id": "only", "modules": [{"id": "work", "type": "task.run@1", "in": {"actor": "bench.noop", "payload": {}}}]}
    ],
}


async def measure(stage: Stage) -> list[Row]:
    """Answer one at a time, then 32 at a time; then start runs whose first module is a task."""
    async with stage.database() as database, _api(stage, database) as client:
        answering = await _answering(stage, database, client)
        starting = await _starting(stage, database, client)
    return [*answering, *starting]


@asynccontextmanager
async def _api(stage: Stage, database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    host = stage.start("server", ["-m", "appserver", "--port", "0"], database)
    try:
        address = host.wait_for(r"ready at (http://\S+)/")
        limits = httpx2.Limits(max_connections=IN_FLIGHT)
        async with httpx2.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
            key = (await client.post("/api/guests")).raise_for_status().json()["key"]
            client.headers["Authorization"] = f"Bearer {key}"
            yield client
    finally:
        host.stop()


async def _answering(stage: Stage, database: Database, client: httpx2.AsyncClient) -> list[Row]:
    template = await _template(client, ASKS)
    first = await _start(client, template)
    await _answer(client, first)
    form = await RunForm.of(database, first["id"], after=first["last_seq"], started=False)
    async with bare_runs(database, form) as floor:
        ours, bare = await _one_by_one(stage, client, template, floor)
        together = stage.size(640, 64)
        rates = await _at_once(client, template, floor, together)
    return [
        Row(
            id="answer to next question p50",
            value=percentile(ours, 50),
            unit="ms",
            bound="<=",
            floor=percentile(bare, 50),
            target=2.5,
        ),
        Row(id="answers, 32 runs in flight", value=rates[0], unit="1/s", bound=">=", floor=rates[1], target=0.6),
    ]


async def _one_by_one(
    stage: Stage, client: httpx2.AsyncClient, template: str, floor: BareRuns
) -> tuple[list[float], list[float]]:
    count = stage.size(300, 40) + WARM_UP
    runs = [await _start(client, template) for _ in range(count)]
    bare = await floor.prepare(count)
    ours_ms, bare_ms = [], []
    for run, run_id in zip(runs, bare, strict=True):
        began = time.perf_counter()
        await floor.answer(run_id)
        bare_ms.append((time.perf_counter() - began) * 1_000)
        began = time.perf_counter()
        await _answer(client, run)
        ours_ms.append((time.perf_counter() - began) * 1_000)
    return ours_ms[WARM_UP:], bare_ms[WARM_UP:]


async def _at_once(client: httpx2.AsyncClient, template: str, floor: BareRuns, count: int) -> tuple[float, float]:
    """Return answers per second of ours and of the floor, 32 in flight; three turns each, the median."""
    ours, bare = [], []
    for _ in range(3):
        ids = await floor.prepare(count)
        runs = [await _start(client, template) for _ in range(count)]
        bare.append(await _rate([floor.answer(run_id) for run_id in ids]))
        ours.append(await _rate([_answer(client, run) for run in runs]))
    return sorted(ours)[1], sorted(bare)[1]


async def _rate(calls: list[Any]) -> float:
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one(call: Any) -> None:
        async with room:
            await call

    began = time.perf_counter()
    await asyncio.gather(*map(one, calls))
    return len(calls) / (time.perf_counter() - began)


async def _starting(stage: Stage, database: Database, client: httpx2.AsyncClient) -> list[Row]:
    template = await _template(client, WORKS)
    ours, bare = [], []
    async with bare_collection(stage, database) as floors:
        waiter = stage.start("bare-waiter", [str(_WAITER), floors.form.document[CLAIM_KEY]], database)
        try:
            waiter.wait_for("(ready)")
            with stage.worker(database, slots=4):
                first = await _start(client, template)
                form = await RunForm.of(database, first["id"], after=-1, started=True)
                queued = RunForm(run=form.run, events=form.events, branch=form.branch, task=floors.form.documents(1)[0])
                async with bare_runs(database, queued) as floor:
                    for _ in range(stage.size(200, 30) + WARM_UP):
                        bare.append(await _bare_start(database, floor))
                        ours.append(await _our_start(database, client, template))
        finally:
            waiter.stop()
    value, floor_value = percentile(ours[WARM_UP:], 50), percentile(bare[WARM_UP:], 50)
    name = "start to worker's first line p50"
    return [Row(id=name, value=value, unit="ms", bound="<=", floor=floor_value, target=1.5)]


async def _our_start(database: Database, client: httpx2.AsyncClient, template: str) -> float:
    began = time.time()
    run = await _start(client, template)
    waits = [wait["id"] for wait in run["waiting_on"]]
    return await _waited(database, waits[0], "tasks", began)


async def _bare_start(database: Database, floor: BareRuns) -> float:
    began = time.time()
    task_id = await floor.start()
    return await _waited(database, task_id or "", FLOOR, began)


async def _waited(database: Database, task_id: str, collection: str, began: float) -> float:
    await asyncio.sleep(QUIET_SECONDS)
    result = await result_of(database, task_id, collection=collection)
    await asyncio.sleep(random.uniform(0.02, 0.05))
    return float(result["at"] - began) * 1_000


async def _template(client: httpx2.AsyncClient, definition: dict[str, Any]) -> str:
    saved = await client.post("/api/workflows", json={"definition": definition})
    return str(saved.raise_for_status().json()["id"])


async def _start(client: httpx2.AsyncClient, template: str) -> dict[str, Any]:
    started = await client.post("/api/runs", json={"template_id": template})
    return dict(started.raise_for_status().json())


async def _answer(client: httpx2.AsyncClient, run: dict[str, Any]) -> None:
    question = run["question"]["interaction_id"]
    (await client.post(f"/api/runs/{run['id']}/interactions/{question}/answer", json=ANSWER)).raise_for_status()
