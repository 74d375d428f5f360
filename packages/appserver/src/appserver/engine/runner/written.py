"""Written decisions: the run as it is behind one, without reading it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from appdb import fold_events
from appdb.models import PendingQuestion, Run, RunEvent, RunView
from appserver.engine.core.decision import Decision
from appserver.engine.core.picture import Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A decision that was written, and the run behind it."""

    decision: Decision
    view: RunView

    @property
    def finished(self) -> bool:
        """Whether the run waits now, and no further decision follows at once."""
        return not (self.decision.cut or self.decision.fork)


def view_behind(picture: Picture, appended: Sequence[RunEvent]) -> RunView:
    """Return the run of *picture* as it is behind the events that were *appended*."""
    run = picture.run
    if not appended:
        return RunView(run=run, state=picture.state)
    state, last = fold_events(appended, picture.state), appended[-1]
    changed = {
        "status": state.status,
        "position": state.position,
        "event_count": run.event_count + len(appended),
        "updated_at": last.created_at,
        "open": run.open and not state.status.closed,
        "question": _question_behind(run, state.position.interaction_id, last.created_at),
        "completed_at": (run.completed_at or last.created_at) if state.status.closed else None,
    }
    return RunView(run=run.model_copy(update=changed), state=state)


def _question_behind(run: Run, asked: str | None, now: datetime) -> PendingQuestion | None:
    if asked is None:
        return None
    same = run.question is not None and run.question.interaction_id == asked
    return run.question if same else PendingQuestion(interaction_id=asked, since=now, above=list(run.ancestors))
