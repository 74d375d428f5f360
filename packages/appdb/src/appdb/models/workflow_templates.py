"""Workflow templates: the named workflows of owners."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from appdb.models.base import Document
from appdb.models.vocabulary import Stored

GLOBAL_OWNER = "global"
"""Owns what everybody may read; only who names this owner may write it."""


class TemplateVisibility(StrEnum):
    """The visibility of a template in lists."""

    VISIBLE = "visible"
    """Found by its name and listed."""
    HIDDEN = "hidden"
    """A user's copy of a global template: found by what it derives from, and never listed."""


class WorkflowTemplate(Document):
    """A named workflow of one owner, as stored in ``workflow_templates``."""

    owner_id: str
    name: str
    """Of a hidden copy, the name of the original."""
    visibility: Stored[TemplateVisibility] = TemplateVisibility.VISIBLE
    derived_from: str | None = None
    """The template that this one is a copy of."""
    merged_ids: tuple[str, ...] = ()
    """The ids of duplicates that were merged into this template; they still find it."""
    revision: int = 0
    """Counts the changes of its versions, so that two that are made at once are made one after the other."""
    created_at: datetime
    updated_at: datetime
    """When a version was last stored, copied or merged."""

    @property
    def is_global(self) -> bool:
        """Whether everybody may read it."""
        return self.owner_id == GLOBAL_OWNER


class TemplateDocument(WorkflowTemplate):
    """The whole document in ``workflow_templates``."""

    used_at: datetime | None = None
    """When a run of it was last opened, which conflicts with its deletion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateMerge:
    """Templates of one owner whose names are written differently and read the same.

    Args:
        kept_id: The template that stays, the oldest.
        merged_ids: The templates whose versions it takes over.
        name: The name, in Unicode's composed form and without spaces around it.
    """

    kept_id: str
    merged_ids: tuple[str, ...]
    name: str
