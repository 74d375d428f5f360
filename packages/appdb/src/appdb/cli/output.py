"""The output of commands: text without control characters, tables, and one JSON object per line for programs."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import click

from appdb.cli.params import bundled
from appdb.models.events import RunEvent
from appdb.models.task_events import TaskEvent
from appdb.models.tasks import Progress, Task, TaskState
from appdb.models.workflow_runs import Run, RunStatus

COLOURS: Mapping[str, str] = {
    TaskState.PROCESSING: "cyan",
    TaskState.COMPLETED: "green",
    TaskState.FAILED: "red",
    TaskState.CANCELLED: "yellow",
    RunStatus.AWAITING_INPUT: "magenta",
    RunStatus.VALIDATION_FAILED: "red",
    RunStatus.ERROR: "red",
}
"""By the states of tasks and the statuses of runs; where both have a word, it means the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFormat:
    """The format of a command's output.

    Args:
        as_json: One JSON object per line.
        quiet: Ids only.
    """

    as_json: bool
    quiet: bool


output_options = bundled(
    OutputFormat,
    "output",
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line."),
    click.option("--quiet", "-q", is_flag=True, help="Print ids only."),
)


def printable(text: str) -> str:
    """Return *text* on one line, with whatever a terminal would obey or hide made visible."""
    # What users wrote must not move the cursor, clear the screen or forge a line of ours.
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


def json_line(value: Mapping[str, Any]) -> str:
    """Return *value* as JSON on one line, in ASCII, so that it survives any terminal and any locale."""
    # In ASCII, json's default: it survives any terminal, locale and pipe.
    return json.dumps(value, separators=(",", ":"))


def compact(value: object) -> str:
    """Return a user's *value* as JSON for people."""
    return printable(json.dumps(value, ensure_ascii=False))


def task_fields(task: Task) -> dict[str, Any]:
    """Return *task* for programs. Its fencing token stays here: who knows it could write as the holder."""
    # Who knows the token could write to the task as its holder.
    return task.model_dump(mode="json", exclude={"lease": {"token"}})


def event_fields(event: TaskEvent) -> dict[str, Any]:
    """Return *event* for programs."""
    return event.model_dump(mode="json", exclude={"id"})


def run_fields(run: Run) -> dict[str, Any]:
    """Return *run* for programs, with its place in lists."""
    return run.model_dump(mode="json") | {"place": run.place}


def run_event_fields(event: RunEvent) -> dict[str, Any]:
    """Return an *event* of a run for programs."""
    return event.model_dump(mode="json")


def moment(time: datetime | None) -> str:
    """Return *time* in UTC to the second, or a dash."""
    return "-" if time is None else time.strftime("%Y-%m-%d %H:%M:%SZ")


def percent(progress: Progress | None) -> str:
    """Return how far an attempt is, or a dash."""
    return "-" if progress is None else f"{progress.fraction:.0%}"


def coloured(state: TaskState | RunStatus) -> str:
    """Return the name of a state or a status in its colour, which is taken off again where no terminal reads."""
    # Click takes colours off again where no terminal reads.
    return click.style(state.value, fg=COLOURS.get(state))


def width(text: str) -> int:
    """Return how many columns *text* takes in a terminal."""
    return sum(
        # A terminal draws combining marks over the letter before, and East Asian letters two columns wide.
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return *rows* as columns under *head*: numbers to the right, states in their colours."""
    # Without rows, zip would give no columns, and the head no widths.
    columns = list(zip(*rows, strict=True)) or [()] * len(head)
    widths = [max(map(width, [name, *map(_text, column)])) for name, column in zip(head, columns, strict=True)]
    to_right = [bool(column) and all(isinstance(cell, int | float) for cell in column) for column in columns]

    def line(row: Sequence[object]) -> str:
        return "  ".join(map(_padded, row, widths, to_right)).rstrip()

    return "\n".join([line(head), *map(line, rows)])


def _text(cell: object) -> str:
    if isinstance(cell, int | float):
        return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.2f}"
    return printable(str(cell))


def _padded(cell: object, space: int, to_right: bool) -> str:
    text = _text(cell)
    fill = " " * (space - width(text))
    shown = coloured(cell) if isinstance(cell, TaskState | RunStatus) else text
    return f"{fill}{shown}" if to_right else f"{shown}{fill}"
