"""Schemas of workflows: their templates, versions and checks."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import VersionSummary, WorkflowTemplate, WorkflowVersion
from appserver.errors import DefinitionProblem


class WorkflowRequest(BaseModel):
    """A definition to check or to store."""

    model_config = ConfigDict(extra="forbid")

    definition: dict[str, Any] = Field(description="See /api/workflows/schema.")


class WorkflowQuery(BaseModel):
    """The page to list."""

    model_config = ConfigDict(extra="forbid")

    before: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


class CheckView(BaseModel):
    """The problems of a definition: errors, and warnings, which refuse nothing."""

    valid: bool
    problems: list[DefinitionProblem]


class WorkflowSummary(BaseModel):
    """A workflow; ``shared`` when it is everybody's."""

    id: str
    name: str
    shared: bool
    created_at: datetime

    @classmethod
    def of_template(cls, template: WorkflowTemplate) -> Self:
        """Return the summary of *template*."""
        return cls(
            id=template.id,
            name=template.name,
            shared=template.is_global,
            created_at=template.created_at,
        )


class WorkflowPage(BaseModel):
    """Workflows, newest first; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[WorkflowSummary]
    next: str | None


class VersionInfo(BaseModel):
    """A version of a workflow, without its definition."""

    id: str
    template_id: str
    content_hash: str
    created_at: datetime

    @classmethod
    def of(cls, version: VersionSummary) -> Self:
        """Return the view of *version*."""
        return cls.model_validate(version, from_attributes=True)


class VersionView(VersionInfo):
    """A version with its definition."""

    definition: dict[str, Any]

    @classmethod
    def of_version(cls, version: WorkflowVersion) -> Self:
        """Return the view of *version*."""
        return cls.model_validate(version, from_attributes=True)


class VersionPage(BaseModel):
    """Versions, newest first; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[VersionInfo]
    next: str | None


class WorkflowView(WorkflowSummary):
    """A workflow with its newest version."""

    version: VersionView

    @classmethod
    def of(cls, template: WorkflowTemplate, version: WorkflowVersion) -> Self:
        """Return the view of *template* with *version*."""
        summary = WorkflowSummary.of_template(template)
        return cls(**summary.model_dump(), version=VersionView.of_version(version))
