"""What every repository has in common."""

from __future__ import annotations

from datetime import timedelta

from appdb._driver import Collection
from appdb.database import Database


class BaseRepository:
    """A room for the queries of one subject over a shared ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def patience(self) -> timedelta:
        """How long calls that are safe to repeat are begun again after they found no primary."""
        return self._database.patience

    def _collection(self, name: str) -> Collection:
        return self._database.collection(name)
