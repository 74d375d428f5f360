"""Schemas of interactions: questions to people, and their answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import EventSummary, Wait, WaitKind


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
    def of(cls, run_id: str, asked: EventSummary, waits: Iterable[Wait] = ()) -> Self:
        """Return the view of the question that the event *asked* asks."""
        interaction_id = asked.data["interaction_id"]
        question = asked.data.get("question") or {}
        ends = [wait.until for wait in waits if wait.kind is WaitKind.INTERACTION and wait.id == interaction_id]
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
            expires_at=ends[0] if ends else None,
        )


class AnswerRequest(BaseModel):
    """An answer to a question."""

    model_config = ConfigDict(extra="forbid")

    response: Any = Field(description="It must fit the question's schema.")
