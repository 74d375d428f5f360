"""Schemas of runs: what starts one, and how it is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from appdb.models import EventSummary, OpenQuestion, Run, RunEvent, RunState, RunStatus, RunView, Wait
from appserver.api.schemas.interactions import QuestionView
from appserver.engine.service import WhenOpen
from appserver.engine.ways_on import ways_on


class RunRequest(BaseModel):
    """A run to start: of a workflow's newest version, of one version, or of a definition."""

    model_config = ConfigDict(extra="forbid")

    template_id: str | None = Field(None, max_length=100)
    version_id: str | None = Field(None, max_length=100)
    definition: dict[str, Any] | None = Field(None, description="See /api/workflows/schema.")
    # ``Any``, not ``JsonValue``: pydantic's names of union members would stand in the path of an error.
    input: dict[str, Any] = Field(default_factory=dict, description="What the definition's `input` asks for.")
    project: str | None = Field(
        None, min_length=1, max_length=200, description="The name of what is made; a project has one open run."
    )
    when_open: WhenOpen = Field(
        "reject",
        description="What to do when the project has an open run: refuse; wait until it, and what waits already, has "
        "ended; or begin in its place.",
    )

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if sum(one is not None for one in (self.template_id, self.version_id, self.definition)) != 1:
            raise ValueError("give one of template_id, version_id and definition")
        return self


class RunQuery(BaseModel):
    """The page of runs to list."""

    model_config = ConfigDict(extra="forbid")

    status: list[RunStatus] = Field(default_factory=list)
    project: str | None = Field(None, max_length=200)
    template_id: str | None = Field(None, max_length=100)
    before: str | None = Field(None, max_length=100)
    limit: int = Field(50, ge=1, le=200)


class WaitView(BaseModel):
    """One thing that a run waits for; ``until`` is the latest end of the wait, where that is known."""

    kind: str
    id: str
    label: str | None
    since: datetime
    until: datetime | None
    step: str | None
    module: str | None
    sub_action_id: str | None

    @classmethod
    def of(cls, wait: Wait) -> Self:
        """Return the view of *wait*."""
        return cls.model_validate(wait, from_attributes=True)


class RunSummary(BaseModel):
    """A run in a list; ``last_seq`` is the newest event that it includes."""

    id: str
    project: str
    status: RunStatus
    template_id: str | None
    version_id: str | None
    branch_id: str
    parent_id: str | None
    step: str | None
    module: str | None
    last_seq: int
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None

    @classmethod
    def of_run(cls, run: Run) -> Self:
        """Return the summary of *run*."""
        return cls(**_summary(run))


class RunPage(BaseModel):
    """Runs, newest first; ``next`` is the ``before`` of the next page, or null at the end."""

    items: list[RunSummary]
    next: str | None


class ShownRun(RunSummary):
    """A run, as its owner sees it.

    ``question`` is what it asks now, ``waiting_on`` all that it waits for, ``output`` what it gave once it has
    completed, and ``actions`` what can be done with it.
    """

    question: QuestionView | None
    waiting_on: list[WaitView]
    steps_completed: list[str]
    values: dict[str, Any]
    error: dict[str, Any] | None
    output: Any
    actions: list[str]

    @classmethod
    def of(cls, view: RunView, ending: RunEvent | None) -> Self:
        """Return the view of a run with its state; *ending* is the event with which it has completed."""
        run, state = view.run, view.state
        return cls(
            **_summary(run),
            question=None if state.pending is None else QuestionView.of(run.id, state.pending),
            waiting_on=[WaitView.of(wait) for wait in state.waiting_on],
            steps_completed=list(state.steps_completed),
            values=state.values(),
            error=None if state.error is None else error_of(state),
            output=None if ending is None else ending.data.get("output"),
            actions=list(ways_on(state.status)),
        )


class RunDetail(ShownRun):
    """A run, with what its parts ask, theirs included: each with the run that is to be answered; at most 20."""

    questions_of_parts: list[QuestionView]

    @classmethod
    def of_parts(cls, shown: ShownRun, asked: Sequence[OpenQuestion]) -> Self:
        """Return the view of a run with the open questions below it."""
        questions = [QuestionView.of(one.run.id, EventSummary.of(one.request)) for one in asked if one.request]
        return cls(**dict(shown), questions_of_parts=questions)


class SubActionView(BaseModel):
    """A part of a module's work that is done outside of it."""

    id: str
    step: str
    module: str
    state: Literal["open", "completed", "failed"]
    started_at: datetime
    data: dict[str, Any]


class RunStateView(BaseModel):
    """The state of a run after the event ``seq`` of a line of history."""

    seq: int
    status: RunStatus
    step: str | None
    module: str | None
    steps_completed: list[str]
    modules_completed: dict[str, list[str]]
    outputs: dict[str, dict[str, Any]]
    values: dict[str, Any]
    question: QuestionView | None
    waiting_on: list[WaitView]
    sub_actions: list[SubActionView]
    error: dict[str, Any] | None

    @classmethod
    def of(cls, run_id: str, state: RunState) -> Self:
        """Return the view of *state*."""
        return cls(
            seq=state.seq,
            status=state.status,
            step=state.position.step,
            module=state.position.module,
            steps_completed=list(state.steps_completed),
            modules_completed={step: list(names) for step, names in state.modules_completed.items()},
            outputs=state.step_outputs(),
            values=state.values(),
            question=None if state.pending is None else QuestionView.of(run_id, state.pending),
            waiting_on=[WaitView.of(wait) for wait in state.waiting_on],
            sub_actions=[
                SubActionView(
                    id=one.id,
                    step=one.step,
                    module=one.module,
                    state="open" if one.ended is None else "failed" if one.failed else "completed",
                    started_at=one.started.created_at,
                    data=dict(one.started.data),
                )
                for one in state.sub_actions.values()
            ],
            error=None if state.error is None else error_of(state),
        )


def error_of(state: RunState) -> dict[str, Any] | None:
    """Return the error that stopped the run or its module last, until it goes on."""
    if state.error is None:
        return None
    error = state.error.data.get("error")
    return dict(error) if isinstance(error, dict) else {"message": str(error)}


def _summary(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "project": run.project,
        "status": run.status,
        "template_id": run.template_id,
        "version_id": run.version_id,
        "branch_id": run.branch_id,
        "parent_id": run.parent_id,
        "step": run.position.step,
        "module": run.position.module,
        "last_seq": run.event_count - 1,
        "created_at": run.created_at,
        "updated_at": run.updated_at,
        "completed_at": run.completed_at,
    }
