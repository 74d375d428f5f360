"""What became of a run, read from the database: the same whoever was killed, and nothing twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from appdb import Database

Raw = Mapping[str, Any]
ENGINE_QUEUE = "engine"
FINAL = {"completed", "failed", "cancelled"}
ENDS = {"sub_action_completed", "sub_action_failed"}
LIVE = ["scheduled", "queued", "processing"]
SETTLE_SECONDS = 90
STARTS = {"module_started", "retry_requested"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """A run and its parts: documents as they are stored, events by run and number."""

    run_id: str
    runs: list[Raw]
    events: list[Raw]
    tasks: list[Raw]
    contents: list[Raw]
    usage: list[Raw]

    @property
    def summary(self) -> Mapping[str, Any]:
        """What must be the same in each life of a workflow: statuses, the output's shape, events, and what was made."""
        output = next((event["data"].get("output") for event in self.events if self._is_end(event)), None)
        depth = {run["_id"]: len(run["ancestors"]) for run in self.runs}
        return {
            "status": sorted((depth[run["_id"]], run["status"]) for run in self.runs),
            "output": _shape(output),
            "events": Counter((depth[one["run_id"]], one["type"], one.get("module")) for one in self.events),
            "tasks": Counter((task["actor"], task["state"]) for task in self._works),
            "contents": Counter(row["kind"] for row in self.contents),
            "usage": len({row.get("task_id") for row in self.usage}),
        }

    def problems(self) -> Iterator[str]:
        """Yield what was done twice, not at all, or is still to be done."""
        yield from self._gaps()
        yield from self._uneven_sub_actions()
        yield from (f"task {task['_id']} is {task['state']}" for task in self.tasks if task["state"] not in FINAL)
        yield from _repeated("content", [(row["task_id"], row["key"]) for row in self.contents])
        # An attempt that is killed behind its call leaves a row, and the next one calls, and pays, again.
        calls, attempts = (
            Counter(row.get("task_id") for row in self.usage),
            {t["_id"]: t["attempt"] for t in self.tasks},
        )
        for task_id, count in calls.items():
            if count > attempts.get(task_id, 0):
                yield f"task {task_id} has {count} rows of usage in {attempts.get(task_id, 0)} attempts"

    def broken_attempts(self) -> list[str]:
        """Return how attempts ended without a result, in words: why a life differs from another one."""
        return [
            f"{error['at']}: {task['actor']} {task['_id']}, {task['state']}: {error['attempt']}: {error['message']}"
            for task in self.tasks
            for error in task["errors"]
        ]

    def longest_silence(self, since: datetime) -> float:
        """Return the longest time in which nothing was appended from *since* to the end, in seconds."""
        times = [since, *sorted(event["created_at"] for event in self.events if event["created_at"] > since)]
        return max(((after - before).total_seconds() for before, after in pairwise(times)), default=0)

    def story(self) -> list[str]:
        """Return what was appended and when, and how attempts broke, in words: where a run was silent, and why."""
        told = [f"{one['created_at']}: {one['run_id']} {one['seq']} {one['type']}" for one in self.events]
        return sorted([*told, *self.broken_attempts()])

    @property
    def _works(self) -> list[Raw]:
        return [task for task in self.tasks if task["queue"] != ENGINE_QUEUE]

    def _is_end(self, event: Raw) -> bool:
        return bool(event["run_id"] == self.run_id and event["type"] == "workflow_completed")

    def _gaps(self) -> Iterator[str]:
        for run in self.runs:
            numbers = [event["seq"] for event in self.events if event["run_id"] == run["_id"]]
            if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or len(numbers) != run["event_count"]:
                yield f"run {run['_id']}: its events are {numbers}, and it counts {run['event_count']}"

    def _uneven_sub_actions(self) -> Iterator[str]:
        """Each sub-action has one start and one end in each try of its module, and one task."""
        tries: Counter[tuple[str, str]] = Counter()
        started: Counter[tuple[Any, ...]] = Counter()
        ended: Counter[tuple[Any, ...]] = Counter()
        for event in self.events:
            place = (event["run_id"], event.get("module") or "")
            tries[place] += event["type"] in STARTS
            name = (*place, tries[place], event["data"].get("sub_action_id"))
            started[name] += event["type"] == "sub_action_started"
            ended[name] += event["type"] in ENDS
        for name in started | ended:
            if (started[name], ended[name]) != (1, 1):
                yield f"sub-action {name} has {started[name]} starts and {ended[name]} ends"
        tasks = Counter(event["data"]["id"] for event in self.events if _starts_task(event))
        if tasks != Counter(task["_id"] for task in self._works):
            yield f"the log names the tasks {tasks}, and there are {[task['_id'] for task in self._works]}"


def _starts_task(event: Raw) -> bool:
    return bool(event["type"] == "sub_action_started" and event["data"]["kind"] == "task")


def _repeated(what: str, keys: list[tuple[Any, ...]]) -> Iterator[str]:
    yield from (f"{what} {key} is there {count} times" for key, count in Counter(keys).items() if count > 1)


def _shape(value: Any) -> Any:
    """Return what kind of value it is, without what differs from one life to the next."""
    if isinstance(value, Mapping):
        return {name: _shape(part) for name, part in value.items()}
    return [_shape(part) for part in value] if isinstance(value, list) else type(value).__name__


async def read_run_facts(database: Database, run_id: str) -> RunFacts:
    """Read all that there is about a run and its parts."""

    async def rows(collection: str, match: Raw) -> list[Raw]:
        return [row async for row in database.collection(collection).find(match)]

    runs = await rows("workflow_runs", {"$or": [{"_id": run_id}, {"ancestors": run_id}]})
    within = {"$in": [run["_id"] for run in runs]}
    events = await rows("events", {"run_id": within})
    tasks = await rows("tasks", {"run_id": within})
    return RunFacts(
        run_id=run_id,
        runs=runs,
        events=sorted(events, key=lambda event: (event["run_id"], event["seq"])),
        tasks=tasks,
        contents=await rows("generated_content", {"task_id": {"$in": [task["_id"] for task in tasks]}}),
        usage=await rows("tokens", {"run_id": within}),
    )


async def settled(database: Database) -> None:
    """Wait until no task is live: looks come behind the end of a run."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while await database.collection("tasks").find_one({"state": {"$in": LIVE}}) is not None:
            await asyncio.sleep(0.2)
