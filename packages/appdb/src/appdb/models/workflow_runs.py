"""Workflow runs: whose each is, which version and branch it follows, and caches of where its events have led."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from appdb.models.base import Document, Value
from appdb.models.bounds import STRICT, Name, NewJson, Text
from appdb.models.continuations import StoredContinuation
from appdb.models.list_places import place_of
from appdb.models.tasks import NewTask
from appdb.models.vocabulary import Stored
from appdb.utils import uuid7_str


class RunStatus(StrEnum):
    """The status of a run; a cache of what its events say."""

    WAITING = "waiting"
    """It begins by itself when the runs of its project that came before it have ended."""
    CREATED = "created"
    PROCESSING = "processing"
    AWAITING_INPUT = "awaiting_input"
    """The user is asked something; the interaction is pending."""
    TARGET_REACHED = "target_reached"
    """It stopped where it was asked to, and can go on."""
    VALIDATION_FAILED = "validation_failed"
    """It stopped at what its definition does not allow; the user can go back."""
    COMPLETED = "completed"
    ERROR = "error"
    """It failed; its owner goes on with it, goes back in it, or gives it up."""
    CANCELLED = "cancelled"

    @property
    def closed(self) -> bool:
        """Whether the next visit to the project begins a new run."""
        return self in CLOSED_STATUSES


# A run that reached its target, failed validation or ended in error stays open: its owner goes on with it.
CLOSED_STATUSES = frozenset({RunStatus.COMPLETED, RunStatus.CANCELLED})
OPEN_STATUSES = frozenset(RunStatus) - CLOSED_STATUSES - {RunStatus.WAITING}


class Position(Value):
    """The position of a run, as far as its next event needs to know it; the rest of the state is folded on demand."""

    step: str | None = None
    """The step that has started and not completed."""
    module: str | None = None
    """The module that started last and has not completed."""
    interaction_id: str | None = None
    """What the user is asked and has not answered."""
    started: bool = False
    waiting: bool = False
    """Whether it waits until the runs of its project before it have ended."""
    ended: Stored[RunStatus] | None = None
    """How it stopped, until it is resumed, retried or branched."""

    @property
    def status(self) -> RunStatus:
        """The status that follows from the rest."""
        # The same order as in the update that derives the stored status (`_queries/workflow_runs.py`).
        if self.ended is not None:
            return self.ended
        if self.waiting:
            return RunStatus.WAITING
        if self.interaction_id is not None:
            return RunStatus.AWAITING_INPUT
        return RunStatus.PROCESSING if self.started else RunStatus.CREATED


class PendingQuestion(Value):
    """The question that a run's user has not answered, and since when it is asked."""

    interaction_id: str
    since: datetime
    above: list[str] = Field(default_factory=list)
    """The ``ancestors`` of the run, so that the change itself says who else is to hear of it."""


class Run(Document):
    """One run, as stored in ``workflow_runs``."""

    owner_id: str
    project: str
    template_id: str | None = None
    version_id: str | None = None
    branch_id: str
    """The branch that new events go to."""
    parent_id: str | None = None
    """The run whose sub-action this one does; such a run is in no list of its owner's runs."""
    ancestors: list[str] = Field(default_factory=list)
    """The runs that this one is a part of, outermost first; its costs count for their budgets too."""
    status: Stored[RunStatus]
    open: bool
    """Whether it is the one run that its owner's next visit to the project goes on with. Runs that ended in error under
    0.3.0 are not."""
    position: Position
    event_count: int
    """How many events its log has; the next one gets this number."""
    created_at: datetime
    updated_at: datetime
    # A lock must be a write: in a transaction, reads conflict with nobody (decision 0008).
    touched_at: datetime | None = None
    """When its run lock was taken last."""
    completed_at: datetime | None = None
    question: PendingQuestion | None = None
    """What its user is asked, with the time; see ``asked_since``, since hosts of contract 3 do not write it."""
    waiting_number: int | None = None
    """Its number among those of its project that wait for each other, where it waits or has waited."""

    @property
    def place(self) -> str:
        """The place of the run in lists by last activity: where the next page goes on."""
        return place_of(self.updated_at, self.id)

    @property
    def asked_since(self) -> datetime | None:
        """When the pending question was asked; ``None`` when nothing is asked."""
        asked = self.position.interaction_id
        if self.question is not None and self.question.interaction_id == asked:
            return self.question.since
        return None if asked is None else self.updated_at


class RunDocument(Run):
    """The whole document in ``workflow_runs`` of a run that is not deleted."""

    listed: bool = True
    """Whether lists of its owner's runs have it: not when it does a sub-action, nor while it is being deleted."""
    deleting: bool = False
    """Whether its deletion has begun; nobody sees it then, and nothing is written to it."""
    on_begin: StoredContinuation | None = None
    """The task that is enqueued when it begins after it has waited."""
    cancelling: bool | None = None
    """Whether its tasks and child runs may still have to be cancelled; ``None`` where it is not cancelled."""


# A mark for ever would be all that grows without bound (decision 0016).
class DeletedRun(Document):
    """The mark that stays of a deleted run in ``workflow_runs`` for a day, so that late writers see it."""

    owner_id: str
    deleting: bool
    deleted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A run to open with ``WorkflowRepository.open``. The ids are made with it, so that repeating a call is safe.

    Args:
        project: The user's name for what is made.
        template_id: The workflow.
        version_id: The version of the workflow that the run begins with.
        parent_id: The run whose sub-action this one does.
        data: What the run begins with; kept in its first event, at most 256 KiB as BSON.
        fresh: The project's open run, which may have failed, is cancelled by an event in the same transaction.
        run_id: Its id.
        branch_id: The id of its first branch.
        event_id: The id of its first event.
        on_begin: Where the project has an open run, this one waits, and begins in the transaction in which the run
            before it ends or is deleted, which enqueues this task. At most 100 wait in a project. Not for one that is
            fresh, or has a parent.
    """

    __pydantic_config__ = STRICT
    project: Text
    template_id: Name | None = None
    version_id: Name | None = None
    parent_id: Name | None = None
    data: NewJson = field(default_factory=dict)
    fresh: bool = False
    run_id: Name = field(default_factory=lambda: uuid7_str("wf_"))
    branch_id: Name = field(default_factory=lambda: uuid7_str("br_"))
    event_id: Name = field(default_factory=lambda: uuid7_str("evt_"))
    on_begin: NewTask | None = None
