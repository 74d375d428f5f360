"""What every repository has in common."""

from __future__ import annotations

from datetime import timedelta

from appdb._driver import Collection
from appdb.connection import Connection


class BaseRepository:
    """
    A room for the queries of one subject over a shared ``Database``.

    While no primary answers, a method begins again for the database's patience, unless the guarantees list it as not
    repeated: what a loop asks again anyway, or what a repetition would double. In a caller's transaction none does.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def patience(self) -> timedelta:
        """How long calls that are safe to repeat are begun again after they found no primary."""
        return self._connection.patience

    def _collection(self, name: str) -> Collection:
        return self._connection.collection(name)
