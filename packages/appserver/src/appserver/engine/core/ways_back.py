"""Ways back: what a person can ask for of a run, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue

from appdb.models import RunState
from appserver.engine.definition.model import Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """A module runs again on the same line; what came after it is undone.

    Args:
        module: The module.
        feedback: What should be better; the module finds it in its tries.
        inputs: Inputs, by name, in place of those that the definition has.
    """

    module: str
    feedback: Mapping[str, JsonValue] = field(default_factory=dict)
    inputs: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryFailed:
    """The failed parts of a module's work run again; what has succeeded stays.

    Args:
        module: The module, such as a map.
    """

    module: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """The run goes on before a module, on a new branch.

    Args:
        module: The module.
        feedback: What should be better.
    """

    module: str
    feedback: Mapping[str, JsonValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class BranchFrom:
    """A question is asked again on a new branch, with its old answer at hand.

    Args:
        interaction_id: The question, on whichever branch it was asked.
        seq: The number of its request.
        state: The state after its request.
        response: The answer that it got; ``None`` for none.
    """

    interaction_id: str
    seq: int
    state: RunState
    response: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """The run goes on where another of its branches ended, on a new one.

    Args:
        branch_id: That branch.
        seq: The number of its last event.
        state: The state after that.
    """

    branch_id: str
    seq: int
    state: RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """The run follows another version.

    Args:
        version_id: The version.
        definition: Its definition.
    """

    version_id: str
    definition: Definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """The run begins again; what was stays readable in its log.

    Args:
        input: What it begins with; ``None`` for what it began with last.
    """

    input: Mapping[str, JsonValue] | None = None


WayBack: TypeAlias = Retry | RetryFailed | Jump | BranchFrom | Switch | Move | Reset
