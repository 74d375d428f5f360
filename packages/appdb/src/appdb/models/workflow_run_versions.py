"""Run versions: the versions of a workflow that a run has followed."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field

from appdb.models.base import Document, StoredJson


class RunVersion(Document):
    """One entry of a run's version history, as stored in ``workflow_run_versions``."""

    run_id: str
    owner_id: str
    version_id: str
    seq: int
    """The number of the first event that the version counts for."""
    capabilities: list[str] = Field(default_factory=list)
    """What the client was able to do."""
    requires: list[StoredJson] = Field(default_factory=list)
    """What the version asks of a client."""
    created_at: datetime
