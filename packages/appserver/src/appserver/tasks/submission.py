"""Submission: a request for a task is checked against its actor's announcement, and enqueued."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import JsonValue

from appdb import NotFoundError, RegistryRepository, Task, TaskQueue
from appdb.models import RegisteredActor
from appserver.errors import PayloadError, UnknownActorError
from appserver.tasks.payloads import payload_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request for a task.

    Args:
        owner_id: The user that the task belongs to.
        actor: The actor that shall run it.
        payload: The actor's input.
        priority: Higher runs first.
        idempotency_key: A second submission with it returns the first task.
    """

    owner_id: str
    actor: str
    payload: dict[str, JsonValue]
    priority: int = 0
    idempotency_key: str | None = None


async def submit(submission: Submission, registry: RegistryRepository, queue: TaskQueue) -> Task:
    """Check *submission* and enqueue it: two round trips.

    Raises:
        UnknownActorError: No worker announced the actor.
        PayloadError: The payload cannot be stored, or does not fit the actor's schema.
        TooLargeError: The payload is over 256 KiB.
        ConflictError: The idempotency key was used with another payload.
    """
    actor = await _fitting_actor(submission.actor, submission.payload, registry)
    return await queue.enqueue(
        actor.new_task(
            submission.payload,
            owner_id=submission.owner_id,
            priority=submission.priority,
            unique_key=submission.idempotency_key,
        )
    )


async def submit_again(
    task: Task,
    payload: dict[str, JsonValue] | None,
    idempotency_key: str | None,
    registry: RegistryRepository,
    queue: TaskQueue,
) -> Task:
    """Enqueue a new task that repeats a final *task*, with another *payload* where one is given.

    Two round trips, and one more for the actor of a payload. A second call with the same key returns the same new task.

    Raises:
        ConflictError: The task is not final yet, or the key was used with another payload.
        UnknownActorError: A payload is given, and no worker announced the actor.
        PayloadError: The payload cannot be stored, or does not fit the actor's schema.
        TooLargeError: The payload is over 256 KiB.
    """
    if payload is not None:
        await _fitting_actor(task.actor, payload, registry)
    return await queue.replay(task.id, owner_id=task.owner_id, payload=payload, key=idempotency_key)


async def _fitting_actor(name: str, payload: dict[str, JsonValue], registry: RegistryRepository) -> RegisteredActor:
    """Return the actor of that name, whose schema the payload fits."""
    try:
        actor = await registry.actor(name)
    except NotFoundError:
        known = [actor.id for actor in await registry.actors()]
        raise UnknownActorError(name, known) from None
    if errors := payload_errors(actor.payload_schema, payload):
        raise PayloadError(errors)
    return actor
