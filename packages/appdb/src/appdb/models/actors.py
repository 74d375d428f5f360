"""Actors: the functions that do tasks, as workers announce them, with the payload schema and limits of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field, JsonValue, SkipValidation

from appdb.errors import InvalidDataError
from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Count, Name, Positive, Seconds
from appdb.models.limits import Limit, TaskLimit
from appdb.models.tasks import NewTask
from appdb.payload_schema import judged


class RegisteredActor(Document):
    """An actor that some worker announced, as stored in ``actors``; its ``_id`` is its name."""

    version: int
    queue: str
    description: str
    payload_schema: StoredJson
    """JSON Schema (draft 2020-12) of the payload; ``appdb.payload_schema`` says what of it API hosts check."""
    max_attempts: int
    timeout_seconds: float
    limits: list[TaskLimit] = Field(default_factory=list)
    """What its tasks share with others, over all workers."""
    seen_at: datetime

    def new_task(
        self,
        payload: Mapping[str, JsonValue],
        *,
        owner_id: str,
        queue: str | None = None,
        priority: int = 0,
        unique_key: str | None = None,
    ) -> NewTask:
        """Return a new task for this actor, with the attempts, time and limits that were announced.

        ``dataclasses.replace`` sets the other fields of ``NewTask``.

        Args:
            payload: The actor's input; it is not checked here.
            owner_id: The user who may see and cancel the task.
            queue: The queue's name; ``None`` for the one that was announced.
            priority: Higher runs first.
            unique_key: A second enqueue by the same owner with the same key returns the first task.
        """
        return NewTask(
            owner_id=owner_id,
            actor=self.id,
            actor_version=self.version,
            payload=dict(payload),
            queue=queue or self.queue,
            priority=priority,
            max_attempts=self.max_attempts,
            timeout=timedelta(seconds=self.timeout_seconds),
            limits=tuple(limit.limit() for limit in self.limits),
            unique_key=unique_key,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedActor:
    """An actor as a worker announces it; the fields are those of ``RegisteredActor``.

    Raises:
        InvalidDataError: No host could read the payload's schema; the message names the actor and the keyword.
    """

    __pydantic_config__ = STRICT
    name: Name
    version: Count
    queue: Name
    description: str
    # Not copied by validation: a schema may be large, and only `judged` looks into it.
    payload_schema: Annotated[dict[str, Any], SkipValidation]
    max_attempts: Positive
    timeout_seconds: Seconds
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        # A schema that no host can read is refused when it is announced, and not at the first submission.
        _ = self.left_to_worker

    @property
    def left_to_worker(self) -> tuple[str, ...]:
        """The places of the payload's schema that API hosts do not judge; see ``appdb.payload_schema``."""
        try:
            return judged(self.payload_schema).left_to_worker
        except InvalidDataError as exc:
            raise InvalidDataError(f"actor {self.name!r}: {exc.field}", exc.problem) from exc

    def fields(self) -> dict[str, Any]:
        """Return what is stored beside the id."""
        limits = [TaskLimit.of(limit).model_dump() for limit in self.limits]
        return {key: value for key, value in asdict(self).items() if key != "name"} | {"limits": limits}
