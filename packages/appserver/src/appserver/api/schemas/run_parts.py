"""Schemas of the parts of a run: its branches, files and usage."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from appdb import NotFoundError
from appdb.models import (
    Branch,
    Budget,
    BudgetKind,
    FileCategory,
    FileFormat,
    FileWithContent,
    Run,
    UsageTotals,
    WorkflowFile,
)


class PartQuery(BaseModel):
    """The page of parts to list."""

    model_config = ConfigDict(extra="forbid")

    before: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


class FileQuery(BaseModel):
    """The page of files to list."""

    model_config = ConfigDict(extra="forbid")

    category: FileCategory | None = None
    after: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


class SegmentView(BaseModel):
    """The events that one branch gives to a line of history; ``cutoff_seq`` is null where it goes on."""

    branch_id: str
    first_seq: int
    cutoff_seq: int | None


class BranchView(BaseModel):
    """A branch of a run with its line of history; ``current`` is the one that new events go to."""

    id: str
    parent_id: str | None
    current: bool
    lineage: list[SegmentView]
    created_at: datetime

    @classmethod
    def of(cls, branch: Branch, run: Run) -> Self:
        """Return the view of a branch of *run*."""
        return cls(
            id=branch.id,
            parent_id=branch.parent_id,
            current=branch.id == run.branch_id,
            lineage=[SegmentView.model_validate(part, from_attributes=True) for part in branch.lineage],
            created_at=branch.created_at,
        )


class BranchPage(BaseModel):
    """Branches, newest first; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[BranchView]
    next: str | None


class FileInfo(BaseModel):
    """A file of a run, without its content."""

    id: str
    branch_id: str
    category: FileCategory
    group: str
    name: str
    format: FileFormat
    size: int
    sha256: str
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of_file(cls, file: WorkflowFile) -> Self:
        """Return the view of *file*."""
        return cls.model_validate(file, from_attributes=True)


class FilePage(BaseModel):
    """Files, oldest first; ``next`` is the ``after`` of the next page, or null at the end."""

    items: list[FileInfo]
    next: str | None


class FileView(FileInfo):
    """A file with its content: a text, or what the JSON says."""

    content: Any

    @classmethod
    def of(cls, file: FileWithContent, run_id: str) -> Self:
        """Return the view of a file of the run.

        Raises:
            NotFoundError: It is another run's.
        """
        if file.run_id != run_id:
            raise NotFoundError(f"file of run {run_id}", file.id)
        return cls(**FileInfo.of_file(file).model_dump(), content=file.content)


class ModelUsageView(BaseModel):
    """The usage of one model."""

    provider: str
    model: str
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal


class UsageView(BaseModel):
    """The usage of a run; costs are in US dollars, as text, since they are exact."""

    calls: int
    cost: Decimal
    by_model: list[ModelUsageView]

    @classmethod
    def of(cls, totals: UsageTotals) -> Self:
        """Return the view of *totals*."""
        by_model = [ModelUsageView.model_validate(one, from_attributes=True) for one in totals.by_model]
        return cls(calls=totals.user.calls, cost=totals.user.cost, by_model=by_model)


class BudgetRequest(BaseModel):
    """A limit of what a run may cost, in US dollars; null for none."""

    model_config = ConfigDict(extra="forbid")

    limit: Decimal | None = Field(ge=0, le=1_000_000_000, max_digits=22, decimal_places=12)


class BudgetView(BaseModel):
    """A budget that the run's tasks count for: its own, its owner's, or that of its owner's day."""

    kind: BudgetKind
    limit: Decimal | None
    spent: Decimal
    reserved: Decimal
    left: Decimal | None

    @classmethod
    def of(cls, budget: Budget) -> Self:
        """Return the view of *budget*."""
        return cls.model_validate(budget, from_attributes=True)
