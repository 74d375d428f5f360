"""The page of a run: everything that its template shows."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appdb.models import Branch, Content, OpenQuestion, Run, RunStatus, RunView, Wait
from appserver.engine.definition.model import Definition
from appserver.engine.ways_on import ways_on
from appserver.tasks.uploads import ROLE as UPLOADED
from appserver.web.answer_form import AnswerField, ShownQuestion, fields_of
from appserver.web.output import OutputFile, file_of
from appserver.web.texts import WAIT_WORDS, run_word

MAX_TOLD = 4_000
"""Characters of a module's outputs; the API has all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRow:
    """A module of the workflow, as far as the run has come."""

    step: str
    id: str
    word: str
    outputs: str
    reachable: bool
    """Whether the run can go back to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionForm:
    """The open question, with its form and what there is to pick from."""

    question: ShownQuestion
    fields: list[AnswerField]
    made: list[OutputFile]
    show: str
    ways_back: list[Mapping[str, Any]]
    errors: list[str] = field(default_factory=list)


GOES_ON = frozenset({RunStatus.WAITING, RunStatus.CREATED, RunStatus.PROCESSING, RunStatus.AWAITING_INPUT})
"""Statuses in which a run goes on by itself, or once its question is answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPageContext:
    """The context of the template of one run's page."""

    run: Run
    title: str
    word: str
    question: QuestionForm | None
    waits: list[str]
    error: Mapping[str, Any] | None
    modules: list[ModuleRow]
    files: list[OutputFile]
    output: str
    children: list[tuple[Run, str]]
    branches: list[Branch]
    asked_by_parts: list[tuple[str, str]]
    """The runs of parts that ask something, each with the title of its question."""
    asked_ids: list[str]
    """These questions, as a stream of the run tells them."""
    actions: tuple[str, ...]

    @property
    def ended(self) -> bool:
        """Whether nothing goes on unless somebody acts."""
        return self.run.status not in GOES_ON


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """The facts of a run that its page shows.

    Args:
        view: The run with its state.
        definition: What it follows.
        contents: What its tasks have made, newest first.
        children: Its child runs.
        branches: Its branches, oldest first.
        asked_by_parts: The open questions of the runs below it.
        output: What it gave, once it has completed.
    """

    view: RunView
    definition: Definition
    contents: Sequence[Content]
    children: Sequence[Run]
    branches: Sequence[Branch]
    asked_by_parts: Sequence[OpenQuestion]
    output: Any


def run_page(facts: RunFacts, errors: Sequence[str] = ()) -> RunPageContext:
    """Return the page of a run; *errors* are what was wrong with the answer that was just sent."""
    run, state = facts.view.run, facts.view.state
    error = None if state.error is None else state.error.data.get("error")
    return RunPageContext(
        run=run,
        title=facts.definition.title or facts.definition.name,
        word=run_word(run.status),
        question=_question_form(facts, errors),
        waits=[_wait_words(wait) for wait in state.waiting_on],
        error=error if isinstance(error, Mapping) else None,
        modules=_rows(facts),
        files=[file_of(content) for content in facts.contents],
        output="" if facts.output is None else told(facts.output),
        children=[(child, run_word(child.status)) for child in facts.children],
        branches=list(facts.branches),
        asked_by_parts=[
            (one.run.id, str(one.request.data.get("title") or "A question"))
            for one in facts.asked_by_parts
            if one.request is not None
        ],
        asked_ids=[one.interaction_id for one in facts.asked_by_parts],
        actions=ways_on(state.status),
    )


def told(value: Any) -> str:
    """Return a value as people read it: a text as it is, anything else as JSON; the beginning of what is long."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2, default=str)
    return text if len(text) <= MAX_TOLD else f"{text[:MAX_TOLD]}…"


def _question_form(facts: RunFacts, errors: Sequence[str]) -> QuestionForm | None:
    state = facts.view.state
    if state.pending is None:
        return None
    question = ShownQuestion.of(state.pending)
    data = question.data
    # What a person has uploaded was not made here, and is no answer to what of it to take.
    picked = [content for content in facts.contents if content.role != UPLOADED] if question.kind == "media" else []
    return QuestionForm(
        question=question,
        fields=fields_of(question),
        made=[file_of(content) for content in reversed(picked)],
        show=told(data["show"]) if data.get("show") is not None else "",
        ways_back=[way for way in data.get("go_back") or () if isinstance(way, Mapping)],
        errors=list(errors),
    )


def _rows(facts: RunFacts) -> list[ModuleRow]:
    state = facts.view.state
    rows = []
    for step, module in facts.definition.modules():
        done = state.outputs.get((step.id, module.id))
        begun = (step.id, module.id) in state.started
        skipped = module.id in state.modules_completed.get(step.id, ()) and done is None
        word = "Done" if done is not None else "Skipped" if skipped else "Under way" if begun else "To do"
        rows.append(
            ModuleRow(
                step=step.title or step.id,
                id=module.id,
                word=word,
                outputs="" if done is None else told({k: v for k, v in done.data.items() if not k.startswith("_")}),
                reachable=begun or done is not None,
            )
        )
    return rows


def _wait_words(wait: Wait) -> str:
    kind = WAIT_WORDS.get(str(wait.kind), str(wait.kind))
    label = f": {wait.label}" if wait.label else ""
    return f"{kind}{label}"
