"""Generations: one for each task that makes content, with what was asked for and how it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field

from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Label, Name, NewJson, Text
from appdb.models.generated_content import Content
from appdb.models.tasks import LABELS, Task
from appdb.models.vocabulary import Stored


class GenerationStatus(StrEnum):
    """The state of a generation: ``pending ->`` one of the other three, in the transaction that ends its task."""

    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Generation(Document):
    """One generation, as stored in ``content_generation_metadata``: who asked, for what, and how it went."""

    owner_id: str
    task_id: str
    run_id: str | None = None
    """The run that asked; a plain task has none."""
    branch_id: str | None = None
    """The branch of the run that it is made on."""
    step: str | None = None
    """The step of the workflow that it is made for."""
    module: str | None = None
    """The module that it is made for."""
    sub_action_id: str | None = None
    """The sub-action that it is made for."""
    interaction_id: str | None = None
    """The interaction of the run that shows it."""
    prompt_id: str | None = None
    """Which of the interaction's prompts it answers."""
    provider: str
    operation: str
    request: StoredJson
    """The request as the user gave it, so that a form can be filled again."""
    source_data: StoredJson
    """What the provider was given besides the request."""
    provider_task_id: str | None = None
    """Under what the provider knows the work, so that another attempt can ask for it instead of paying again."""
    usage: StoredJson | None = None
    """What the provider counted, in its own terms; costs are rows of ``tokens``."""
    status: Stored[GenerationStatus]
    error: str | None = None
    """Why it failed, for its owner."""
    created_at: datetime
    completed_at: datetime | None = None


class GenerationDocument(Generation):
    """The whole document in ``content_generation_metadata``."""

    pruned_at: datetime | None = None
    """When an item of it was last deleted; deletions within a generation conflict by it."""


class GenerationWithItems(Generation):
    """A generation and what it has made so far, by index."""

    items: list[Content] = Field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The place in a workflow that a task works at, and that its content and usage are for; a plain task has none.

    Where a generation is begun or recorded, ``None`` stands for what the task's own labels say.

    Args:
        run_id: The run that asks.
        branch_id: The branch of the run.
        step: The step of the workflow.
        module: The module.
        sub_action_id: The sub-action.
        interaction_id: The interaction that shows it.
        prompt_id: Which of the interaction's prompts it answers.
    """

    __pydantic_config__ = STRICT
    run_id: Name | None = None
    branch_id: Name | None = None
    step: Name | None = None
    module: Name | None = None
    sub_action_id: Name | None = None
    interaction_id: Text | None = None
    prompt_id: Text | None = None

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return what *task* works for, as its labels say."""
        return cls(**{name: getattr(task, name) for name in LABELS})


NO_ORIGIN = Origin()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGeneration:
    """A generation to record with ``ContentRepository.record``.

    Args:
        task_id: The task that makes it; each task makes one.
        provider: Who is to make it.
        operation: What is to be made, such as ``txt2img``.
        request: The request as the user gave it; at most 256 KiB as BSON.
        source_data: What the provider is given besides; at most 256 KiB as BSON.
        origin: For whom it is made.
    """

    __pydantic_config__ = STRICT
    task_id: Name
    provider: Label
    operation: Label
    request: NewJson
    source_data: NewJson = field(default_factory=dict)
    origin: Origin = NO_ORIGIN
