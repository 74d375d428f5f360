"""What every repository has in common."""

from __future__ import annotations

from appdb._driver import Collection
from appdb.database import Database


class BaseRepository:
    """A room for the queries of one subject over a shared ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def _collection(self, name: str) -> Collection:
        return self._database.collection(name)
