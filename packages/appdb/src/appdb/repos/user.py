"""UserRepository: users, their access keys and their sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from appdb._driver import Session, retried, retried_deletion, translates_errors
from appdb._queries import users as queries
from appdb.base import BaseRepository
from appdb.connection import Connection
from appdb.models.access_keys import Caller, KeyInfo, NewKey
from appdb.models.refresh_tokens import Device, Lifetime, NewToken, UserSession
from appdb.models.users import Login, NewUser, Role, User
from appdb.users.access_keys import AccessKeys
from appdb.users.accounts import UserAccounts
from appdb.users.identity import checked_hash, email_key, role_names, username_key
from appdb.users.sessions import RefreshTokens


class UserRepository(BaseRepository):
    """Users, their access keys and their sessions.

    Passwords are the host's matter: it hashes them, and what is stored here is an opaque hash, which only ``login`` and
    nothing else gives back. Nothing here checks who asks: a host allows ``set_roles`` and the like to whom it may.

    While no primary answers, methods are retried for the database's retry timeout; ``create_guest``, ``create_key`` and
    ``sign_in`` leave that to their caller, since their secrets are told once.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._accounts = UserAccounts(connection)
        self._keys = AccessKeys(connection, self._accounts)
        self._sessions = RefreshTokens(connection, self._accounts)

    @retried
    async def create(self, user: NewUser, *, session: Session | None = None) -> User:
        """Make a user and return it; one round trip.

        Repeating it with the same id and names returns the user as they are by now.

        Raises:
            ConflictError: The username, the e-mail address or the id is somebody's.
            InvalidDataError: A value is none; the message says which.
        """
        return await self._accounts.create_account(user, session)

    @translates_errors
    async def create_guest(self, *, session: Session | None = None) -> NewKey:
        """Make a user who has nothing but one key, and return the key; one transaction of three round trips."""

        async def body(joined: Session) -> NewKey:
            guest = await self._accounts.create_guest_account(joined)
            return await self._keys.make_first_key(guest, joined)

        return await self._connection.joined(body, session)

    @retried
    async def count_guests(self, *, within: timedelta, at_most: int) -> int:
        """Return how many guests were made *within* that time until now, by their ids, counted up to *at_most*.

        Two round trips. Who has become a full user since is no guest any more.
        """
        return await self._accounts.count_new_guests(within, at_most)

    @retried
    async def upgrade_guest(self, user: NewUser, *, session: Session | None = None) -> User:
        """Make a full user of the guest ``user.user_id`` and return it; keys and documents stay theirs.

        One round trip, by ``_id``. Repeating it with the same names returns the user as they are by now.

        Raises:
            NotFoundError: There is no such user.
            ConflictError: The user is no guest, or the username or the e-mail address is somebody's.
            InvalidDataError: A value is none; the message says which.
        """
        return await self._accounts.upgrade_guest_account(user, session)

    @retried
    async def get(self, user_id: str, *, session: Session | None = None) -> User:
        """Return the user; one round trip, by ``_id``.

        Raises:
            NotFoundError: There is no such user.
        """
        return await self._accounts.find_account(queries.by_id(user_id), user_id, session)

    @retried
    async def by_username(self, username: str, *, session: Session | None = None) -> User:
        """Return the user of this name, however its case is written; one round trip, by index ``users_username``.

        Raises:
            NotFoundError: Nobody has it.
            InvalidDataError: It is no username.
        """
        match = queries.by_username(username_key(username))
        return await self._accounts.find_account(match, username, session)

    @retried
    async def by_email(self, email: str, *, session: Session | None = None) -> User:
        """Return the user of this address, however its case is written; one round trip, by index ``users_email``.

        Raises:
            NotFoundError: Nobody has it.
            InvalidDataError: It is no address.
        """
        return await self._accounts.find_account(queries.by_email(email_key(email)), email, session)

    @retried
    async def login(self, name: str, *, session: Session | None = None) -> Login:
        """Return the active user of this username or e-mail address, and the hash to check a password against.

        One round trip, by index ``users_username`` or ``users_email``. Let a password be hashed for a name that is
        nobody's too, so that the time does not tell.

        Raises:
            NotFoundError: It is no active user's.
            InvalidDataError: It is neither a username nor an address.
        """
        return await self._accounts.find_login(name, session)

    @retried
    async def page(self, *, before: str | None = None, limit: int = 50, session: Session | None = None) -> list[User]:
        """Return users, newest first; one round trip, by ``_id``. For hosts' administrators.

        Args:
            before: The id of the last user of the page before.
            limit: The most users to return.
            session: The transaction to join.
        """
        return await self._accounts.page_of_accounts(before, limit, session)

    @retried
    async def set_roles(self, user_id: str, roles: Iterable[Role], *, session: Session | None = None) -> User:
        """Replace the user's roles and return the user; safe to repeat. One round trip, by ``_id``.

        Keys have the new roles at once, and sessions with their next token.

        Raises:
            NotFoundError: There is no such user.
            InvalidDataError: A role is unknown, or none is given.
        """
        return await self._accounts.change_account(
            queries.by_id(user_id), queries.set_roles(role_names(roles)), session
        )

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
        return await self._accounts.change_account(queries.by_id(user_id), queries.set_password_hash(checked), session)

    @retried
    async def deactivate(self, user_id: str, *, session: Session | None = None) -> User:
        """Switch the user off and return the user; safe to repeat. One transaction of three round trips.

        No key and no refresh token of theirs is accepted once this has returned, since each check looks at the user.
        Their sessions have ended for good; their keys are valid again after ``activate``.

        Raises:
            NotFoundError: There is no such user.
        """

        async def body(joined: Session) -> User:
            user = await self._accounts.change_account(queries.by_id(user_id), queries.set_active(False), joined)
            await self._sessions.revoke_all(user_id, None, joined)
            return user

        return await self._connection.joined(body, session)

    @retried
    async def activate(self, user_id: str, *, session: Session | None = None) -> User:
        """Let a user who was switched off in again, and return the user; safe to repeat. One round trip, by ``_id``.

        Raises:
            NotFoundError: There is no such user.
        """
        return await self._accounts.change_account(queries.by_id(user_id), queries.set_active(True), session)

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
            await self._accounts.delete_account(user_id, joined)
            await self._keys.delete_keys_of(user_id, joined)
            await self._sessions.delete_sessions_of(user_id, joined)

        await self._connection.joined(body, session)

    @translates_errors
    async def create_key(
        self,
        *,
        owner_id: str,
        name: str,
        scopes: Sequence[str] | None = None,
        expires_in: timedelta | None = None,
        session: Session | None = None,
    ) -> NewKey:
        """Make another key of the user and return it: the only time that it can be seen.

        One transaction, so that of any number of calls at once no more succeed than the limit allows: four round
        trips. After an unknown outcome make another one: a key that nobody saw can be revoked, and proves nothing.

        Args:
            owner_id: Whose key; an active user.
            name: What the user calls it: 1 to 100 printable characters.
            scopes: What it may do, such as ``tasks:read``; ``None`` means all that its user may.
            expires_in: How long it is valid, by the database's clock; ``None`` means until it is revoked.
            session: The transaction to join.

        Raises:
            NotFoundError: There is no such active user.
            ConflictError: The user has 50 keys that are not revoked.
            InvalidDataError: A name, a scope or the time is none.
        """
        return await self._keys.make_key(owner_id, name, scopes, expires_in, session)

    @retried
    async def authenticate(self, key: str) -> Caller | None:
        """Return who an active user's active key belongs to, or ``None``; one round trip, by ``_id``.

        Wrong, unknown, revoked and expired keys, and those of users who are switched off, look alike and take the
        same time. That the key was used is noted at most once a minute, later, and nobody waits for it.
        """
        return await self._keys.prove_key(key)

    @retried
    async def user_of_key(self, key: str) -> str | None:
        """Return the id of the user whose active key this is, or ``None``; otherwise as ``authenticate``."""
        caller = await self.authenticate(key)
        return None if caller is None else caller.user_id

    @retried
    async def keys(self, *, owner_id: str, session: Session | None = None) -> list[KeyInfo]:
        """Return the user's keys that were not revoked, newest first, expired ones too; at most 50.

        One round trip, by index ``access_keys_held``. Another's and a missing user's list is empty.
        """
        return await self._keys.held_keys(owner_id, session)

    @retried
    async def rename_key(self, key_id: str, name: str, *, owner_id: str, session: Session | None = None) -> KeyInfo:
        """Give the user's key another name and return it; safe to repeat. One round trip, by ``_id``.

        Raises:
            NotFoundError: The user has no such key, or it was revoked.
            InvalidDataError: It is no name.
        """
        return await self._keys.rename_held(key_id, name, owner_id, session)

    @retried
    async def revoke_key(self, key_id: str, *, owner_id: str, session: Session | None = None) -> KeyInfo:
        """End the user's key for good and return it; safe to repeat. One round trip, by ``_id``.

        It proves nothing to any host once this has returned, and is deleted a month later.

        Raises:
            NotFoundError: The user has no such key.
        """
        return await self._keys.revoke_held(key_id, owner_id, session)

    @translates_errors
    async def sign_in(
        self,
        *,
        owner_id: str,
        device: Device | None = None,
        lifetime: Lifetime | None = None,
        session: Session | None = None,
    ) -> NewToken:
        """Begin a session of an active user, whom the caller has made sure of, and return its first token.

        One transaction of three round trips. After an unknown outcome sign in again: a session whose token nobody saw
        ends by itself.

        Args:
            owner_id: Who signs in.
            device: Where from, for the user to recognise.
            lifetime: How long it lasts; 30 days without use and 90 in all unless given.
            session: The transaction to join.

        Raises:
            NotFoundError: There is no such active user.
            InvalidDataError: The lifetime is shorter than a second or longer than ten years.
        """
        return await self._sessions.begin_session(owner_id, device or Device(), lifetime or Lifetime(), session)

    @retried
    async def rotate(self, token: str, *, device: Device | None = None) -> NewToken | None:
        """Return the token that follows *token*, which is used up, or ``None`` if it is good for nothing.

        Two round trips, by ``_id``: one that decides and changes everything at once, and one for the user. Safe to
        repeat with the same token after an unknown outcome, for 30 s. It joins no transaction: what it finds out about
        a stolen token must not be rolled back.

        Args:
            token: What ``sign_in`` or ``rotate`` gave.
            device: Where it is used now; ``None`` leaves what is known.

        Raises:
            TokenReuseError: The session has ended because a token of it was used again.
        """
        return await self._sessions.rotate_token(token, device)

    @retried
    async def sign_out(self, token: str, *, session: Session | None = None) -> bool:
        """End the session of a token, be it used up or not, and return whether there is one; safe to repeat.

        One round trip, by ``_id``. No token of the session is good for anything once this has returned.
        """
        return await self._sessions.end_session(token, session)

    @retried
    async def sessions(
        self, *, owner_id: str, before: str | None = None, limit: int = 50, session: Session | None = None
    ) -> list[UserSession]:
        """Return the user's sessions that can be used, newest first; one round trip, by index ``refresh_tokens_live``.

        Args:
            owner_id: Whose sessions.
            before: The id of the last session of the page before.
            limit: The most sessions to return.
            session: The transaction to join.
        """
        return await self._sessions.live_sessions(owner_id, before, limit, session)

    @retried
    async def revoke_session(self, session_id: str, *, owner_id: str, session: Session | None = None) -> UserSession:
        """End the user's session for good and return it; safe to repeat. One round trip, by ``_id``.

        No token of the session is good for anything once this has returned.

        Raises:
            NotFoundError: The user has no such session.
        """
        return await self._sessions.revoke_one(session_id, owner_id, session)

    @retried
    async def revoke_sessions(self, *, owner_id: str, but: str | None = None, session: Session | None = None) -> int:
        """End all sessions of the user and return how many; safe to repeat, and to be done after an unknown outcome.

        One round trip, by index ``refresh_tokens_live``.

        Args:
            owner_id: Whose sessions.
            but: The id of the session that goes on, such as the one that asks.
            session: The transaction to join.
        """
        return await self._sessions.revoke_all(owner_id, but, session)
