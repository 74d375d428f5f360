"""The actor: a function, made by the ``actor`` decorator into work that a worker can offer."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Literal, TypeVar, cast, get_args, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from appdb import Limit
from appdb.models import MAX_DURATION
from appworker.actors.contexts import ActorContext, SyncContext
from appworker.actors.retry import RetryPolicy
from appworker.errors import InvalidPayloadError, InvalidResultError

PayloadT = TypeVar("PayloadT", bound=BaseModel)
DEFAULT_TIMEOUT = timedelta(hours=1)
DEFAULT_RETRY = RetryPolicy()

RESULTS = "return a pydantic model with named fields, or None"

Isolation = Literal["task", "thread", "process"]
"""Where an actor runs: on the worker's shared actor loop, in a thread of its own, or in a process of its own."""

AsyncFunction = Callable[[ActorContext, PayloadT], Awaitable[BaseModel | None]]
PlainFunction = Callable[[SyncContext, PayloadT], BaseModel | None]
ActorFunction = AsyncFunction[PayloadT] | PlainFunction[PayloadT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor(Generic[PayloadT]):
    """A kind of work; the ``actor`` decorator tells what the fields mean.

    Args:
        plain: Whether the function is a plain one, which blocks its thread.
        source: The name by which another process loads the actor: an entry point, or ``module:attribute``; empty
            until it was loaded by name.

    Raises:
        TypeError: The isolation does not go with the function.
        ValueError: A number is out of range, or a limit cannot be held with this isolation.
    """

    name: str
    version: int
    queue: str
    description: str
    payload_type: type[PayloadT]
    function: ActorFunction[PayloadT]
    plain: bool
    timeout: timedelta
    retry: RetryPolicy
    limits: tuple[Limit, ...]
    isolation: Isolation
    memory_limit: int | None
    cpu_limit: timedelta | None
    requires: Callable[[], None] | None
    source: str = ""

    def __post_init__(self) -> None:
        self._check_isolation()
        if not self.name or self.version < 1:
            raise ValueError(f"actor {self.name!r}: it needs a name, and a version of at least 1")
        if not timedelta(0) < self.timeout <= MAX_DURATION:
            raise ValueError(f"actor {self.name!r}: timeout must be positive, and at most {MAX_DURATION.days} days")
        if self.isolation != "process" and (self.memory_limit is not None or self.cpu_limit is not None):
            raise ValueError(f"actor {self.name!r}: memory_limit and cpu_limit need isolation='process'")
        if self.memory_limit is not None and self.memory_limit < 1:
            raise ValueError(f"actor {self.name!r}: memory_limit must be at least a byte")
        if self.cpu_limit is not None and self.cpu_limit <= timedelta(0):
            raise ValueError(f"actor {self.name!r}: cpu_limit must be positive")

    def _check_isolation(self) -> None:
        if self.isolation not in get_args(Isolation):
            known = ", ".join(map(repr, get_args(Isolation)))
            raise TypeError(f"actor {self.name!r}: isolation is {self.isolation!r}; write one of {known}")
        if self.plain and self.isolation == "task":
            raise TypeError(
                f"actor {self.name!r}: a plain function would block the shared event loop; "
                "write 'async def', or isolation='thread' or 'process'"
            )

    def payload_schema(self) -> dict[str, Any]:
        """Return the JSON Schema (draft 2020-12) that API hosts check payloads with."""
        return self.payload_type.model_json_schema()

    def accept(self, payload: Mapping[str, Any]) -> PayloadT:
        """Return a task's payload as what the function takes.

        Raises:
            InvalidPayloadError: It does not fit.
        """
        try:
            return self.payload_type.model_validate(payload)
        except ValidationError as exc:
            raise InvalidPayloadError(_readable(exc)) from exc

    async def run(self, context: ActorContext, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run an async function once, in the running event loop, as a test of it does.

        Returns:
            The result as JSON values, or ``None``.

        Raises:
            InvalidPayloadError: The payload is not what the actor takes.
            InvalidResultError: What it returned is no result.
        """
        function = cast("AsyncFunction[PayloadT]", self.function)
        return self.result_of(await function(context, self.accept(payload)))

    def call(self, context: SyncContext, payload: Mapping[str, Any]) -> dict[str, Any] | None:
        """Run a plain function once, in the calling thread; the rest is as in ``run``."""
        function = cast("PlainFunction[PayloadT]", self.function)
        return self.result_of(function(context, self.accept(payload)))

    def result_of(self, returned: object) -> dict[str, Any] | None:
        """Return what the function *returned* as a task's result: JSON values.

        Raises:
            InvalidResultError: It is no model, or a model that is no JSON object.
        """
        if returned is None:
            return None
        if not isinstance(returned, BaseModel):
            raise InvalidResultError(f"the actor returned a {type(returned).__name__}; {RESULTS}")
        # Through text, and not ``model_dump(mode="json")``: that leaves NaN, for which JSON has no form.
        try:
            result = from_json(returned.model_dump_json())
        except Exception as exc:
            raise InvalidResultError(f"what the actor returned is no JSON ({exc}); {RESULTS}") from exc
        if not isinstance(result, dict):
            kind = type(result).__name__
            raise InvalidResultError(f"what the actor returned is a {kind} as JSON, and no object; {RESULTS}")
        return result


def actor(  # noqa: PLR0913 - the one place where all that can be said of an actor is said
    name: str,
    *,
    version: int = 1,
    queue: str = "default",
    timeout: timedelta = DEFAULT_TIMEOUT,
    retry: RetryPolicy = DEFAULT_RETRY,
    limits: tuple[Limit, ...] = (),
    isolation: Isolation | None = None,
    memory_limit: int | None = None,
    cpu_limit: timedelta | None = None,
    requires: Callable[[], None] | None = None,
) -> Callable[[ActorFunction[PayloadT]], Actor[PayloadT]]:
    """Make an ``Actor`` of a function ``(context, payload) -> result``, async or plain.

    The annotation of the payload, a pydantic model, is the actor's contract: API hosts reject what does not fit it.
    An async function gets an ``ActorContext``, a plain one a ``SyncContext``.

    Args:
        name: What tasks call the actor by.
        version: Raise it when the payload changes in a way that older workers cannot read.
        queue: Where its tasks wait.
        timeout: How long one attempt may run.
        retry: How often and after which pauses an attempt is repeated.
        limits: What its tasks share with others, over all workers.
        isolation: ``"task"``: on an event loop that it shares with others (cheapest; it must not block);
            ``"thread"``: in a thread of its own (it may block); ``"process"``: in a process of its own, which can be
            killed, with limits of its own. ``None`` for ``"task"``, or ``"thread"`` for a plain function.
        memory_limit: Bytes that the process may take beside the interpreter and the actor's imports.
        cpu_limit: Processor time of one attempt, rounded up to whole seconds.
        requires: Raises ``ProviderUnavailableError`` when this host lacks what the actor needs; it is not offered then.

    Raises:
        TypeError: The function is not annotated as it must be, or cannot be isolated so.
        ValueError: A number is out of range, or a limit needs another isolation.
    """

    def decorate(function: ActorFunction[PayloadT]) -> Actor[PayloadT]:
        plain = not inspect.iscoroutinefunction(function)
        return Actor(
            name=name,
            version=version,
            queue=queue,
            description=(function.__doc__ or name).strip().splitlines()[0],
            payload_type=_payload_type(name, function, plain=plain),
            function=function,
            plain=plain,
            timeout=timeout,
            retry=retry,
            limits=limits,
            isolation=isolation or ("thread" if plain else "task"),
            memory_limit=memory_limit,
            cpu_limit=cpu_limit,
            requires=requires,
        )

    return decorate


def _payload_type(name: str, function: ActorFunction[PayloadT], *, plain: bool) -> type[PayloadT]:
    fitting, other = (SyncContext, ActorContext) if plain else (ActorContext, SyncContext)
    # The annotations are evaluated: postponed ones are texts, which would say nothing of the classes.
    hints = [hint for key, hint in get_type_hints(function).items() if key != "return"]
    if len(hints) == 2 and hints[0] is not other and isinstance(hints[1], type) and issubclass(hints[1], BaseModel):
        return hints[1]  # type: ignore[return-value]  # the decorator's own type says so
    why = "it is a plain function" if plain else "it is an async function"
    raise TypeError(
        f"actor {name!r}: annotate it as (context: {fitting.__name__}, payload: <a pydantic model>), since {why}"
    )


def _readable(error: ValidationError) -> str:
    problems = (f"{'.'.join(map(str, found['loc'])) or 'payload'}: {found['msg']}" for found in error.errors())
    return "; ".join(problems)
