"""Answer drafts: what a user has begun to answer; no part of a run's log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from appdb.models.base import Document


class AnswerDraft(Document):
    """A draft as stored in ``answer_drafts``; the user, the run and the interaction make its id."""

    owner_id: str
    run_id: str
    interaction_id: str
    value: Any
    """JSON, as it was given."""
    updated_at: datetime
