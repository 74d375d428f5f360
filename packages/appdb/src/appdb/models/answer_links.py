"""Answer links: the right to answer one question, for whoever has the token."""

from __future__ import annotations

from datetime import datetime

from appdb.models.base import Document


class AnswerLink(Document):
    """A link as stored in ``answer_links``; its id is made of the token's digest, and the token is stored nowhere."""

    owner_id: str
    """The owner of the run, who made it."""
    run_id: str
    interaction_id: str
    created_at: datetime
    expires_at: datetime
    """From then on it is worth nothing, and the server deletes it."""
