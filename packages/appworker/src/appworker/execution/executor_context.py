"""The contract between executors and the context of an attempt."""

from __future__ import annotations

from typing import Protocol

from pydantic import JsonValue

from appworker.actors.contexts import ActorContext


class ExecutorContext(ActorContext, Protocol):
    """A context whose steps are two calls, so that the work between them runs where the actor does."""

    async def get_step(self, key: str) -> tuple[bool, JsonValue]:
        """Return whether an attempt has finished the step *key*, and its value."""

    async def save_step(self, key: str, value: JsonValue) -> None:
        """Save the value of the step *key*."""
