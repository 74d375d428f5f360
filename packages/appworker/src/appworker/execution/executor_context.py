"""What executors need of a context, beside what actors see of it."""

from __future__ import annotations

from typing import Protocol

from pydantic import JsonValue

from appworker.actors.contexts import ActorContext


class ExecutorContext(ActorContext, Protocol):
    """A context whose steps can be taken apart, so that their work runs where the actor does."""

    async def recall(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether a step is remembered, and what it returned."""

    async def remember(self, key: str, value: JsonValue) -> None:
        """Remember what a step returned."""
