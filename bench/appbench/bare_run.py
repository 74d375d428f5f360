"""The floor of the engine: the writes of an answer, or of a start, in one bare majority transaction."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appbench.floors import FLOOR, index_again
from appbench.stage import BenchError
from appdb import Database, uuid7_str
from appdb.host import Session

COPIED = {
    "workflow_runs": "floor_runs",
    "events": "floor_events",
    "branches": "floor_branches",
    "workflow_run_versions": "floor_run_versions",
    "workflow_templates": "floor_templates",
}
"""The collections of a run, and their bare copies, with the same indexes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunForm:
    """The documents that a call of the engine wrote, to be written again without it.

    Args:
        run: The run's document behind the call.
        before: The run's document before the call; ``None`` for a start. Written over by itself it would be no write.
        events: The events of the call, in order.
        branch: The branch that a start makes; ``None`` for an answer.
        version: What a start notes of the version that the run follows; ``None`` for an answer.
        template: The template in which a start notes that it is used; ``None`` for an answer.
        task: The task that it enqueued; ``None`` for none.
    """

    run: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    before: Mapping[str, Any] | None = None
    branch: Mapping[str, Any] | None = None
    version: Mapping[str, Any] | None = None
    template: Mapping[str, Any] | None = None
    task: Mapping[str, Any] | None = None

    @classmethod
    async def of_answer(cls, database: Database, before: Mapping[str, Any]) -> RunForm:
        """Return the form of what an answer wrote to the run that had this document before."""
        run = await database.collection("workflow_runs").find_one({"_id": before["_id"]})
        events = await _events_of(database, before["_id"], before["event_count"])
        return cls(run=dict(run or {}), before=before, events=events)

    @classmethod
    async def of_start(cls, database: Database, run_id: str) -> RunForm:
        """Return the form of what a start wrote."""
        run = await database.collection("workflow_runs").find_one({"_id": run_id})
        branch = await database.collection("branches").find_one({"run_id": run_id})
        version = await database.collection("workflow_run_versions").find_one({"run_id": run_id})
        template = await database.collection("workflow_templates").find_one({"_id": dict(run or {})["template_id"]})
        task = await database.collection("tasks").find_one({"run_id": run_id, "queue": {"$ne": "engine"}})
        events = await _events_of(database, run_id, 0)
        return cls(run=dict(run or {}), events=events, branch=branch, version=version, template=template, task=task)


class BareRuns:
    """Writes the same documents as the engine does, with the same durability, and nothing else."""

    def __init__(self, database: Database, form: RunForm) -> None:
        self._database = database
        self._form = form
        self._collections = {name: database.collection(copy) for name, copy in COPIED.items()}
        self._tasks = database.collection(FLOOR)

    async def prepare(self, count: int) -> list[str]:
        """Insert *count* runs that are to be answered, and return their ids."""
        ids = [uuid7_str("wf_") for _ in range(count)]
        rows = [{**(self._form.before or {}), "_id": run_id, "project": run_id} for run_id in ids]
        await self._collections["workflow_runs"].insert_many(rows, ordered=False)
        return ids

    async def answer(self, run_id: str) -> None:
        """Write an answer and what followed from it: the run's document, and the events."""

        async def body(session: Session) -> None:
            changed = {name: value for name, value in self._form.run.items() if name not in ("_id", "project")}
            runs = self._collections["workflow_runs"]
            match = {"_id": run_id, "deleting": {"$ne": True}}
            if await runs.find_one_and_update(match, {"$set": changed}, session=session) is None:
                raise BenchError(f"the floor has no run {run_id} to write to")
            await self._collections["events"].insert_many(self._events(run_id), session=session)

        await self._database.transaction(body)

    async def start(self) -> str | None:
        """Write a start and what followed from it, and return the id of the task, where there is one."""
        run_id = uuid7_str("wf_")
        task = None if self._form.task is None else {**self._form.task, "_id": uuid7_str("tq_"), "run_id": run_id}

        async def body(session: Session) -> None:
            await self._use_template(session)
            run = {**self._form.run, "_id": run_id, "project": run_id}
            await self._collections["workflow_runs"].insert_one(run, session=session)
            branch = {**(self._form.branch or {}), "_id": uuid7_str("br_"), "run_id": run_id}
            await self._collections["branches"].insert_one(branch, session=session)
            version = {**(self._form.version or {}), "_id": uuid7_str("rv_"), "run_id": run_id}
            await self._collections["workflow_run_versions"].insert_one(version, session=session)
            await self._collections["events"].insert_many(self._events(run_id), session=session)
            if task is not None:
                await self._tasks.insert_one(task, session=session)

        await self._database.transaction(body)
        return None if task is None else str(task["_id"])

    async def _use_template(self, session: Session) -> None:
        template = self._form.template or {}
        used = {"$set": {"used_at": datetime.now(UTC)}}
        match = {"_id": template.get("_id")}
        await self._collections["workflow_templates"].find_one_and_update(match, used, {"_id": 1}, session=session)

    def _events(self, run_id: str) -> list[dict[str, Any]]:
        return [{**event, "_id": uuid7_str("evt_"), "run_id": run_id} for event in self._form.events]


async def _events_of(database: Database, run_id: str, first: int) -> list[dict[str, Any]]:
    match = {"run_id": run_id, "seq": {"$gte": first}}
    return [dict(row) async for row in database.collection("events").find(match).sort("seq")]


@asynccontextmanager
async def bare_runs(database: Database, form: RunForm) -> AsyncIterator[BareRuns]:
    """Yield the floor, in copies of the collections with the same indexes."""
    if form.template is not None:
        await database.collection(COPIED["workflow_templates"]).insert_one(dict(form.template))
    for name, copy in COPIED.items():
        known = await database.collection(name).index_information()
        indexes = [index_again(index, dict(known[index])) for index in known if index != "_id_"]
        if indexes:
            await database.collection(copy).create_indexes(indexes)
    yield BareRuns(database, form)
