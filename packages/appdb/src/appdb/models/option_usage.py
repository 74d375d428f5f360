"""Option usage: how often and when an owner picked each option of a module."""

from __future__ import annotations

from datetime import datetime

from appdb.models.base import Document


class OptionUsage(Document):
    """How often an owner picked an option, as stored in ``option_usage``; all that tells it apart makes its ``_id``."""

    owner_id: str
    template_id: str
    step_id: str
    module: str
    option: str
    count: int
    last_used_at: datetime
