"""Settings by type and name, and what shares their collection: the contract, the migrations' lock, places of sweeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import JsonValue

from appdb.models.base import Document

T = TypeVar("T")


class StoredSetting(Document):
    """A setting, as stored in ``config``; type and name make its ``_id``."""

    type: str
    name: str
    value: JsonValue
    revision: int
    created_at: datetime
    updated_at: datetime


class StoredContract(Document):
    """The contracts that may work with the database, as stored in ``config`` under the id ``contract``."""

    # A range, so that hosts of two releases work side by side while they are replaced (decision 0012).
    version: int
    """The oldest contract that may; hosts before contract 3 compare it with their own, and know no more."""
    newest: int | None = None
    """The newest contract that may; ``None`` when a release before contract 3 has migrated last."""
    updated_at: datetime


class StoredLock(Document):
    """The lock of whoever migrates, as stored in ``config`` under the id ``migrations`` while it is held."""

    holder: str
    """Tells one holder from the next."""
    by: str | None = None
    """Host and process, for people; a release before contract 3 does not say."""
    since: datetime | None = None
    expires_at: datetime
    """When the lock ends unless it is renewed, by the database's clock."""


class SweepPosition(Document):
    """The place where a sweep goes on, as stored in ``config`` under an id that begins with ``sweep.``."""

    after: str
    """The id that was looked at last; empty for the beginning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T]):
    """A setting as it was read.

    Args:
        type: What kind of setting, such as ``engine``.
        name: Which one, such as ``limits``.
        value: Its value.
        revision: Counts its writes from 1; give it back to write only if nobody else has written since.
        updated_at: The time of the last write, by the database's clock.
    """

    type: str
    name: str
    value: T
    revision: int
    updated_at: datetime
