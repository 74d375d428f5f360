"""Users: who may see what. Their keys and sessions are parts of the same repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session, retried, retried_deletion, translates_errors
from appdb._queries import access_keys as key_queries
from appdb._queries import refresh_tokens as token_queries
from appdb._queries import users as queries
from appdb._queries.paging import NEWEST_ID_FIRST
from appdb.errors import ConflictError, NotFoundError
from appdb.models.access_keys import NewKey
from appdb.models.users import Login, NewUser, Role, User
from appdb.reading import page_of
from appdb.users.access_keys import AccessKeys
from appdb.users.identity import checked_hash, email_key, identity_fields, role_names, username_key
from appdb.users.sessions import RefreshTokens
from appdb.utils import uuid7_floor, uuid7_str

USER_PREFIX = "usr_"


class UserRepository(AccessKeys, RefreshTokens):
    """People, their access keys and their sessions.

    Passwords are the host's matter: it hashes them, and what is stored here is an opaque hash, which only ``login`` and
    nothing else gives back. Nothing here checks who asks: a host allows ``set_roles`` and the like to whom it may.

    While no primary answers, methods are retried for the database's retry timeout; ``create_guest``, ``create_key`` and
    ``sign_in`` leave that to their caller, since their secrets are told once.
    """

    @retried
    async def create(self, user: NewUser, *, session: Session | None = None) -> User:
        """Make a user and return it; one round trip.

        Repeating it with the same id and names returns the user as they are by now.

        Raises:
            ConflictError: The username, the e-mail address or the id is somebody's.
            InvalidDataError: A value is none; the message says which.
        """
        fields = identity_fields(user) | {"is_guest": False, "is_active": True}
        match, update = queries.create(user.user_id, fields)
        row = await self._put(match, update, session)
        if not _same_names(row, fields):
            raise ConflictError("user", user.user_id, "exists by another name; make a new id")
        return User.from_document(row)

    @translates_errors
    async def create_guest(self, *, session: Session | None = None) -> NewKey:
        """Make a user who has nothing but one key, and return the key; one transaction of three round trips."""
        fields = {"is_guest": True, "is_active": True, "roles": [str(Role.USER)]}
        match, update = queries.create(uuid7_str(USER_PREFIX), fields)

        async def body(joined: Session) -> NewKey:
            row = await self._users.find_one_and_update(
                match, update, upsert=True, return_document=AFTER, session=joined
            )
            return await self._first_key(row, joined)

        return await self._connection.joined(body, session)

    @retried
    async def count_guests(self, *, within: timedelta, at_most: int) -> int:
        """Return how many guests were made *within* that time until now, by their ids, counted up to *at_most*.

        Two round trips. Who has become a full user since is no guest any more.
        """
        floor = uuid7_floor(USER_PREFIX, await self._connection.server_time() - within)
        return int(await self._users.count_documents(queries.guests_from(floor), limit=max(at_most, 1)))

    @retried
    async def upgrade_guest(self, user: NewUser, *, session: Session | None = None) -> User:
        """Make a full user of the guest ``user.user_id`` and return it; keys and documents stay theirs.

        One round trip, by ``_id``. Repeating it with the same names returns the user as they are by now.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The user is no guest, or the username or the e-mail address is somebody's.
            InvalidDataError: A value is none; the message says which.
        """
        fields = identity_fields(user)
        match, update = queries.guest(user.user_id), queries.upgrade(fields)
        try:
            return await self._change(match, update, session)
        except NotFoundError:
            stored = await self._one(queries.by_id(user.user_id), user.user_id, session)
        if not _same_names(stored, fields):
            raise ConflictError("user", user.user_id, "is no guest; sign in as that user")
        return User.from_document(stored)

    @retried
    async def get(self, user_id: str, *, session: Session | None = None) -> User:
        """Return the user; one round trip, by ``_id``.

        Raises:
            NotFoundError: There is no such user.
        """
        return User.from_document(await self._one(queries.by_id(user_id), user_id, session))

    @retried
    async def by_username(self, username: str, *, session: Session | None = None) -> User:
        """Return the user of this name, however its case is written; one round trip, by index ``users_username``.

        Raises:
            NotFoundError: Nobody has it.
            InvalidDataError: It is no username.
        """
        return User.from_document(await self._one(queries.by_username(username_key(username)), username, session))

    @retried
    async def by_email(self, email: str, *, session: Session | None = None) -> User:
        """Return the user of this address, however its case is written; one round trip, by index ``users_email``.

        Raises:
            NotFoundError: Nobody has it.
            InvalidDataError: It is no address.
        """
        return User.from_document(await self._one(queries.by_email(email_key(email)), email, session))

    @retried
    async def login(self, name: str, *, session: Session | None = None) -> Login:
        """Return the active user of this username or e-mail address, and the hash to check a password against.

        One round trip, by index ``users_username`` or ``users_email``. Let a password be hashed for a name that is
        nobody's too, so that the time does not tell.

        Raises:
            NotFoundError: It is no active user's.
            InvalidDataError: It is neither a username nor an address.
        """
        match = queries.by_email(email_key(name)) if "@" in name else queries.by_username(username_key(name))
        row = await self._users.find_one(match | {"is_active": True}, session=session)
        if row is None:
            raise NotFoundError("active user", name)
        return Login(user=User.from_document(row), password_hash=row.get("password_hash"))

    @retried
    async def page(self, *, before: str | None = None, limit: int = 50, session: Session | None = None) -> list[User]:
        """Return users, newest first; one round trip, by ``_id``. For hosts' administrators.

        Args:
            before: The id of the last user of the page before.
            limit: The most users to return.
            session: The transaction to join.
        """
        users = self._users.find(queries.page(before), queries.WITHOUT_PASSWORD, session=session)
        found = users.sort(NEWEST_ID_FIRST)
        return await page_of(User.from_document, found, limit)

    @retried
    async def set_roles(self, user_id: str, roles: Iterable[Role], *, session: Session | None = None) -> User:
        """Replace the user's roles and return the user; safe to repeat. One round trip, by ``_id``.

        Keys have the new roles at once, and sessions with their next token.

        Raises:
            NotFoundError: There is no such user.
            InvalidDataError: A role is unknown, or none is given.
        """
        return await self._change(queries.by_id(user_id), queries.set_roles(role_names(roles)), session)

    @retried
    async def set_password_hash(
        self, user_id: str, password_hash: str | None, *, session: Session | None = None
    ) -> User:
        """Replace the hash of the user's password, or take the password away; safe to repeat. One round trip.

        Sessions go on: end them with ``revoke_sessions`` in the same transaction when the password was changed.

        Raises:
            NotFoundError: There is no such user.
            InvalidDataError: It is no hash.
        """
        checked = None if password_hash is None else checked_hash(password_hash)
        return await self._change(queries.by_id(user_id), queries.set_password_hash(checked), session)

    @retried
    async def deactivate(self, user_id: str, *, session: Session | None = None) -> User:
        """Switch the user off and return the user; safe to repeat. One transaction of three round trips.

        No key and no refresh token of theirs is accepted once this has returned, since each check looks at the user.
        Their sessions have ended for good; their keys are valid again after ``activate``.

        Raises:
            NotFoundError: There is no such user.
        """

        async def body(joined: Session) -> User:
            user = await self._change(queries.by_id(user_id), queries.set_active(False), joined)
            await self._families.update_many(token_queries.held(user_id), token_queries.revoke(), session=joined)
            return user

        return await self._connection.joined(body, session)

    @retried
    async def activate(self, user_id: str, *, session: Session | None = None) -> User:
        """Let a user who was switched off in again, and return the user; safe to repeat. One round trip, by ``_id``.

        Raises:
            NotFoundError: There is no such user.
        """
        return await self._change(queries.by_id(user_id), queries.set_active(True), session)

    @retried_deletion
    async def delete(self, user_id: str, *, session: Session | None = None) -> None:
        """Delete the user with all keys and sessions; one transaction of four round trips.

        Everything else that the user owns stays and can be found by nobody: tasks and their events, content, schedules,
        workflow runs with all that hangs on them, templates and versions, usage, and the history of options. Delete
        that first, through the repositories that hold it.

        Raises:
            NotFoundError: There is no such user; after an unknown outcome, that they are gone.
        """

        async def body(joined: Session) -> None:
            deleted = await self._users.delete_one(queries.by_id(user_id), session=joined)
            if deleted.deleted_count == 0:
                raise NotFoundError("user", user_id)
            await self._keys.delete_many(key_queries.all_of(user_id), session=joined)
            await self._families.delete_many(token_queries.all_of(user_id), session=joined)

        await self._connection.joined(body, session)

    async def _one(self, match: RawDocument, name: str, session: Session | None) -> RawDocument:
        row: RawDocument | None = await self._users.find_one(match, queries.WITHOUT_PASSWORD, session=session)
        if row is None:
            raise NotFoundError("user", name)
        return row

    async def _put(self, match: RawDocument, update: Any, session: Session | None) -> RawDocument:
        try:
            row: RawDocument = await self._users.find_one_and_update(
                match, update, queries.WITHOUT_PASSWORD, upsert=True, return_document=AFTER, session=session
            )
        except DuplicateKeyError as exc:
            raise _taken(exc, str(match["_id"])) from None
        return row

    async def _change(self, match: RawDocument, update: Any, session: Session | None) -> User:
        try:
            row = await self._users.find_one_and_update(
                match, update, queries.WITHOUT_PASSWORD, return_document=AFTER, session=session
            )
        except DuplicateKeyError as exc:
            raise _taken(exc, str(match["_id"])) from None
        if row is None:
            raise NotFoundError("user", str(match["_id"]))
        return User.from_document(row)


def _taken(exc: DuplicateKeyError, user_id: str) -> ConflictError:
    """Tell which name is taken; the driver's error, which repeats the name, is not passed on."""
    fields = (exc.details or {}).get("keyPattern", {})
    what = "e-mail address" if "email_key" in fields else "username"
    return ConflictError("user", user_id, f"the {what} belongs to somebody else; choose another")


def _same_names(stored: RawDocument, fields: Mapping[str, object]) -> bool:
    return all(stored.get(name) == fields.get(name) for name in ("username_key", "email_key"))
