"""The ledger itself: it is silent about a lawful history, and each of its checks sees the breach that it is for."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128

from appdb import Claimer, ContentRepository, Database, Lease, NewEvent, NewTask, TaskEventType, TaskQueue
from appdb.models import Budget, ContentKind, NewContent
from appsupport.faults.ledger import Ledger
from appsupport.faults.ledger_checks import CHECKS, problems
from appsupport.faults.ledger_facts import Acknowledged, Bytes, Change, Facts, Note

pytestmark = pytest.mark.short

START = datetime(2030, 1, 1, tzinfo=UTC)
LEASE = timedelta(seconds=2)
RUNS = ["run_" + digit * 32 for digit in "ab"]
CLAIMER = Claimer(worker_id="wrk_a", queues=("default",), handlers=("fault.work@1",))
Raw = dict[str, Any]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


TIMES = {"created_at": START, "updated_at": START}
BUDGET = Budget.from_document(
    {"_id": "user:usr_a", "owner_id": "usr_a", "kind": "user", "limit": 1, "spent": Decimal("0.25"), "reserved": 0}
    | TIMES
)


class TaskHistory:
    """Writes one task's history as the product would; its events are parts of the task, or documents of their own."""

    def __init__(self, *, apart: bool = False) -> None:
        self._apart = apart
        self.task: Raw = {
            "_id": "tq_1", "state": "queued", "attempt": 0, "max_attempts": 2, "lease": None, "progress": None,
            "result": None, "error": None, "event_count": 0, "tail": [], "updated_at": at(0), "finished_at": None,
        }  # fmt: skip
        self.changes: list[Change] = []
        self.events: list[Raw] = []
        self.write(0)

    def write(self, seconds: float, *events: Raw, **changes: Any) -> None:
        """Change the task and append events at once."""
        first, attempt = self.task["event_count"], (self.task | changes)["attempt"]
        counted = {"updated_at": at(seconds), "event_count": first + len(events)}
        self.task = copy.deepcopy(self.task) | counted | changes
        self.events += [
            {"_id": f"tq_1:{seq}", "task_id": "tq_1", "seq": seq, "attempt": attempt, **event}
            for seq, event in enumerate(events, first)
        ]
        name = f"txn-{len(self.changes)}"
        if events and self._apart:
            self.insert(self.events[first:], name)
        elif events:
            batch = {"first": first, "at": at(seconds), "attempt": attempt, "events": list(events)}
            self.task["tail"] = [*self.task["tail"], batch]
        document = copy.deepcopy(self.task)
        self.changes.append(Change(collection="tasks", key="tq_1", document=document, transaction=name))

    def insert(self, rows: list[Raw], name: str) -> None:
        """Write events to documents of their own."""
        self.changes += [
            Change(collection="task_events", key=row["_id"], document=copy.deepcopy(row), transaction=name)
            for row in rows
        ]

    def move(self) -> None:
        """Move the task's log out of the task: copy it first, then drop it."""
        self.insert(self.events, "moving")
        self.write(6, tail=[])

    def claim(self, seconds: float, token: str) -> None:
        lease = {"token": token, "worker_id": "wrk", "expires_at": at(seconds) + LEASE}
        attempt = self.task["attempt"] + 1
        self.write(seconds, state="processing", attempt=attempt, lease=lease, progress=None)

    def chunk(self, seconds: float, run: str) -> None:
        self.write(seconds, {"type": "chunk", "data": {"chunks": [{"run": run}]}})

    def expire(self, seconds: float) -> None:
        error = {"type": "LeaseExpired", "attempt": self.task["attempt"]}
        self.write(seconds, {"type": "retrying", "data": {"error": error}}, state="queued", lease=None, error=error)

    def complete(self, seconds: float, run: str) -> None:
        ended: Raw = {"state": "completed", "lease": None, "result": {"run": run}, "error": None}
        ended["settled"] = {"token": (self.task["lease"] or {}).get("token")}
        self.write(seconds, {"type": "completed", "data": {}}, **ended, finished_at=at(seconds))

    def facts(self) -> Facts:
        content = {"_id": "gc_1", "task_id": "tq_1", "key": "a", "file_id": "file_1", "size": 3, "sha256": "abc",
                   "attempt": 2, "caption": RUNS[1]}  # fmt: skip
        done = [Note(task_id="tq_1", attempt=2, run=RUNS[1], what=what, pid=1) for what in ("start", "finish")]
        return Facts(
            acknowledged=Acknowledged(enqueued={"tq_1"}),
            tasks={"tq_1": copy.deepcopy(self.task)},
            events={"tq_1": copy.deepcopy(self.events)},
            contents=[content],
            generations=[{"_id": "cgm_1", "task_id": "tq_1", "status": self.task["state"]}],
            usage=[{"_id": "tok_1", "owner_id": "usr_a", "task_id": "tq_1", "cost": Decimal128("0.25")}],
            budgets=[BUDGET],
            media={"file_1": Bytes(size=3, sha256="abc")},
            history=self.changes,
            notes=done,
            now=at(100),
        )


def retried(*, apart: bool = False) -> TaskHistory:
    """Return the history of a task whose first worker died."""
    history = TaskHistory(apart=apart)
    history.claim(1, "token-1")
    history.chunk(1.5, RUNS[0])
    history.expire(4)
    history.claim(5, "token-2")
    history.chunk(5.5, RUNS[1])
    return history


def lawful() -> Facts:
    history = retried()
    history.complete(6, RUNS[1])
    return history.facts()


@pytest.mark.parametrize("apart", [False, True])
def test_lawful_history_has_no_problem(*, apart: bool) -> None:
    history = retried(apart=apart)
    if not apart:
        history.move()
    history.complete(7, RUNS[1])

    assert problems(history.facts()) == []


def told(damage: Callable[[TaskHistory], None]) -> Facts:
    history = retried()
    damage(history)
    return history.facts()


def lost(facts: Facts) -> None:
    facts.acknowledged.enqueued.add("tq_2")


def uncancelled(facts: Facts) -> None:
    facts.acknowledged.cancelled.add("tq_1")


def refused_for_nothing(facts: Facts) -> None:
    facts.acknowledged.cancel_refused.add("tq_1")
    facts.tasks["tq_1"]["state"] = "queued"


def tried_too_often(facts: Facts) -> None:
    facts.tasks["tq_1"]["max_attempts"] = 1


def ran_without_a_claim(facts: Facts) -> None:
    facts.notes.extend([facts.notes[0]] * 2)


def lost_an_event(facts: Facts) -> None:
    del facts.events["tq_1"][1]


def tells_it_otherwise(facts: Facts) -> None:
    facts.events["tq_1"][0]["data"] = {"other": True}


def lost_its_end(facts: Facts) -> None:
    facts.events["tq_1"][-1]["type"] = "progress"


def ended_twice(facts: Facts) -> None:
    facts.events["tq_1"][0]["type"] = "failed"


def took_a_result_from_nowhere(facts: Facts) -> None:
    facts.notes.pop()


def lost_its_bytes(facts: Facts) -> None:
    facts.media.clear()


def has_other_bytes(facts: Facts) -> None:
    facts.media["file_1"] = Bytes(size=2, sha256="abd")


def has_content_twice(facts: Facts) -> None:
    facts.contents.append(facts.contents[0])


def left_its_generation_open(facts: Facts) -> None:
    facts.generations[0]["status"] = "pending"


def spent_twice(facts: Facts) -> None:
    facts.budgets[0] = BUDGET.model_copy(update={"spent": Decimal("0.5")})


def hangs(facts: Facts) -> None:
    facts.tasks["tq_1"] |= {"state": "processing", "lease": {"worker_id": "wrk", "expires_at": at(50)}}


AT_THE_END = [
    (lost, "no_acknowledged_task_is_lost", "tq_2 was acknowledged and is lost"),
    (uncancelled, "cancels_are_final", "was cancelled, which was acknowledged, and is completed"),
    (refused_for_nothing, "cancels_are_final", "could not be cancelled since it had ended, and is queued"),
    (tried_too_often, "attempts_are_within_bounds", "was tried 2 times, and 1 are allowed"),
    (ran_without_a_claim, "attempts_are_within_bounds", "its actor began 3 times, with 2 claims"),
    (lost_an_event, "logs_are_dense_and_end_once", "counts 4 events, and its log has the numbers [0, 2, 3]"),
    (tells_it_otherwise, "the_log_is_never_rewritten", "and reads ('chunk', 1, {'other': True})"),
    (lost_its_end, "logs_are_dense_and_end_once", "is completed, and the ends in its log are []"),
    (ended_twice, "logs_are_dense_and_end_once", "the ends in its log are [(0, 'failed'), (3, 'completed')]"),
    (took_a_result_from_nowhere, "results_are_of_runs_that_ended", "which never got to its end"),
    (lost_its_bytes, "contents_resolve_to_their_bytes", "names the file file_1: not there"),
    (has_other_bytes, "contents_resolve_to_their_bytes", "and its bytes are Bytes(size=2"),
    (has_content_twice, "contents_resolve_to_their_bytes", "has the content a 2 times"),
    (spent_twice, "costs_are_spent_once", "has 0.5 and 0, and should have 0.25 and 0"),
    (left_its_generation_open, "generations_end_with_their_tasks", "and its generation is pending"),
    (hangs, "nothing_is_held_past_its_lease", "is processing, and its lease ended at"),
]


@pytest.mark.parametrize(("damage", "check", "message"), AT_THE_END)
def test_breach_at_end_is_seen(damage: Callable[[Facts], None], check: str, message: str) -> None:
    facts = lawful()
    damage(facts)

    assert any(
        problem.startswith((f"{check}: task tq_1", f"{check}: budget")) or "tq_2" in problem
        for problem in problems(facts)
    )
    assert any(problem.startswith(check) and message in problem for problem in problems(facts))


def takes_a_lease_that_lives(history: TaskHistory) -> None:
    history.claim(6, "token-3")


def takes_back_early(history: TaskHistory) -> None:
    history.expire(6)


def is_ended_by_a_stranger(history: TaskHistory) -> None:
    history.write(6, state="queued", lease=None, settled={"token": "token-1"})


def gives_a_token_twice(history: TaskHistory) -> None:
    history.expire(8)
    history.claim(9, "token-1")


def claims_what_is_done(history: TaskHistory) -> None:
    history.complete(6, RUNS[1])
    history.claim(9, "token-3")


def is_deleted_while_held(history: TaskHistory) -> None:
    history.changes.append(Change(collection="tasks", key="tq_1", document=None, transaction="last"))


def writes_late(history: TaskHistory) -> None:
    history.chunk(6, RUNS[0])


def writes_after_its_end(history: TaskHistory) -> None:
    history.expire(8)
    history.chunk(9, RUNS[1])


def writes_events_alone(history: TaskHistory) -> None:
    row = {"_id": "tq_1:9", "task_id": "tq_1", "seq": 9, "attempt": 2, "type": "chunk", "data": {}}
    history.changes.append(Change(collection="task_events", key="tq_1:9", document=row, transaction="alone"))


def counts_events_that_are_not_there(history: TaskHistory) -> None:
    history.write(6, event_count=9)


def writes_for_another_attempt(history: TaskHistory) -> None:
    history.chunk(6, RUNS[1])
    document = history.changes[-1].document
    assert document is not None
    document["tail"][-1]["attempt"] = 1


def moves_another_event(history: TaskHistory) -> None:
    history.events[0]["data"] = {"other": True}
    history.move()


def stores_content_unfenced(history: TaskHistory) -> None:
    history.expire(8)
    row = {"_id": "gc_1", "task_id": "tq_1", "attempt": 2, "caption": None}
    history.changes.append(Change(collection="generated_content", key="gc_1", document=row, transaction="alone"))


def claims_without_counting(history: TaskHistory) -> None:
    history.expire(8)
    history.write(9, state="processing", lease={"token": "token-3", "worker_id": "wrk", "expires_at": at(11)})


def counts_without_claiming(history: TaskHistory) -> None:
    history.write(6, attempt=3)


def ends_again(history: TaskHistory) -> None:
    history.complete(6, RUNS[1])
    history.write(7, state="cancelled")


ON_THE_WAY = [
    (takes_a_lease_that_lives, "never_two_owners", "the lease token-2 was taken away before its end"),
    (takes_back_early, "never_two_owners", "the lease token-2 was taken away before its end"),
    (is_ended_by_a_stranger, "never_two_owners", "the lease token-2 was ended by somebody who did not hold it"),
    (gives_a_token_twice, "never_two_owners", "the token token-1 was given out before"),
    (claims_what_is_done, "never_two_owners", "was claimed while it was completed"),
    (is_deleted_while_held, "never_two_owners", "the lease token-2 was taken away before its end"),
    (writes_late, "no_write_from_a_lost_lease", f"{RUNS[0]} wrote under 2 leases"),
    (writes_late, "no_write_from_a_lost_lease", "under the lease token-2 several runs wrote"),
    (writes_after_its_end, "no_write_from_a_lost_lease", "wrote while nobody held the task"),
    (writes_events_alone, "everything_is_written_behind_the_fence", "counted the events [] and wrote [9]"),
    (counts_events_that_are_not_there, "everything_is_written_behind_the_fence", "and wrote []"),
    (writes_for_another_attempt, "everything_is_written_behind_the_fence", "is of attempt 1, written during {2}"),
    (moves_another_event, "the_log_is_never_rewritten", "and was moved as ('chunk', 1, {'other': True})"),
    (stores_content_unfenced, "everything_is_written_behind_the_fence", "written while nobody held the task"),
    (claims_without_counting, "attempts_are_counted_at_claims", "a claim changed its attempts by 0"),
    (counts_without_claiming, "attempts_are_counted_at_claims", "a write changed its attempts by 1"),
    (ends_again, "each_end_is_reached_once", "had ended and was changed"),
]


@pytest.mark.parametrize(("damage", "check", "message"), ON_THE_WAY)
def test_breach_on_way_is_seen(damage: Callable[[TaskHistory], None], check: str, message: str) -> None:
    facts = told(damage)

    assert any(problem.startswith(f"{check}: task tq_1") and message in problem for problem in problems(facts))


def test_every_check_can_fail() -> None:
    shown = {check for _, check, _ in [*AT_THE_END, *ON_THE_WAY]}

    assert shown == {check.__name__ for check in CHECKS}


@pytest.fixture
async def ledger(database: Database, tmp_path: Path) -> Ledger:
    return await Ledger.open(database, tmp_path / "notes")


async def claimed(ledger: Ledger) -> Lease:
    await ledger.enqueue(NewTask(owner_id="usr_a", actor="fault.work", payload={}))
    (task,) = await TaskQueue(ledger.database).claim(CLAIMER)
    item = NewContent(
        key="a", kind=ContentKind.TEXT, role="text", media_type="text/plain", filename="a.txt", data=b"abc"
    )
    await ContentRepository(ledger.database).store(Lease.of(task), task, item, seq=0)
    return Lease.of(task)


async def test_real_queues_history_is_lawful(ledger: Ledger) -> None:
    lease = await claimed(ledger)
    queue = TaskQueue(ledger.database)
    await queue.renew([lease])
    await queue.append_events(lease, [NewEvent(type=TaskEventType.CHUNK, data={"run": RUNS[0]})], seq=1)
    await queue.complete(lease)
    facts = await ledger.check()

    assert [event["type"] for event in facts.events[lease.task_id]] == ["content", "chunk", "completed"]
    assert len(facts.contents) == 1


@pytest.mark.parametrize(
    ("collection", "change", "check"),
    [
        ("tasks", {"$set": {"lease.token": "stolen"}}, "never_two_owners"),
        ("tasks", {"$inc": {"attempt": 1}}, "attempts_are_counted_at_claims"),
        ("tasks", {"$inc": {"event_count": 1}}, "logs_are_dense_and_end_once"),
        ("generated_content", {"$set": {"sha256": "another"}}, "contents_resolve_to_their_bytes"),
    ],
)
async def test_tampered_database_is_seen(ledger: Ledger, collection: str, change: Raw, check: str) -> None:
    await claimed(ledger)
    await ledger.database.collection(collection).update_one({}, change)

    with pytest.raises(AssertionError, match=check):
        await ledger.check()


async def test_vanished_task_is_seen(ledger: Ledger) -> None:
    lease = await claimed(ledger)
    await ledger.database.collection("tasks").delete_one({"_id": lease.task_id})

    with pytest.raises(AssertionError, match=f"{lease.task_id} was acknowledged and is lost"):
        await ledger.check()
