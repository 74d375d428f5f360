"""Stubs of tasks: what a worker would give, said beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pydantic import JsonValue

from appserver.engine.core.picture import End
from appserver.modules.contract import ErrorCode

Payload: TypeAlias = Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gives:
    """A task that completes.

    Args:
        result: Its result.
        chunks: What it says on the way; no workflow sees them, only whoever watches.
    """

    result: Mapping[str, JsonValue]
    chunks: tuple[Mapping[str, JsonValue], ...] = ()

    def end(self, payload: Payload) -> End | None:  # noqa: ARG002 - the others need it
        """Return how the task ends."""
        return End(kind="task", state="completed", result=dict(self.result))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fails:
    """A task that fails, after all attempts that its worker makes.

    Args:
        message: Why.
        code: The class of its error.
    """

    message: str
    code: ErrorCode = ErrorCode.RETRYABLE

    def end(self, payload: Payload) -> End | None:  # noqa: ARG002 - the others need it
        """Return how the task ends."""
        return End(kind="task", state="failed", error={"code": self.code, "message": self.message})


@dataclass(frozen=True, slots=True, kw_only=True)
class StaysSilent:
    """A task that never ends: no worker is there, or it hangs."""

    def end(self, payload: Payload) -> End | None:  # noqa: ARG002 - the others need it
        """Return ``None``."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Does:
    """A task that does something.

    Args:
        work: From its payload to its result, or to another end.
    """

    work: Callable[[Payload], Mapping[str, JsonValue] | Gives | Fails | StaysSilent]

    def end(self, payload: Payload) -> End | None:
        """Return how the task ends."""
        made = self.work(payload)
        return Gives(result=made).end(payload) if isinstance(made, Mapping) else made.end(payload)


Stub: TypeAlias = Gives | Fails | StaysSilent | Does
