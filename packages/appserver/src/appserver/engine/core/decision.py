"""Decisions: what follows for a run, to be written in one transaction; nothing of it has been done."""

from __future__ import annotations

from dataclasses import dataclass

from appdb import NewTask
from appdb.models import NewRun, NewRunEvent, TaskFilter
from appserver.modules.contract import LoadRequest, Write


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTries:
    """The earlier tries of a module on this line of history, oldest first: ``[{"outputs": ..., "feedback": ...}]``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PastOutputs:
    """The outputs that a ``module_completed`` of the run has in its log, on whichever branch; ``None`` for no such.

    Args:
        seq: The event's number.
    """

    seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAnswer:
    """The settlement of a question, on whichever branch: ``{"type", "at", "response"?, "by"?, "reason"?}``.

    ``type`` is that of the event, ``at`` its time in ISO 8601, and the rest its data; ``None`` for one that is unknown,
    or was not settled.

    Args:
        interaction_id: The question.
    """

    interaction_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """Stored data without which a decision cannot go on.

    Args:
        key: Where the next picture must have it in ``Picture.loaded``.
        step: The step for which it is needed; empty for none.
        module: The module for which it is needed; empty for none.
        request: What to read.
    """

    key: str
    step: str
    module: str
    request: LoadRequest | PastTries | PastOutputs | PastAnswer


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleWrite:
    """Something that a module writes beside the log, in the same transaction.

    Args:
        step: The module's step.
        module: The module.
        write: What.
    """

    step: str
    module: str
    write: Write


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A new branch of the run, made after the decision's events; what follows on it is decided from a new picture.

    Args:
        seq: The last event that counts on the new branch; ``None`` for a branch that begins the run again (reset).
        event: Why it begins; its first event.
        branch_id: Its id.
    """

    seq: int | None
    event: NewRunEvent
    branch_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The consequences of a cause for a run: all of it is written in one transaction, or nothing.

    Args:
        events: To append with ``expected_seq=Picture.next_seq``; at most 500.
        tasks: To enqueue: work, timers, and the wake-up of a parent run.
        children: Child runs to open; each is then advanced by a task that is in *tasks*.
        cancels: Tasks to cancel.
        cancel_children: Ids of child runs to cancel, with what they have begun.
        writes: What modules write beside the log.
        needs: Stored data to load before anything can be decided; nothing else is in such a decision. Decide again, of
            the same picture with it in ``loaded``.
        fork: A new branch to make behind *events*; then decide again, of a new picture.
        missing: A module type that this host must not or cannot run; a task in *tasks* asks for a host that can.
        cut: Whether more could be decided at once, but for the limit on one append; decide again, of a new picture.
    """

    events: tuple[NewRunEvent, ...] = ()
    tasks: tuple[NewTask, ...] = ()
    children: tuple[NewRun, ...] = ()
    cancels: tuple[TaskFilter, ...] = ()
    cancel_children: tuple[str, ...] = ()
    writes: tuple[ModuleWrite, ...] = ()
    needs: tuple[Needed, ...] = ()
    fork: Fork | None = None
    missing: str | None = None
    cut: bool = False

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to write and nothing to load."""
        return not (self.events or self.tasks or self.cancels or self.needs or self.fork or self.cancel_children)
