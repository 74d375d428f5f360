"""What the parts of ``UserRepository`` share: its collections, and a user that a credential is made for."""

from __future__ import annotations

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import users as queries
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.errors import NotFoundError


class UserRows(BaseRepository):
    """The rooms of users, keys and sessions."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._users = self._collection(collections.USERS)
        self._keys = self._collection(collections.ACCESS_KEYS)
        self._families = self._collection(collections.REFRESH_TOKENS)

    async def _stamp_user(self, user_id: str, field: str, session: Session) -> RawDocument:
        """Note the server's time in the active user's *field* and return the user.

        A transaction that makes a credential begins with it: being switched off or deleted at the same moment comes
        wholly before or wholly after, and of many at once each sees what the one before has made.
        """
        row: RawDocument | None = await self._users.find_one_and_update(
            queries.active(user_id), queries.stamp(field), return_document=AFTER, session=session
        )
        if row is None:
            raise NotFoundError("active user", user_id)
        return row
