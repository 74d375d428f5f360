"""The checks of the ledger: each looks at the facts and yields one sentence for each promise that was broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal

from bson import Decimal128

from appsupport.faults.ledger_facts import Facts, Raw, Step, runs_in, steps, token_of

FINAL = ("completed", "failed", "cancelled")
UNCOUNTED = ("released", "suspended")
Check = Callable[[Facts], Iterator[str]]


def no_acknowledged_task_is_lost(facts: Facts) -> Iterator[str]:
    """A task that was acknowledged is there; it may be gone only after it had ended."""
    ended = {change.key for change in facts.history if change.document and change.document.get("state") in FINAL}
    for task_id in sorted(facts.acknowledged.enqueued - facts.tasks.keys() - ended):
        yield f"task {task_id} was acknowledged and is lost"


def cancels_are_final(facts: Facts) -> Iterator[str]:
    """A cancel that was acknowledged holds, and one that was refused came after another end."""
    for task_id, task in facts.tasks.items():
        if task_id in facts.acknowledged.cancelled and task["state"] != "cancelled":
            yield f"task {task_id} was cancelled, which was acknowledged, and is {task['state']}"
        if task_id in facts.acknowledged.cancel_refused and task["state"] not in ("completed", "failed"):
            yield f"task {task_id} could not be cancelled since it had ended, and is {task['state']}"


def never_two_owners(facts: Facts) -> Iterator[str]:
    """By the server's clock, a lease is taken away only after its end; a token stands for one claim."""
    given: set[tuple[str, str]] = set()
    workers: dict[str, str] = {}
    for step in steps(facts.history):
        old, new = token_of(step.before), token_of(step.after)
        if old is not None and old != new and _taken_early(step):
            yield f"task {step.task_id}: the lease {old} was taken away before its end: {_moment(step)}"
        if old is not None and new is None and step.after is not None and _ended_by_a_stranger(step, old):
            yield f"task {step.task_id}: the lease {old} was ended by somebody who did not hold it: {_moment(step)}"
        if new is not None and old != new:
            worker = (step.after or {})["lease"]["worker_id"]
            if (step.task_id, new) in given or workers.setdefault(new, worker) != worker:
                yield f"task {step.task_id}: the token {new} was given out before, to {workers[new]}"
            if step.before is not None and step.before["state"] != "queued":
                yield f"task {step.task_id} was claimed while it was {step.before['state']}: {_moment(step)}"
            given.add((step.task_id, new))


def _taken_early(step: Step) -> bool:
    if step.before is None or step.after is None:
        return step.after is None
    if step.after["state"] == "cancelled" or (token_of(step.after) is None and not _expired_error(step)):
        return False  # cancelled by the owner, or settled by the holder itself
    return bool(step.before["lease"]["expires_at"] > step.after["updated_at"])


def _ended_by_a_stranger(step: Step, token: str) -> bool:
    after = step.after or {}
    signed = (after.get("settled") or {}).get("token") == token
    return not signed and after["state"] != "cancelled" and not _expired_error(step)


def _expired_error(step: Step) -> bool:
    before, after = step.before or {}, step.after or {}
    return after.get("error") != before.get("error") and (after.get("error") or {}).get("type") == "LeaseExpired"


def _moment(step: Step) -> str:
    lease = (step.before or {}).get("lease") or {}
    return f"it was to end at {lease.get('expires_at')}, and this was written at {(step.after or {}).get('updated_at')}"


def no_write_from_a_lost_lease(facts: Facts) -> Iterator[str]:
    """Writes of one run of an actor were accepted under one token, and under one token only one run wrote."""
    leases: dict[str, set[tuple[str, str]]] = defaultdict(set)
    runs: dict[tuple[str, str], set[str]] = defaultdict(set)
    for step in steps(facts.history):
        token = token_of(step.before) or token_of(step.after)
        for run in _stamps(step):
            if token is None:
                yield f"task {step.task_id}: {run} wrote while nobody held the task"
                continue
            leases[run].add((step.task_id, token))
            runs[step.task_id, token].add(run)
    for run, several in leases.items():
        if len(several) > 1:
            yield f"task {min(several)[0]}: {run} wrote under {len(several)} leases: {sorted(several)}"
    for (task_id, token), writers in runs.items():
        if len(writers) > 1:
            yield f"task {task_id}: under the lease {token} several runs wrote: {sorted(writers)}"


def _stamps(step: Step) -> set[str]:
    written: list[object] = [event["data"] for event in step.appended]
    written += [content.get("caption") for content in step.contents]
    for name in ("progress", "result"):
        value = (step.after or {}).get(name)
        if value is not None and value != (step.before or {}).get(name):
            written.append(value)
    return runs_in(written)


def everything_is_written_behind_the_fence(facts: Facts) -> Iterator[str]:
    """Events and content are written together with their task, which counts exactly those events."""
    for step in steps(facts.history):
        counted = range((step.before or {}).get("event_count", 0), (step.after or {}).get("event_count", 0))
        written = [event["seq"] for event in step.appended]
        if step.after is not None and written != list(counted):
            yield f"task {step.task_id}: a transaction counted the events {list(counted)} and wrote {written}"
        attempts = {(step.before or {}).get("attempt"), (step.after or {}).get("attempt")}
        for row in [*step.appended, *step.contents]:
            if row["attempt"] not in attempts:
                yield f"task {step.task_id}: {row['_id']} is of attempt {row['attempt']}, written during {attempts}"
        if step.contents and token_of(step.after) is None and step.after and step.after["state"] != "completed":
            yield f"task {step.task_id}: content was written while nobody held the task"


def the_log_is_never_rewritten(facts: Facts) -> Iterator[str]:
    """Events of a task log stay as they were written, also when they are moved."""
    written: dict[tuple[str, int], tuple[object, ...]] = {}
    for step in steps(facts.history):
        written |= {(step.task_id, row["seq"]): _told(row) for row in step.appended}
        for row in step.moved:
            if (was := written.get((step.task_id, row["seq"]))) != _told(row):
                yield f"task {step.task_id}: event {row['seq']} was {was}, and was moved as {_told(row)}"
    for task_id, events in facts.events.items():
        for row in events:
            if (was := written.get((task_id, row["seq"]), _told(row))) != _told(row):
                yield f"task {task_id}: event {row['seq']} was {was}, and reads {_told(row)}"


def _told(event: Raw) -> tuple[object, ...]:
    return event["type"], event["attempt"], event["data"]


def attempts_are_counted_at_claims(facts: Facts) -> Iterator[str]:
    """A claim counts one attempt, a task that is handed back uncounts it, and nothing else changes the count."""
    for step in steps(facts.history):
        if step.before is None or step.after is None:
            continue
        grown = step.after["attempt"] - step.before["attempt"]
        claimed = token_of(step.after) not in (None, token_of(step.before))
        released = any(event["type"] in UNCOUNTED for event in step.appended)
        if grown != (1 if claimed else -1 if released else 0):
            what = "claim" if claimed else "release" if released else "write"
            yield f"task {step.task_id}: a {what} changed its attempts by {grown}"


def attempts_are_within_bounds(facts: Facts) -> Iterator[str]:
    """No task was tried more often than it may be, and no actor ran without a claim."""
    claims: Counter[str] = Counter()
    for step in steps(facts.history):
        claims[step.task_id] += token_of(step.after) not in (None, token_of(step.before))
    begun = Counter(note.task_id for note in facts.notes if note.what == "start")
    for task_id, task in facts.tasks.items():
        if task["attempt"] > task["max_attempts"]:
            yield f"task {task_id} was tried {task['attempt']} times, and {task['max_attempts']} are allowed"
        if begun[task_id] > claims[task_id]:
            yield f"task {task_id}: its actor began {begun[task_id]} times, with {claims[task_id]} claims"


def each_end_is_reached_once(facts: Facts) -> Iterator[str]:
    """A task ends once, and nothing about it changes afterwards."""
    for step in steps(facts.history):
        if step.before is None or step.before["state"] not in FINAL or step.after is None:
            continue
        was, now = _outcome(step.before), _outcome(step.after)
        if was != now:
            yield f"task {step.task_id} had ended and was changed: {was} became {now}"


def _outcome(task: Raw) -> dict[str, object]:
    return {name: task[name] for name in ("state", "attempt", "result", "error", "event_count", "finished_at")}


def logs_are_dense_and_end_once(facts: Facts) -> Iterator[str]:
    """Events are numbered from 0 without gap, as many as the task says; the last one, and only it, tells the end."""
    for task_id, task in facts.tasks.items():
        events = facts.events.get(task_id, [])
        numbers = [event["seq"] for event in events]
        if numbers != list(range(task["event_count"])):
            yield f"task {task_id} counts {task['event_count']} events, and its log has the numbers {numbers}"
        ends = [(event["seq"], event["type"]) for event in events if event["type"] in FINAL]
        wanted = [(task["event_count"] - 1, task["state"])] if task["state"] in FINAL else []
        if ends != wanted:
            yield f"task {task_id} is {task['state']}, and the ends in its log are {ends}"
    for task_id in facts.events.keys() - facts.tasks.keys():
        yield f"there are events of task {task_id}, which does not exist"


def results_are_of_runs_that_ended(facts: Facts) -> Iterator[str]:
    """A result was given by a run that got to its end."""
    done = {note.run for note in facts.notes if note.what == "finish"}
    for task_id, task in facts.tasks.items():
        for run in runs_in(task["result"]) - done:
            yield f"task {task_id} has the result of {run}, which never got to its end"


def contents_resolve_to_their_bytes(facts: Facts) -> Iterator[str]:
    """Every content document names bytes that are there and are those that were written, and each key is there once."""
    for content in facts.contents:
        found = facts.media.get(content["file_id"])
        wanted = (content["size"], content["sha256"])
        if found is None:
            yield f"task {content['task_id']}: content {content['key']} names the file {content['file_id']}: not there"
        elif (found.size, found.sha256) != wanted:
            yield f"task {content['task_id']}: content {content['key']} should be {wanted}, and its bytes are {found}"
    for (task_id, key), count in Counter((row["task_id"], row["key"]) for row in facts.contents).items():
        if count > 1:
            yield f"task {task_id} has the content {key} {count} times"


def generations_end_with_their_tasks(facts: Facts) -> Iterator[str]:
    """The record of a generation says what its task says."""
    for generation in facts.generations:
        task = facts.tasks.get(generation["task_id"])
        state = task["state"] if task is not None else "gone"
        wanted = state if state in FINAL else "pending"
        if task is not None and generation["status"] != wanted:
            yield f"task {generation['task_id']} is {state}, and its generation is {generation['status']}"


def costs_are_spent_once(facts: Facts) -> Iterator[str]:
    """A budget has spent what the calls of its owner's tasks cost, and reserves what live tasks may still cost."""
    live = [task for task in facts.tasks.values() if task["state"] not in FINAL and "reserved" in task]
    for budget in facts.budgets:
        spent = _sum(row["cost"] for row in facts.usage if row["owner_id"] == budget.owner_id)
        reserved = _sum(task["reserved"] for task in live if task["owner_id"] == budget.owner_id)
        if (budget.spent, budget.reserved) != (spent, reserved):
            yield f"budget {budget.id} has {budget.spent} and {budget.reserved}, and should have {spent} and {reserved}"


def _sum(amounts: Iterable[Decimal128 | int]) -> Decimal:
    return sum((one.to_decimal() if isinstance(one, Decimal128) else Decimal(one) for one in amounts), Decimal(0))


def nothing_is_held_past_its_lease(facts: Facts) -> Iterator[str]:
    """At the end nobody holds a task under a lease that is over."""
    for task_id, task in facts.tasks.items():
        if task["state"] == "processing" and task["lease"]["expires_at"] <= facts.now:
            yield f"task {task_id} is processing, and its lease ended at {task['lease']['expires_at']}"
        if task["state"] != "processing" and task["lease"] is not None:
            yield f"task {task_id} is {task['state']} and still held by {task['lease']['worker_id']}"


CHECKS: tuple[Check, ...] = (
    no_acknowledged_task_is_lost,
    cancels_are_final,
    never_two_owners,
    no_write_from_a_lost_lease,
    everything_is_written_behind_the_fence,
    the_log_is_never_rewritten,
    attempts_are_counted_at_claims,
    attempts_are_within_bounds,
    each_end_is_reached_once,
    logs_are_dense_and_end_once,
    results_are_of_runs_that_ended,
    contents_resolve_to_their_bytes,
    generations_end_with_their_tasks,
    costs_are_spent_once,
    nothing_is_held_past_its_lease,
)


def problems(facts: Facts) -> list[str]:
    """Return every broken promise, each after the name of its check."""
    return [f"{check.__name__}: {problem}" for check in CHECKS for problem in check(facts)]
