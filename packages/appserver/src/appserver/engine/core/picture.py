"""The picture: all that a decision about a run is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from appdb.models import Run, RunState
from appserver.engine.definition.model import Definition
from appserver.modules.registry import ModuleRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """The end of what a run waited for outside of its log.

    Args:
        kind: What ended.
        state: How.
        result: What it gave: a task's result, or a child run's output; a timer gives nothing.
        error: Why it gave nothing: ``code`` (a word of ``ErrorCode``), ``message``, and more where known.
    """

    kind: Literal["task", "child", "timer"]
    state: Literal["completed", "failed", "cancelled"]
    result: JsonValue = None
    error: Mapping[str, JsonValue] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """All that a decision about a run is made from; the same picture always gives the same decision.

    Args:
        run: The run, from the same read as *state*.
        state: The state of its current line of history.
        definition: What it follows; of a child run, its own part (``children.definition_of``).
        version_id: The version that *definition* is, or is a part of.
        now: The time by the database's clock, for deadlines and display.
        next_seq: The number that the next event gets.
        registry: The module types of this host.
        ends: By the id of a task, child run or timer that the state waits for, its end, where it has ended.
        loaded: By the key of a ``Needed``, what an earlier decision of this picture asked for.
        over_budget: Why no task may be started that costs something; set when an earlier decision of this picture was
            refused for it.
        unknown_versions: Versions for child runs that the owner has not; found when an earlier decision of this picture
            named them.
    """

    run: Run
    state: RunState
    definition: Definition
    version_id: str
    now: datetime
    next_seq: int
    registry: ModuleRegistry
    ends: Mapping[str, End] = field(default_factory=dict)
    loaded: Mapping[str, JsonValue] = field(default_factory=dict)
    over_budget: str = ""
    unknown_versions: frozenset[str] = frozenset()
