"""Tasks: units of work with their state, lease, latest progress and outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, JsonValue, SkipValidation

from appdb.models.base import Document, StoredJson, Value
from appdb.models.bounds import (
    LARGEST,
    STRICT,
    Count,
    Duration,
    Moment,
    Name,
    Pause,
    Positive,
    Priority,
    StoredSpan,
    StoredTime,
)
from appdb.models.budgets import Money, StoredMoney
from appdb.models.continuations import StoredContinuation
from appdb.models.limits import Limit, TaskLimit
from appdb.models.task_events import EventBatch
from appdb.models.vocabulary import Stored


class TaskState(StrEnum):
    """The state of a task: ``scheduled -> queued -> processing ->`` one of the final three."""

    SCHEDULED = "scheduled"
    """Waits for its time: a delay, or the pause before a retry."""
    QUEUED = "queued"
    """Due; any fitting worker may claim it."""
    PROCESSING = "processing"
    """A worker holds it under a lease."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether the task can never change again."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})
LIVE_STATES = frozenset(TaskState) - FINAL_STATES
LABELS = ("run_id", "branch_id", "step", "module", "sub_action_id", "interaction_id")
"""The fields that say what a task works for: a run, and what is within it."""
Counted: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST)]
"""What is counted in a stored task, within the bounds of what its holder writes."""


# A cancel takes the lease at once, so whatever its holder still writes is refused (decision 0002).
class TaskLease(Value):
    """The hold of a worker on a task, by the database's clock."""

    token: str
    """What the fence compares: new at each claim, and repeated by every later write of the attempt."""
    worker_id: str
    expires_at: StoredTime


class Progress(Value):
    """The progress of an attempt."""

    fraction: float = Field(ge=0, le=1)
    message: str = ""


# The whole error is kept for operators; users read of it only what was meant for them (decision 0021).
class TaskError(Value):
    """The reason for which an attempt ended without a result."""

    type: str
    message: str
    attempt: int
    at: StoredTime | None = None


class Task(Document):
    """One unit of work, as stored in ``tasks``."""

    owner_id: str
    actor: str
    actor_version: int
    queue: str
    payload: StoredJson
    priority: int = 0
    state: Stored[TaskState]
    attempt: Counted = 0
    """How many times the task was claimed; counted at the claim."""
    max_attempts: Counted
    timeout_seconds: StoredSpan | None = None
    unique_key: str | None = None
    limits: list[TaskLimit] = Field(default_factory=list)
    lease: TaskLease | None = None
    progress: Progress | None = None
    result: StoredJson | None = None
    error: TaskError | None = None
    errors: list[TaskError] = Field(default_factory=list)
    event_count: int = 0
    """How many events the log has; the next one gets this number."""
    created_at: StoredTime
    updated_at: StoredTime
    run_at: StoredTime
    expires_at: StoredTime | None = None
    """When the task fails if no worker has claimed it by then."""
    started_at: StoredTime | None = None
    finished_at: StoredTime | None = None
    parent_id: str | None = None
    """The task that spawned this one."""
    children_open: int = 0
    """How many children are not final yet."""
    waiting: bool = False
    """Whether the task waits for its children; it is scheduled meanwhile, and queued again when the last one ends."""
    replay_of: str | None = None
    """The task that this one repeats."""
    run_id: str | None = None
    """The workflow run that it works for, and is cancelled with when that is deleted."""
    branch_id: str | None = None
    """The branch of the run that it works on."""
    step: str | None = None
    """The step of the workflow that it works for."""
    module: str | None = None
    """The module that it works for."""
    sub_action_id: str | None = None
    """The sub-action of the module that it carries out."""
    interaction_id: str | None = None
    """The interaction that it concerns: a timer, whose expiry it stands for."""
    ancestor_runs: list[str] = Field(default_factory=list)
    """The runs that its run is a part of, outermost first; what it costs counts for their budgets too."""
    cause_id: str | None = None
    """The task whose end enqueued this one."""
    has_dependents: bool = Field(default=False, alias="attached")
    """Whether its end concerns other documents: a generation, a parent or what follows it."""

    @property
    def last_seq(self) -> int:
        """The number of the newest event that this snapshot includes; -1 before the first."""
        return self.event_count - 1


class Settlement(Value):
    """The end of an attempt as its holder left it, so that a repeated commit sees that the first one succeeded."""

    token: str
    kind: str
    """How the attempt ended; empty when it only wrote to the log."""


class TaskDocument(Task):
    """The whole document in ``tasks``: beside what owners see, the fields by which queries find and change it.

    Hosts read ``Task``, which costs a claim less to validate. A name that misleads has an alias here, and the stored
    one stays.
    """

    claim_key: str | None = Field(default=None, alias="lane")
    """Queue and handler: what a worker claims by. A task of release 0.1 has none until it is filled in."""
    # A key that ordered owners at enqueue would be wrong after each retry or cancel (decision 0007).
    fairness_key: str | None = Field(default=None, alias="group")
    """Claim key, owner and limits: tasks with the same one are claimed in their own order, and share a turn."""
    handler: str | None = None
    """Actor and version; only tasks of release 0.1 have it."""
    limited: bool = False
    """Whether a claim must look at limits."""
    queued_at: StoredTime | None = None
    """When it became due; the order of claims among equal priorities."""
    unique_until: StoredTime | None = None
    """When its key stands for it no longer."""
    unique_while_live: bool = False
    """Whether its key stands for it only until it is final."""
    has_content: bool = False
    """Whether a generation is closed when it ends."""
    then: list[StoredContinuation] = Field(default_factory=list)
    """What is enqueued when it completes."""
    on_end: list[StoredContinuation] = Field(default_factory=list)
    """What is enqueued when it ends, however that is."""
    # In the task itself, so that fence, events and outcome are one atomic write of one document (decision 0005).
    recent_events: list[EventBatch] = Field(default_factory=list, alias="tail")
    """The newest part of its log; older events are archived in ``task_events``."""
    settled: Settlement | None = None
    commit: str | None = None
    """The mark of the last commit that wrote to it."""
    reserved: StoredMoney | None = None
    """What it may still cost, in US dollars, while it is live."""
    touched_at: StoredTime | None = None
    """When a transaction made sure of the lease, for which it must write something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A task to enqueue with ``TaskQueue.enqueue``.

    Args:
        owner_id: The user who may see and cancel the task.
        actor: The name of the actor that runs it.
        payload: The actor's input; JSON values only, at most 256 KiB as BSON.
        actor_version: The version of the payload's schema; a worker claims only versions that it declares.
        queue: The queue's name.
        priority: Higher runs first.
        delay: How long to wait before the task is due.
        run_at: When the task is due, by the server's clock, in place of a delay; aware. It is scheduled also where that
            time is over, until it is promoted.
        max_attempts: How many claims may end without a result before the task fails for good.
        timeout: How long one attempt may run; ``None`` means the actor's own limit.
        unique_key: A second enqueue by the same owner with the same key returns the first task.
        unique_for: How long the key stands for the task: ``kept`` as long as the task is stored, ``live`` until it is
            final, or a time from the enqueue on.
        expires_in: How long the task may wait for a worker before it fails; ``None`` for ever.
        limits: Concurrency and rate limits that the task obeys.
        then: Tasks to enqueue in the transaction that completes this one; each must have the same owner. At most 100
            follow one, 20 after each other, with payloads of 1 MiB together, what is in ``on_end`` included.
        on_end: Tasks to enqueue in the transaction that ends this one, whether it completes, fails, is cancelled or
            expires, and whoever ends it. Each end has follow-ups of its own, so neither they nor what follows them may
            have a ``task_id`` or a ``unique_key``. ``cause_id`` of each names the task that ended. Unlike ``then``, a
            replay of this task has them too.
        task_id: Made by the caller when it must know the id before; else made here.
        run_id: The workflow run that it works for; it is cancelled when that is deleted. What it spawns, and what
            follows it, works for the same run unless it names another; what follows is left out where that is gone.
        branch_id: The branch of that run. This and the labels below are handed on to what the task spawns and to what
            follows it, as far as these name none of their own and work for the same run; a replay keeps them.
        step: The step of the workflow that it works for.
        module: The module that it works for.
        sub_action_id: The sub-action that it carries out.
        interaction_id: The interaction that it concerns.
        reserves: What it may cost, in US dollars, and 0 where nobody knows: it is refused where a budget has no room
            for that, and reserves it until it ends. ``None`` for what costs nothing. Children and what follows
            reserve too, and are not refused.

    Raises:
        ValueError: What follows belongs to another owner, or follows an end under an id or a key of its own; or the
            task has both a delay and a time.
    """

    __pydantic_config__ = STRICT
    owner_id: Name
    actor: Name
    payload: Annotated[dict[str, JsonValue], SkipValidation]
    actor_version: Count = 1
    queue: Name = "default"
    priority: Priority = 0
    delay: Pause = timedelta(0)
    max_attempts: Positive = 3
    timeout: Duration | None = None
    unique_key: Name | None = None
    unique_for: Duration | Literal["kept", "live"] = "kept"
    expires_in: Duration | None = None
    limits: tuple[Limit, ...] = ()
    then: tuple[NewTask, ...] = ()
    on_end: tuple[NewTask, ...] = ()
    task_id: Name | None = None
    run_id: Name | None = None
    branch_id: Name | None = None
    step: Name | None = None
    module: Name | None = None
    sub_action_id: Name | None = None
    interaction_id: Name | None = None
    run_at: Moment | None = None
    reserves: Money | None = None

    def __post_init__(self) -> None:
        # One owner for all: what follows is enqueued without asking whether that owner may.
        if any(getattr(one, "owner_id", self.owner_id) != self.owner_id for one in (*self.then, *self.on_end)):
            raise ValueError(f"task for actor {self.actor!r}: what follows must have the same owner, {self.owner_id!r}")
        # An id or a key of its own would give a second end what followed the first one, which is over perhaps.
        if _any_has_name(self.on_end):
            raise ValueError(f"task for actor {self.actor!r}: what follows its end has no task_id and no unique_key")
        if self.delay and self.run_at is not None:
            raise ValueError(f"task for actor {self.actor!r}: give a delay or run_at, not both")


def _any_has_name(tasks: Iterable[NewTask]) -> bool:
    """Return whether one of *tasks*, or what continues it, has an id or a key of its own."""
    following = [*tasks]
    # The list grows while it is walked: what continues them is put behind.
    for one in following:
        if getattr(one, "task_id", None) is not None or getattr(one, "unique_key", None) is not None:
            return True
        following += getattr(one, "then", ())
    return False
