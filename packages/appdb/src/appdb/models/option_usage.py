"""Option usage: how often and when an owner picked each option of a module."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from appdb.models.base import Document


class OptionUsage(Document):
    """The use of one option by its owner, as stored in ``option_usage``; the fields that tell it apart make its id."""

    owner_id: str
    template_id: str
    step_id: str
    module: str
    option: str
    count: int
    last_used_at: datetime


class OptionUsageDocument(OptionUsage):
    """The whole document in ``option_usage``."""

    use_id: str | None = None
    """The id of the last use."""
    use_ids: list[str] = Field(default_factory=list)
    """Digests of the ids of the last uses: none of these counts again."""
