"""The repair of a run: disagreements of its caches with its events, and the result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appdb.models.workflow_runs import RunStatus


class Disagreement(StrEnum):
    """A way in which the caches of a run disagree with its events. Events store these values, which therefore stay."""

    AWAITING_WITHOUT_REQUEST = "awaits_nothing"
    """It is said to await input, and no interaction is pending."""
    REQUEST_NOT_IN_STATUS = "pending_unseen"
    """An interaction is pending, and it is not said to await input."""
    END_NOT_IN_STATUS = "end_unseen"
    """Its events have ended it, and it is said to go on, or to have ended otherwise."""
    STATUS_ENDED_EVENTS_NOT = "never_ended"
    """It is said to have ended, and its events go on."""
    START_NOT_IN_STATUS = "begun_unseen"
    """It is said to be only created, and its events have begun."""
    STATUS_STARTED_EVENTS_NOT = "never_begun"
    """It is said to be processing, and nothing has begun."""
    ALL_STEPS_DONE = "all_steps_done"
    """It is said to be processing, and every step of its workflow is completed."""
    BRANCH = "branch"
    """Its newest event is on another branch than the one that it is said to follow."""
    POSITION = "position"
    """Its step, module or interaction are not those of its events."""
    OPEN = "open"
    """It stands for its project although its status says that it does not, or the other way round."""
    EVENT_COUNT = "event_count"
    """It counts more or fewer events than its log has."""

    @property
    def forks(self) -> bool:
        """Whether hosts may have acted on it, so that a new branch leaves behind what they may have begun."""
        # A cache that only counted or placed wrong was no ground for anybody to act on.
        return self not in (Disagreement.POSITION, Disagreement.OPEN, Disagreement.EVENT_COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """The result of a run's repair: its disagreements, and what was written or would be.

    Args:
        run_id: The run.
        disagreements: What was wrong; empty for a healthy run, to which nothing is done.
        cached_status: The status that the run had.
        status: The status that its events say, which it has now.
        previous_branch_id: The branch that its events went to.
        cutoff_seq: The last event that counts; ``None`` when the caches alone are set right, without a new branch.
        new_branch_id: The branch that its events go to now; ``None`` without a new branch, and in a dry run.
        applied: Whether anything was written.
    """

    run_id: str
    disagreements: tuple[Disagreement, ...]
    cached_status: RunStatus
    status: RunStatus
    previous_branch_id: str
    cutoff_seq: int | None
    new_branch_id: str | None
    applied: bool
