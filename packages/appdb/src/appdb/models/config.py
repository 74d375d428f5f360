"""Settings: typed values by type and name."""

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
