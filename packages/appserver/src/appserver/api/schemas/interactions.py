"""Schemas of interactions: questions to people, and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from appdb import DbEventType, NotFoundError
from appdb.models import AnswerDraft, EventSummary, OpenQuestion, RunEvent, RunView
from appserver.engine.answer_links import LinkedQuestion


class QuestionView(BaseModel):
    """A question that is open; an answer must fit ``schema``."""

    run_id: str
    interaction_id: str
    step: str | None
    module: str | None
    kind: str
    title: str
    message: str
    answer_schema: dict[str, Any] = Field(serialization_alias="schema")
    data: Any
    ui: dict[str, Any]
    default: Any
    actions: list[str]
    by_link: bool
    asked_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, run_id: str, asked: EventSummary) -> Self:
        """Return the view of the question that the event *asked* asks."""
        interaction_id = asked.data["interaction_id"]
        question = asked.data
        return cls(
            run_id=run_id,
            interaction_id=interaction_id,
            step=asked.step,
            module=asked.module,
            kind=question.get("kind", "form"),
            title=question.get("title", ""),
            message=question.get("message", ""),
            answer_schema=question.get("schema") or {},
            data=question.get("data"),
            ui=question.get("ui") or {},
            default=question.get("default"),
            actions=list(question.get("actions") or ()),
            by_link=bool(question.get("by_link")),
            asked_at=asked.created_at,
            expires_at=question.get("expires_at"),
        )


class AnswerView(BaseModel):
    """The end of a question: its answer, or its expiry with the default that counted, or that it was withdrawn."""

    state: Literal["answered", "expired", "withdrawn"]
    response: Any
    by: str | None
    at: datetime
    branch_id: str

    @classmethod
    def of(cls, event: RunEvent) -> Self:
        """Return the view of the event that settled the question."""
        expired = event.data.get("reason", "expired") == "expired"
        ended: Literal["expired", "withdrawn"] = "expired" if expired else "withdrawn"
        return cls(
            state="answered" if event.type is DbEventType.INTERACTION_RESPONSE else ended,
            response=event.data.get("response"),
            by=event.data.get("by"),
            at=event.created_at,
            branch_id=event.branch_id,
        )


class InteractionView(BaseModel):
    """A question as it was asked last, whether it is open, and each end that it has had, oldest first.

    It has more than one where the run has gone back to it.
    """

    open: bool
    question: QuestionView
    answers: list[AnswerView]

    @classmethod
    def of(cls, view: RunView, interaction_id: str, events: Sequence[RunEvent]) -> Self:
        """Return the view of a question of a run, with all *events* about it.

        Raises:
            NotFoundError: The run has not asked it.
        """
        asked = [event for event in events if event.type is DbEventType.INTERACTION_REQUESTED]
        if not asked:
            raise NotFoundError(f"interaction of run {view.run.id}", interaction_id)
        return cls(
            open=view.run.position.interaction_id == interaction_id,
            question=QuestionView.of(view.run.id, EventSummary.of(asked[-1])),
            answers=[AnswerView.of(event) for event in events if event not in asked],
        )


class InboxQuery(BaseModel):
    """The page of open questions to list."""

    model_config = ConfigDict(extra="forbid")

    newest_first: bool = False
    before: str | None = Field(None, max_length=200)
    limit: int = Field(20, ge=1, le=50)


class InboxEntry(BaseModel):
    """An open question of one of the caller's runs; ``part_of`` is the run that its run is a part of."""

    project: str
    part_of: str | None
    question: QuestionView

    @classmethod
    def of(cls, asked: OpenQuestion, request: RunEvent) -> Self:
        """Return the view of an open question, which the event *request* asks."""
        return cls(
            project=asked.run.project,
            part_of=asked.run.parent_id,
            question=QuestionView.of(asked.run.id, EventSummary.of(request)),
        )


class InboxPage(BaseModel):
    """Open questions; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[InboxEntry]
    next: str | None


class AnswerRequest(BaseModel):
    """An answer to a question."""

    model_config = ConfigDict(extra="forbid")

    response: Any = Field(description="It must fit the question's schema.")


class DraftRequest(BaseModel):
    """The beginning of an answer, which need not fit yet."""

    model_config = ConfigDict(extra="forbid")

    value: Any


class DraftView(BaseModel):
    """The beginning of an answer, as it was kept last; null for none."""

    value: Any
    updated_at: datetime | None

    @classmethod
    def of(cls, draft: AnswerDraft | None) -> Self:
        """Return the view of *draft*."""
        return (
            cls(value=None, updated_at=None) if draft is None else cls(value=draft.value, updated_at=draft.updated_at)
        )


class LinkRequest(BaseModel):
    """A link to make, by which whoever has it may answer."""

    model_config = ConfigDict(extra="forbid")

    expires_seconds: int = Field(7 * 86_400, ge=60, le=30 * 86_400)


class LinkView(BaseModel):
    """A link; its token is shown this once, and goes into the header `Answer-Token`."""

    token: str
    expires_at: datetime


class LinkedQuestionView(BaseModel):
    """A question as whoever has a link to it sees it; nothing else of its run is told."""

    kind: str
    title: str
    message: str
    answer_schema: dict[str, Any] = Field(serialization_alias="schema")
    data: Any
    ui: dict[str, Any]
    link_expires_at: datetime

    @classmethod
    def of(cls, linked: LinkedQuestion) -> Self:
        """Return the view of a question that a link leads to."""
        question = QuestionView.of(linked.link.run_id, linked.asked)
        names = ("kind", "title", "message", "answer_schema", "data", "ui")
        told = {name: getattr(question, name) for name in names}
        return cls(**told, link_expires_at=linked.link.expires_at)


class TakenView(BaseModel):
    """An answer that was accepted."""

    accepted: bool = True
