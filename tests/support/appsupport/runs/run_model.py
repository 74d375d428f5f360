"""The model of a run in memory: its log, its lineages, and the state that follows from them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from appdb import ConflictError, DbEventType, NotFoundError
from appdb.models import BranchSegment, NewRunEvent, Position, RunEvent, RunState
from appdb.runs.check_events import check_events
from appdb.runs.fold import fold_events
from appdb.runs.lineage import truncated
from appdb.runs.transitions import BRANCH_REASONS, EventSubject, position_changes
from appsupport.runs.run_events import event

E = DbEventType
AT = datetime(2030, 1, 1, tzinfo=UTC)


class RunModel:
    """A run; each call does what the repositories do, or raises what they raise."""

    def __init__(self) -> None:
        self.log: list[RunEvent] = []
        self.lineages: dict[str, list[BranchSegment]] = {}
        self.branch = ""
        self.cached = Position()
        self._begin([], event(E.WORKFLOW_CREATED), Position())

    @property
    def counting(self) -> list[RunEvent]:
        """The events that count."""
        return self.along(self.lineages[self.branch])

    @property
    def state(self) -> RunState:
        return fold_events(self.counting)

    def along(self, lineage: Sequence[BranchSegment]) -> list[RunEvent]:
        return [
            entry for part in lineage for entry in self.log if entry.branch_id == part.branch_id and part.has(entry.seq)
        ]

    def append(self, events: Sequence[NewRunEvent]) -> None:
        subjects = [EventSubject.of(new) for new in events]
        check_events(events, self.state)
        for new, subject in zip(events, subjects, strict=True):
            self._store(new, subject)

    def fork(self, seq: int, why: NewRunEvent) -> None:
        source = self.lineages[self.log[seq].branch_id]
        self._fork(truncated(source, seq), why)

    def jump(self, step: str, module: str | None) -> None:
        counting = self.counting
        for place, entry in enumerate(counting):
            begins = entry.type is E.STEP_STARTED if module is None else entry.module == module
            if begins and entry.step == step:
                before = next(one for one in reversed(counting[:place]) if one.type not in BRANCH_REASONS)
                self._fork(truncated(self.lineages[self.branch], before.seq), event(E.JUMP_REQUESTED, step, module))
                return
        raise NotFoundError("module", module or step)

    def again(self, interaction_id: str) -> None:
        for entry in reversed(self.log):
            if entry.type is E.INTERACTION_REQUESTED and entry.interaction_id == interaction_id:
                self.fork(entry.seq, event(E.WORKFLOW_RESUMED))
                return
        raise NotFoundError("interaction", interaction_id)

    def switch(self, branch: str) -> None:
        if branch == self.branch:
            raise ConflictError("branch", branch, "current")
        along = self.along(self.lineages[branch])
        last = next(entry for entry in reversed(along) if entry.type is not E.BRANCH_SWITCHED)
        self._fork(truncated(self.lineages[branch], last.seq), event(E.BRANCH_SWITCHED))

    def reset(self) -> None:
        self._begin([], event(E.WORKFLOW_CREATED), Position())

    def recover(self) -> None:
        """Mend a status that is wrong, whichever it is."""
        self._fork(truncated(self.lineages[self.branch], self.state.stable_seq), event(E.WORKFLOW_RECOVERED))

    def _fork(self, lineage: list[BranchSegment], why: NewRunEvent) -> None:
        self._begin(lineage, why, fold_events(self.along(lineage)).position)

    def _begin(self, lineage: list[BranchSegment], why: NewRunEvent, position: Position) -> None:
        self.branch = f"br_{len(self.lineages)}"
        self.lineages[self.branch] = [*lineage, BranchSegment(branch_id=self.branch, first_seq=len(self.log))]
        self.cached = position
        self._store(why, EventSubject.of(why))

    def _store(self, new: NewRunEvent, subject: EventSubject) -> None:
        row: dict[str, Any] = {
            "_id": new.event_id,
            "run_id": "wf_1",
            "owner_id": "usr_a",
            "branch_id": self.branch,
            "seq": len(self.log),
            "type": new.type,
            "step": subject.step,
            "module": subject.module,
            "interaction_id": subject.interaction_id,
            "data": dict(new.data),
            "created_at": AT,
        }
        self.log.append(RunEvent.from_document(row))
        self.cached = self.cached.model_copy(update=position_changes(subject))
