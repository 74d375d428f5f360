"""Facts of a test: the documents in the end, every write in the server's order, and the actors' notes."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bson.timestamp import Timestamp

from appdb import BudgetRepository, Database
from appdb.models import Budget

Raw = dict[str, Any]
TASKS, EVENTS, CONTENTS = "tasks", "task_events", "generated_content"
GENERATIONS = "content_generation_metadata"
USAGE = "tokens"
MARKS = "ledger_marks"
_RUN = re.compile(r"run_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write of one document.

    Args:
        collection: Where.
        key: The document's id.
        document: The document after this very write, or ``None`` when the write deleted it.
        transaction: The same for all writes of one transaction, and for no other.
    """

    collection: str
    key: str
    document: Raw | None
    transaction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A line that an actor wrote to a file: a run of it began, or has done its work."""

    task_id: str
    attempt: int
    run: str
    what: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """Bytes that are stored under a file's id."""

    size: int
    sha256: str


@dataclass(slots=True, kw_only=True)
class Acknowledged:
    """Answers that the test was given."""

    enqueued: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    cancel_refused: set[str] = field(default_factory=set)


@dataclass(slots=True, kw_only=True)
class Facts:
    """Everything that the checks look at."""

    acknowledged: Acknowledged
    tasks: dict[str, Raw]
    events: dict[str, list[Raw]]
    """By task, in the order of their numbers."""
    contents: list[Raw]
    generations: list[Raw]
    usage: list[Raw]
    budgets: list[Budget]
    """Of the owners of tasks, as they stand."""
    media: dict[str, Bytes]
    """By file id; only files whose bytes can be read."""
    history: list[Change]
    notes: list[Note]
    now: datetime
    """The server's clock when the facts were read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transaction's effect on one task.

    Args:
        task_id: Which task.
        before: The task before, if it was there.
        after: The task after, if it is there.
        appended: Events that are new in its log, wherever the log keeps them.
        moved: Events that were in its log before, and went from the task to a document of their own.
        contents: Content of the task that was written.
    """

    task_id: str
    before: Raw | None
    after: Raw | None
    appended: list[Raw]
    moved: list[Raw]
    contents: list[Raw]


def runs_in(value: object) -> set[str]:
    """Return the stamps of actors' runs in *value*, wherever in it they are."""
    return set(_RUN.findall(repr(value)))


def token_of(task: Raw | None) -> str | None:
    """Return the token that holds *task*, if any."""
    return task["lease"]["token"] if task is not None and task.get("lease") else None


def newest_events(task: Raw | None) -> list[Raw]:
    """Return the part of its log that a task carries itself, each event as it is in a document of its own."""
    if task is None:
        return []
    of_all = {"task_id": task["_id"]}
    return [
        of_all | {"_id": f"{task['_id']}:{seq}", "seq": seq, "attempt": batch["attempt"], "at": batch["at"], **event}
        for batch in task.get("tail", [])
        for seq, event in enumerate(batch["events"], batch["first"])
    ]


def steps(history: list[Change]) -> list[Step]:
    """Fold *history* into steps, in the server's order: a task's own writes with what shares their transaction."""
    groups: dict[str, list[Change]] = defaultdict(list)
    for change in history:
        groups[change.transaction].append(change)
    found: list[Step] = []
    last: dict[str, Raw | None] = {}
    for group in groups.values():
        found += [_step(task_id, group, last) for task_id in dict.fromkeys(_task_of(change) for change in group)]
    return found


def _task_of(change: Change) -> str:
    return change.key if change.collection == TASKS or change.document is None else str(change.document["task_id"])


def _step(task_id: str, group: list[Change], last: dict[str, Raw | None]) -> Step:
    mine = [change for change in group if _task_of(change) == task_id]
    before = last.get(task_id)
    for change in mine:
        if change.collection == TASKS:
            last[task_id] = change.document
    after = last.get(task_id)
    known = (before or {}).get("event_count", 0)
    rows = [change.document for change in mine if change.collection == EVENTS and change.document]
    new = {row["seq"]: row for row in [*newest_events(after), *rows] if row["seq"] >= known}
    return Step(
        task_id=task_id,
        before=before,
        after=after,
        appended=[new[seq] for seq in sorted(new)],
        moved=[row for row in rows if row["seq"] < known],
        contents=[change.document for change in mine if change.collection == CONTENTS and change.document],
    )


async def begin_history(database: Database) -> Timestamp:
    """Let the server keep each version of each document from now on, and return its time."""
    for name in (TASKS, EVENTS, CONTENTS):
        if name not in await database.raw.list_collection_names():
            await database.raw.create_collection(name)
        await database.raw.command("collMod", name, changeStreamPreAndPostImages={"enabled": True})
    started: Timestamp = (await database.raw.command("ping"))["operationTime"]
    return started


async def read_facts(database: Database, since: Timestamp, notes: Path, acknowledged: Acknowledged) -> Facts:
    """Read everything there is to know about what happened in *database*."""
    tasks = {row["_id"]: row async for row in database.collection(TASKS).find()}
    rows = [row async for row in database.collection(EVENTS).find()]
    events: dict[str, dict[int, Raw]] = defaultdict(dict)
    for row in [*rows, *(row for task in tasks.values() for row in newest_events(task))]:
        events[row["task_id"]][row["seq"]] = row
    contents = [row async for row in database.collection(CONTENTS).find()]
    owners, budgets = {task["owner_id"] for task in tasks.values()}, BudgetRepository(database)
    return Facts(
        acknowledged=acknowledged,
        tasks=tasks,
        events={task_id: [log[seq] for seq in sorted(log)] for task_id, log in events.items()},
        contents=contents,
        generations=[row async for row in database.collection(GENERATIONS).find()],
        usage=[row async for row in database.collection(USAGE).find()],
        budgets=[budget for owner_id in sorted(owners) for budget in await budgets.list_for(owner_id=owner_id)],
        media={row["file_id"]: found for row in contents if (found := await _bytes(database, row["file_id"]))},
        history=[change async for change in _history(database, since)],
        notes=read_notes(notes),
        now=await database.server_time(),
    )


async def _bytes(database: Database, file_id: str) -> Bytes | None:
    size, digest = 0, hashlib.sha256()
    if await database.collection("media.files").find_one({"_id": file_id}) is None:
        return None
    async for chunk in database.collection("media.chunks").find({"files_id": file_id}).sort("n", 1):
        size += len(chunk["data"])
        digest.update(chunk["data"])
    return Bytes(size=size, sha256=digest.hexdigest())


async def _history(database: Database, since: Timestamp) -> AsyncIterator[Change]:
    mark = (await database.collection(MARKS).insert_one({})).inserted_id
    wanted = [{"$match": {"ns.coll": {"$in": [TASKS, EVENTS, CONTENTS, MARKS]}}}]
    stream = database.raw.watch(wanted, full_document="whenAvailable", start_at_operation_time=since)
    async with stream:
        async for event in stream:
            if event.get("documentKey") == {"_id": mark}:
                return
            if "documentKey" in event and event["ns"]["coll"] != MARKS:
                yield _change(event)


def _change(event: Raw) -> Change:
    collection, key = event["ns"]["coll"], event["documentKey"]["_id"]
    document = event.get("fullDocument")
    if document is None and event["operationType"] != "delete":
        raise ValueError(
            f"the server kept no version of {collection} {key}; open the ledger before anything is written"
        )
    time: Timestamp = event["clusterTime"]
    session = event["lsid"]["id"].hex() if "lsid" in event else f"{collection}/{key}"
    transaction = f"{time.time}.{time.inc}/{session}/{event.get('txnNumber', '')}"
    return Change(collection=collection, key=str(key), document=document, transaction=transaction)


def read_notes(path: Path) -> list[Note]:
    """Return what the actors wrote; a line that a kill cut in half tells nothing."""
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [Note(**json.loads(line)) for line in lines if line.endswith("}")]
