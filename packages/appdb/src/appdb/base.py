"""What every repository has in common."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any, TypeVar

from appdb._driver import Collection, Session
from appdb.database import Database

T = TypeVar("T")


class BaseRepository:
    """
    A room for the queries of one subject over a shared ``Database``.

    While no primary answers, a method begins again for the database's patience, unless the guarantees list it as not
    repeated: what a loop asks again anyway, or what a repetition would double. In a caller's transaction none does.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def patience(self) -> timedelta:
        """How long calls that are safe to repeat are begun again after they found no primary."""
        return self._database.patience

    def _collection(self, name: str) -> Collection:
        return self._database.collection(name)

    async def _together(self, body: Callable[[Session], Coroutine[Any, Any, T]], session: Session | None) -> T:
        """Run *body* in the caller's transaction, or in one of its own."""
        return await (self._database.transaction(body) if session is None else body(session))
