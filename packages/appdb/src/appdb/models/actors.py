"""Workers and actors: who is alive, and what each actor accepts."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, SkipValidation

from appdb.errors import InvalidDataError
from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Count, Name, Positive, Seconds, Text
from appdb.models.limits import Limit, TaskLimit
from appdb.payload_schema import judged


class Actor(Document):
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


class Worker(Document):
    """A worker process, as stored in ``workers``; it disappears when it stops announcing itself."""

    host: str
    pid: int
    queues: list[str]
    actors: list[str]
    slots: int
    providers: list[str] = Field(default_factory=list)
    """What makes content there; missing from workers of an older release."""
    started_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedActor:
    """What a worker says of an actor; the fields are those of ``Actor``.

    Raises:
        InvalidDataError: No host could read the payload's schema; the message names the actor and the keyword.
    """

    __pydantic_config__ = STRICT
    name: Name
    version: Count
    queue: Name
    description: str
    payload_schema: Annotated[dict[str, Any], SkipValidation]
    max_attempts: Positive
    timeout_seconds: Seconds
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AnnouncedWorker:
    """What a worker says of itself; the fields are those of ``Worker``."""

    __pydantic_config__ = STRICT
    id: Name
    host: Text
    pid: Count
    queues: list[Name]
    actors: list[Name]
    slots: Count
    providers: list[Name] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """Return what is stored beside the id."""
        return {key: value for key, value in asdict(self).items() if key != "id"}
