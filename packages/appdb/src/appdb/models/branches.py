"""Branches of a run, each with its line of history; they fork and never merge, and events behind a fork stay."""

from __future__ import annotations

from datetime import datetime

from appdb.models.base import Document, Value


class BranchSegment(Value):
    """The events that one branch gives to a line of history: from ``first_seq`` to ``cutoff_seq``, without a gap."""

    branch_id: str
    first_seq: int
    cutoff_seq: int | None = None
    """The last event that belongs to the line; ``None`` for the branch itself, which goes on."""

    def has(self, seq: int) -> bool:
        """Return whether the event with this number can be in this part."""
        return self.first_seq <= seq and (self.cutoff_seq is None or seq <= self.cutoff_seq)


class Branch(Document):
    """One branch, as stored in ``branches``."""

    run_id: str
    owner_id: str
    lineage: list[BranchSegment]
    """From the root to the branch itself, in the order of their events."""
    created_at: datetime
    deleting: bool = False

    @property
    def parent_id(self) -> str | None:
        """The branch that this one forked from; ``None`` for a root."""
        return self.lineage[-2].branch_id if len(self.lineage) > 1 else None
