"""What an actor is, and what it may ask of its worker while it runs."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, get_type_hints

from pydantic import BaseModel, JsonValue

from appdb.models.content import NewContent

PayloadT = TypeVar("PayloadT", bound=BaseModel)
DEFAULT_TIMEOUT = timedelta(hours=1)
DEFAULT_MAX_ATTEMPTS = 3


class ActorContext(Protocol):
    """What an actor gets beside its payload. Its methods are for the actor's own event loop, if not said otherwise."""

    task_id: str
    owner_id: str
    attempt: int
    """Counted from 1, over all workers."""
    deadline: datetime
    """When the attempt is out of time, by this host's clock."""
    logger: logging.LoggerAdapter[logging.Logger]

    @property
    def cancelled(self) -> bool:
        """Whether the attempt must end; readable from any thread."""

    def check_cancelled(self) -> None:
        """Return while the attempt may go on; callable from any thread.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    def report(self, fraction: float, message: str = "") -> None:
        """Say how far the work is, from any thread; cheap, and only the latest report of a tenth of a second is kept.

        Args:
            fraction: 0 to 1.
            message: What is being done, for the owner.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    async def progress(self, fraction: float, message: str = "") -> None:
        """Do the same as ``report``, and let the event loop breathe."""

    async def emit(self, data: Mapping[str, JsonValue]) -> None:
        """Send partial output to whoever watches; each call is one event of the task's log, at most 64 KiB.

        It waits only when the database is far behind.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    async def describe(self, *, operation: str, provider: str, source_data: Mapping[str, JsonValue]) -> None:
        """Record what is being made and by whom; call it before the first ``store``.

        Raises:
            TaskStoppedError: The attempt must end now.
        """

    async def store(self, item: NewContent) -> str:
        """Store a content item; when this returns, whoever watches can see it.

        Returns:
            The content's id.

        Raises:
            TaskStoppedError: The attempt must end now; nothing was stored.
        """


ActorFunction = Callable[[ActorContext, PayloadT], Awaitable[BaseModel | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor(Generic[PayloadT]):
    """One kind of work: made by the ``actor`` decorator, found by entry point or by ``--actors``."""

    name: str
    version: int
    queue: str
    description: str
    payload_type: type[PayloadT]
    function: ActorFunction[PayloadT]
    max_attempts: int
    timeout: timedelta
    requires: Callable[[], None] | None

    def payload_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) that API hosts check payloads with."""
        return self.payload_type.model_json_schema()

    async def run(self, context: ActorContext, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run one attempt.

        Returns:
            The result as JSON values, or ``None``.

        Raises:
            pydantic.ValidationError: The payload is not what the actor takes.
        """
        result = await self.function(context, self.payload_type.model_validate(payload))
        return None if result is None else result.model_dump(mode="json")


def actor(
    name: str,
    *,
    version: int = 1,
    queue: str = "default",
    timeout: timedelta = DEFAULT_TIMEOUT,
    max_attempts: int = DEFAULT_MAX_ATTEMPTS,
    requires: Callable[[], None] | None = None,
) -> Callable[[ActorFunction[PayloadT]], Actor[PayloadT]]:
    """Make an ``Actor`` of an async function ``(context, payload) -> result``.

    The annotation of the payload, a pydantic model, is the actor's contract: API hosts reject what does not fit it.

    Args:
        name: What tasks call the actor by.
        version: Raise it when the payload changes in a way that older workers cannot read.
        queue: Where its tasks wait.
        timeout: How long one attempt may run.
        max_attempts: How many attempts a task gets.
        requires: Raises ``ProviderUnavailableError`` when this host lacks what the actor needs; it is not offered then.

    Raises:
        TypeError: The function's second parameter is not annotated with a pydantic model.
    """

    def decorate(function: ActorFunction[PayloadT]) -> Actor[PayloadT]:
        return Actor(
            name=name,
            version=version,
            queue=queue,
            description=(function.__doc__ or name).strip().splitlines()[0],
            payload_type=_payload_type(name, function),
            function=function,
            max_attempts=max_attempts,
            timeout=timeout,
            requires=requires,
        )

    return decorate


def _payload_type(name: str, function: ActorFunction[PayloadT]) -> type[PayloadT]:
    hints = [hint for key, hint in get_type_hints(function).items() if key != "return"]
    if len(hints) == 2 and isinstance(hints[1], type) and issubclass(hints[1], BaseModel):
        return hints[1]  # type: ignore[return-value]  # the decorator's own type says so
    raise TypeError(f"actor {name!r}: annotate it as (context: ActorContext, payload: <a pydantic model>)")
