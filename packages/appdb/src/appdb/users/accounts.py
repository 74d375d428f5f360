"""User accounts: made, found, changed, counted and deleted."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session
from appdb._queries import users as queries
from appdb._queries.paging import NEWEST_ID_FIRST
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.users import Login, NewUser, Role, User
from appdb.reading import page_of
from appdb.users.identity import email_key, identity_fields, username_key
from appdb.utils import uuid7_floor, uuid7_str

USER_PREFIX = "usr_"


class UserAccounts:
    """Reads and writes the documents of users."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._users = connection.collection(collections.USERS)

    async def create_account(self, user: NewUser, session: Session | None) -> User:
        """Make a user and return it; a repeated call returns the user as they are by now."""
        fields = identity_fields(user) | {"is_guest": False, "is_active": True}
        match, update = queries.create(user.user_id, fields)
        try:
            row: RawDocument = await self._users.find_one_and_update(
                match, update, queries.WITHOUT_PASSWORD, upsert=True, return_document=AFTER, session=session
            )
        except DuplicateKeyError as exc:
            raise _taken(exc, user.user_id) from None
        if not _same_names(row, fields):
            raise ConflictError("user", user.user_id, "exists by another name; make a new id")
        return User.from_document(row)

    async def create_guest_account(self, session: Session) -> RawDocument:
        """Make a user without names and return the document."""
        fields = {"is_guest": True, "is_active": True, "roles": [str(Role.USER)]}
        match, update = queries.create(uuid7_str(USER_PREFIX), fields)
        row: RawDocument = await self._users.find_one_and_update(
            match, update, upsert=True, return_document=AFTER, session=session
        )
        return row

    async def count_new_guests(self, within: timedelta, at_most: int) -> int:
        """Return how many guests were made *within* that time until now, counted up to *at_most*."""
        # An id tells when it was made, so no index on a time is needed.
        floor = uuid7_floor(USER_PREFIX, await self._connection.server_time() - within)
        return int(await self._users.count_documents(queries.guests_from(floor), limit=max(at_most, 1)))

    async def upgrade_guest_account(self, user: NewUser, session: Session | None) -> User:
        """Make a full user of a guest and return it; a repeated call returns the user as they are by now."""
        fields = identity_fields(user)
        try:
            return await self.change_account(queries.guest(user.user_id), queries.upgrade(fields), session)
        except NotFoundError:
            stored = await self._find_row(queries.by_id(user.user_id), user.user_id, session)
        if not _same_names(stored, fields):
            raise ConflictError("user", user.user_id, "is no guest; sign in as that user")
        return User.from_document(stored)

    async def find_account(self, match: RawDocument, name: str, session: Session | None) -> User:
        """Return the user that *match* finds; the error calls it *name*."""
        return User.from_document(await self._find_row(match, name, session))

    async def _find_row(self, match: RawDocument, name: str, session: Session | None) -> RawDocument:
        row: RawDocument | None = await self._users.find_one(match, queries.WITHOUT_PASSWORD, session=session)
        if row is None:
            raise NotFoundError("user", name)
        return row

    async def find_active(self, user_id: str) -> User | None:
        """Return the user, or ``None`` when there is none who is active."""
        row = await self._users.find_one(queries.active(user_id), queries.WITHOUT_PASSWORD)
        return None if row is None else User.from_document(row)

    async def find_login(self, name: str, session: Session | None) -> Login:
        """Return the active user of this username or e-mail address with the hash of the password."""
        match = queries.by_email(email_key(name)) if "@" in name else queries.by_username(username_key(name))
        row = await self._users.find_one(match | {"is_active": True}, session=session)
        if row is None:
            raise NotFoundError("active user", name)
        return Login(user=User.from_document(row), password_hash=row.get("password_hash"))

    async def page_of_accounts(self, before: str | None, limit: int, session: Session | None) -> list[User]:
        """Return users, newest first."""
        users = self._users.find(queries.page(before), queries.WITHOUT_PASSWORD, session=session)
        return await page_of(User.from_document, users.sort(NEWEST_ID_FIRST), limit)

    async def change_account(self, match: RawDocument, update: Any, session: Session | None) -> User:
        """Change the user that *match* finds by id, and return the user.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The username or the e-mail address is somebody's.
        """
        try:
            row = await self._users.find_one_and_update(
                match, update, queries.WITHOUT_PASSWORD, return_document=AFTER, session=session
            )
        except DuplicateKeyError as exc:
            raise _taken(exc, str(match["_id"])) from None
        if row is None:
            raise NotFoundError("user", str(match["_id"]))
        return User.from_document(row)

    async def stamp_active(self, user_id: str, field: str, session: Session) -> RawDocument:
        """Write the server's time to *field* of the active user and return the document.

        Raises:
            NotFoundError: There is no such active user.
        """
        # A transaction that makes a credential begins with this write: a deactivation or deletion at the same moment
        # comes wholly before or wholly after it, and of many such transactions each sees what the one before has made.
        row: RawDocument | None = await self._users.find_one_and_update(
            queries.active(user_id), queries.stamp(field), return_document=AFTER, session=session
        )
        if row is None:
            raise NotFoundError("active user", user_id)
        return row

    async def delete_account(self, user_id: str, session: Session) -> None:
        """Delete the user's document.

        Raises:
            NotFoundError: There is no such user.
        """
        deleted = await self._users.delete_one(queries.by_id(user_id), session=session)
        if deleted.deleted_count == 0:
            raise NotFoundError("user", user_id)


def _taken(exc: DuplicateKeyError, user_id: str) -> ConflictError:
    """Return an error that says which kind of name is taken."""
    # The driver's own error repeats the name, so it is not chained to ours.
    fields = (exc.details or {}).get("keyPattern", {})
    what = "e-mail address" if "email_key" in fields else "username"
    return ConflictError("user", user_id, f"the {what} belongs to somebody else; choose another")


def _same_names(stored: RawDocument, fields: Mapping[str, object]) -> bool:
    return all(stored.get(name) == fields.get(name) for name in ("username_key", "email_key"))
