"""The outcome of a harness: what became of the run, and what was asked of workers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from appdb.models import RunEvent, RunState, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class StubbedTask:
    """A task that a worker would have run.

    Args:
        id: Its id.
        actor: The actor's name.
        payload: Its input.
        module: The module that asked for it.
        state: ``live``, ``completed``, ``failed`` or ``cancelled``.
    """

    id: str
    actor: str
    payload: Mapping[str, JsonValue]
    module: str | None
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The outcome of a run.

    Args:
        status: Its status.
        output: What it gave; ``None`` unless it completed.
        question: The open question as the log has it; ``None`` when none is open.
        error: Why it stopped; ``None`` unless it did.
        state: Its state, with what it waits on.
        events: Its whole log, over all branches.
        tasks: What was asked of workers, in order, over child runs too.
        files: What its modules have written, by category and name.
        commits: How many transactions it took.
    """

    status: RunStatus
    output: JsonValue
    question: Mapping[str, Any] | None
    error: Mapping[str, Any] | None
    state: RunState
    events: Sequence[RunEvent]
    tasks: Sequence[StubbedTask]
    files: Mapping[tuple[str, str], JsonValue]
    commits: int

    def differences(self, other: Outcome) -> list[str]:
        """Return in what *other* differs: its end, its log, or what it asked of workers."""
        pairs: list[tuple[str, object, object]] = [
            ("the status", self.status, other.status),
            ("the output", self.output, other.output),
            ("the open question", self.question, other.question),
            ("the files", self.files, other.files),
            ("the tasks", sorted(task.id for task in self.tasks), sorted(task.id for task in other.tasks)),
            # What is done at the same time ends in any order, so the log is compared without its order.
            ("the log", sorted(map(_told, self.events)), sorted(map(_told, other.events))),
        ]
        return [f"{what} is {there!r:.300} and not {here!r:.300}" for what, here, there in pairs if here != there]


def _told(event: RunEvent) -> tuple[str, str, str]:
    return str(event.type), event.step or "", event.module or ""
