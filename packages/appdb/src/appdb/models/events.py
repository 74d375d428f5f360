"""Run events: the entries of a run's event log, from which its state follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from appdb.events import DbEventType
from appdb.models.base import Document, StoredJson
from appdb.models.bounds import STRICT, Name, NewJson, Text
from appdb.models.vocabulary import Stored
from appdb.utils import uuid7_str


class RunEvent(Document):
    """One event, as stored in ``events``; per run, ``seq`` is unique and dense from 0."""

    run_id: str
    owner_id: str
    branch_id: str
    # Counted in the run's own document, so that no number is given without its event (decision 0008).
    seq: int
    type: Stored[DbEventType]
    step: str | None = None
    module: str | None = None
    interaction_id: str | None = None
    version_id: str | None = None
    """The version of the workflow that the run followed at that time."""
    data: StoredJson
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRunEvent:
    """An event to append; its number, branch and time are given by the log.

    The id is made with it, so that appending it again after an unknown outcome changes nothing.

    Args:
        type: What happened.
        step: Where; ``step_started``, ``step_completed`` and the events of modules need it.
        module: Where; the events of modules need it.
        data: JSON values, at most 256 KiB as BSON; the events of interactions need an ``interaction_id``.
        event_id: Its id.
    """

    __pydantic_config__ = STRICT
    type: DbEventType
    step: Text | None = None
    module: Text | None = None
    data: NewJson = field(default_factory=dict)
    # Made here and not by the log: appending again after a lost answer must find what is stored.
    event_id: Name = field(default_factory=lambda: uuid7_str("evt_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """A choice of events of a line of history.

    Args:
        after: Only events with a higher number.
        before: Only events with a lower number.
        types: Only these types; empty for all.
        without: None of these types; for calls without *types*.
        module: Only this module.
        step: Only this step.
    """

    after: int = -1
    before: int | None = None
    types: Collection[DbEventType] = ()
    without: Collection[DbEventType] = ()
    module: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSummary:
    """The part of an event that the state of a run keeps."""

    seq: int
    event_id: str
    type: Stored[DbEventType]
    step: str | None
    module: str | None
    created_at: datetime
    data: Mapping[str, Any]

    @classmethod
    def of(cls, event: RunEvent) -> Self:
        """Return the summary of *event*."""
        return cls(
            seq=event.seq,
            event_id=event.id,
            type=event.type,
            step=event.step,
            module=event.module,
            created_at=event.created_at,
            data=event.data,
        )
