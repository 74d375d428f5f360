"""Causes: reasons for which a run is looked at. Each can be repeated: what was done already is not done again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from pydantic import JsonValue


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Go on with whatever can go on: after a start, a crash, a jump, or the end of a task in ``Picture.ends``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A person answers a question.

    Args:
        interaction_id: The question.
        response: The answer.
        by: Who answers; a user's id, or how a link was named.
    """

    interaction_id: str
    response: JsonValue
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """The time of a timer has come: of a module's wait, a pause before a retry, a timeout, or a question's expiry.

    Args:
        timer_id: The id of the timer's task.
    """

    timer_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """A message from outside; it stays in the run's inbox until a module takes it.

    Args:
        name: What modules wait for.
        signal_id: The sender's name for this message; the same one again changes nothing.
        payload: Its content.
    """

    name: str
    signal_id: str
    payload: JsonValue = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A person asks for a sub-action of the module whose question is open.

    Args:
        module: The module.
        action: One of the question's ``actions``.
        arguments: What the action needs.
        request_id: The caller's name for this request; the same one again changes nothing.
    """

    module: str
    action: str
    request_id: str
    arguments: Mapping[str, JsonValue] = field(default_factory=dict)


Cause: TypeAlias = Look | Answered | Fired | Signal | Act
