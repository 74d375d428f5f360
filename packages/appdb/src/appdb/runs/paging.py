"""Run pages: pages of the documents of one run, newest first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from appdb._driver import RawDocument, Session
from appdb._queries.paging import NEWEST_FIRST
from appdb._queries.types import Filter
from appdb.connection import Connection
from appdb.errors import NotFoundError
from appdb.reading import page_of
from appdb.run_lock import RunLock

D = TypeVar("D")


class RunPages(Generic[D]):
    """Reads pages of one collection.

    Args:
        connection: The database.
        collection: The collection's name.
        kind: The documents' name in errors.
        read: Gives the typed form of a document.
        query: Finds the documents of a run (its id, its owner) that are older than a document, or all for ``None``.
    """

    def __init__(
        self,
        connection: Connection,
        collection: str,
        kind: str,
        read: Callable[[RawDocument], D],
        query: Callable[[str, str, Mapping[str, Any] | None], Filter],
    ) -> None:
        self._run_lock = RunLock(connection)
        self._rows = connection.collection(collection)
        self._kind = kind
        self._read = read
        self._query = query

    async def page_of_run(
        self, run_id: str, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[D]:
        """Return at most *limit* documents of the run, those behind *before*.

        Raises:
            NotFoundError: The owner has no such run, or the run has no document *before*.
        """
        last = None if before is None else await self._last(run_id, owner_id, before, session)
        found = self._rows.find(self._query(run_id, owner_id, last), session=session).sort(NEWEST_FIRST)
        page = await page_of(self._read, found, limit)
        # Last, so that half of what a deletion has left is nobody's answer (decision 0016).
        await self._run_lock.check_run(run_id, owner_id, session)
        return page

    async def _last(self, run_id: str, owner_id: str, before: str, session: Session | None) -> RawDocument:
        await self._run_lock.check_run(run_id, owner_id, session)
        match = self._query(run_id, owner_id, None) | {"_id": before}
        found: RawDocument | None = await self._rows.find_one(match, {"created_at": 1}, session=session)
        if found is None:
            raise NotFoundError(f"{self._kind} of run {run_id}", before)
        return found
