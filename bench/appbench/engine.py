"""The engine: an answer to the next question over HTTP, and a start to the worker's first line.

Same work: one bare majority transaction that writes the same documents into copies of the collections; for a start a
process of its own waits on a change stream for the task's document, and claims it. Ours and the floor take turns.

A second floor for many answers at once: the same transaction behind the same web framework, in a process of its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from appbench.api_client import ApiClient, api_client
from appbench.bare_host import BEFORE
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


class Rates(NamedTuple):
    """Answers per second: of bare transactions, of those behind HTTP, and of ours."""

    bare: float
    bare_http: float
    ours: float


async def measure(stage: Stage) -> list[Row]:
    """Answer one at a time, then 32 at a time; then start runs whose first module is a task."""
    async with stage.database() as database, _api(stage, database) as client:
        answering = await _answering(stage, database, client)
        starting = await _starting(stage, database, client)
    return [*answering, *starting]


@asynccontextmanager
async def _api(stage: Stage, database: Database) -> AsyncIterator[ApiClient]:
    host = stage.start("server", ["-m", "appserver", "--port", "0"], database)
    try:
        async with api_client(host.wait_for(r"ready at (http://\S+)/")) as client:
            client.sign_in((await client.post("/api/guests"))["key"])
            yield client
    finally:
        host.stop()


@asynccontextmanager
async def _bare_api(stage: Stage, database: Database, form: RunForm) -> AsyncIterator[ApiClient]:
    await database.collection(BEFORE).insert_one(dict(form.before or {}))
    host = stage.start("bare-server", ["-m", "appbench.bare_host"], database)
    try:
        async with api_client(host.wait_for(r"serving at (http://\S+)/")) as client:
            yield client
    finally:
        host.stop()


async def _answering(stage: Stage, database: Database, client: ApiClient) -> list[Row]:
    template = await _template(client, ASKS)
    first = await _start(client, template)
    before = await database.collection("workflow_runs").find_one({"_id": first["id"]})
    await _answer(client, first)
    form = await RunForm.of_answer(database, before or {})
    async with bare_runs(database, form) as floor, _bare_api(stage, database, form) as bare_client:
        ours, bare = await _one_by_one(stage, client, template, floor)
        rates = await _at_once(client, bare_client, template, floor, stage.size(640, 64))
    one = Row(
        id="answer to next question p50",
        value=percentile(ours, 50),
        unit="ms",
        bound="<=",
        floor=percentile(bare, 50),
        target=2.5,
    )
    return [one, *_rate_rows(rates)]


def _rate_rows(rates: Rates) -> list[Row]:
    name = "answers, 32 runs in flight"
    return [
        Row(id=name, value=rates.ours, unit="1/s", bound=">=", floor=rates.bare, target=0.6),
        Row(id=f"{name}, over HTTP", value=rates.ours, unit="1/s", bound=">=", floor=rates.bare_http, target=0.6),
    ]


async def _one_by_one(
    stage: Stage, client: ApiClient, template: str, floor: BareRuns
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


async def _at_once(client: ApiClient, bare_client: ApiClient, template: str, floor: BareRuns, count: int) -> Rates:
    """Return answers per second, 32 in flight; three turns each, the medians."""
    turns = []
    for _ in range(3):
        bare, bare_http = [floor.answer(run_id) for run_id in await floor.prepare(count)], await floor.prepare(count)
        runs = [await _start(client, template) for _ in range(count)]
        turns.append(
            (
                await _rate(bare),
                await _rate([bare_client.post(f"/runs/{run_id}/answer", ANSWER) for run_id in bare_http]),
                await _rate([_answer(client, run) for run in runs]),
            )
        )
    return Rates(*(median(rates) for rates in zip(*turns, strict=True)))


async def _rate(calls: list[Any]) -> float:
    room = asyncio.Semaphore(IN_FLIGHT)

    async def one(call: Any) -> None:
        async with room:
            await call

    began = time.perf_counter()
    await asyncio.gather(*map(one, calls))
    return len(calls) / (time.perf_counter() - began)


async def _starting(stage: Stage, database: Database, client: ApiClient) -> list[Row]:
    template = await _template(client, WORKS)
    ours, bare = [], []
    async with bare_collection(stage, database) as floors:
        waiter = stage.start("bare-waiter", [str(_WAITER), floors.form.document[CLAIM_KEY]], database)
        try:
            waiter.wait_for("(ready)")
            with stage.worker(database, slots=4):
                first = await _start(client, template)
                form = await RunForm.of_start(database, first["id"])
                queued = replace(form, task=floors.form.documents(1)[0])
                async with bare_runs(database, queued) as floor:
                    for _ in range(stage.size(200, 30) + WARM_UP):
                        bare.append(await _bare_start(database, floor))
                        ours.append(await _our_start(database, client, template))
        finally:
            waiter.stop()
    value, floor_value = percentile(ours[WARM_UP:], 50), percentile(bare[WARM_UP:], 50)
    name = "start to worker's first line p50"
    return [Row(id=name, value=value, unit="ms", bound="<=", floor=floor_value, target=1.5)]


async def _our_start(database: Database, client: ApiClient, template: str) -> float:
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


async def _template(client: ApiClient, definition: dict[str, Any]) -> str:
    return str((await client.post("/api/workflows", {"definition": definition}))["id"])


async def _start(client: ApiClient, template: str) -> dict[str, Any]:
    return await client.post("/api/runs", {"template_id": template})


async def _answer(client: ApiClient, run: dict[str, Any]) -> None:
    question = run["question"]["interaction_id"]
    await client.post(f"/api/runs/{run['id']}/interactions/{question}/answer", ANSWER)
