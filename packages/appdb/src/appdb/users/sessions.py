"""Refresh tokens: a sign-in begins a session, each use rotates its token, and using an old one ends it."""

from __future__ import annotations

import re
from datetime import datetime

from appdb._driver import AFTER, RawDocument, Session, retried, translates_errors
from appdb._queries import refresh_tokens as queries
from appdb._queries import users as user_queries
from appdb._queries.paging import NEWEST_ID_FIRST
from appdb._queries.refresh_tokens import Shown
from appdb.errors import NotFoundError, TokenReuseError
from appdb.models.bounds import accept
from appdb.models.refresh_tokens import Device, Lifetime, NewToken, RefreshFamily, RevokedBecause, UserSession
from appdb.models.users import User
from appdb.reading import page_of
from appdb.users.identity import checked_duration, device_fields, digest_of, new_secret
from appdb.users.rows import UserRows
from appdb.utils import uuid7_str

_TOKEN = re.compile(r"(rt_[0-9a-f]{32})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{43})")


class RefreshTokens(UserRows):
    """The part of ``UserRepository`` about sessions. A token reads ``rt_ID_SECRETS``.

    A session is one document, so each of its changes is atomic, and it never has two outcomes. Its tokens share one
    secret, which proves that a token is of the session, and each has one of its own, which is good for one use. A token
    of the session that is not good any more was used twice: whoever has which copy, the session ends (RFC 9700).

    A client whose answer was lost, or two tabs that refresh at once with the token that they share, may use the same
    token again within 30 s, until one that it was rotated into is used; each time it gets another token. When one of
    those is used, the others are used up with it: what shares a session must share what it stores.
    """

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
        lasts = lifetime or Lifetime()
        accept(Lifetime, lasts, "lifetime")
        for duration in (lasts.idle, lasts.absolute):
            checked_duration("lifetime", duration)
        proof, secret = new_secret(), new_secret()
        digests = {"proof": digest_of(proof), "live": [digest_of(secret)], "previous": None}

        async def body(joined: Session) -> NewToken:
            user = User.from_document(await self._stamp_user(owner_id, "last_sign_in_at", joined))
            now = user.last_sign_in_at or user.created_at
            row = {"_id": uuid7_str("rt_"), "user_id": owner_id} | digests | device_fields(device or Device())
            row |= _times(now, lasts)
            await self._families.insert_one(row, session=joined)
            return _made(RefreshFamily.from_document(row), user, proof + secret)

        return await self._connection.joined(body, session)

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
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        secret = new_secret()
        update = queries.rotate(_shown(found), digest_of(secret), device_fields(device) if device else {})
        row: RawDocument | None = await self._families.find_one_and_update(*update, return_document=AFTER)
        if row is None:
            return None
        family = RefreshFamily.from_document(row)
        if family.revoked_because == RevokedBecause.REUSE:
            raise TokenReuseError(family.user_id, family.id)
        if digest_of(secret) not in family.live:
            return None
        user = await self._users.find_one(user_queries.active(family.user_id), user_queries.WITHOUT_PASSWORD)
        return None if user is None else _made(family, User.from_document(user), found[2] + secret)

    @retried
    async def sign_out(self, token: str, *, session: Session | None = None) -> bool:
        """End the session of a token, be it used up or not, and return whether there is one; safe to repeat.

        One round trip, by ``_id``. No token of the session is good for anything once this has returned.
        """
        found = _TOKEN.fullmatch(token)
        if found is None:
            return False
        ended = await self._families.update_one(queries.proved(_shown(found)), queries.revoke(), session=session)
        return ended.matched_count == 1

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
        families = self._families.find(queries.page(owner_id, before), queries.WITHOUT_DIGESTS, session=session)
        found = families.sort(NEWEST_ID_FIRST)
        return await page_of(UserSession.from_document, found, limit)

    @retried
    async def revoke_session(self, session_id: str, *, owner_id: str, session: Session | None = None) -> UserSession:
        """End the user's session for good and return it; safe to repeat. One round trip, by ``_id``.

        No token of the session is good for anything once this has returned.

        Raises:
            NotFoundError: The user has no such session.
        """
        row: RawDocument | None = await self._families.find_one_and_update(
            queries.owned(session_id, owner_id),
            queries.revoke(),
            queries.WITHOUT_DIGESTS,
            return_document=AFTER,
            session=session,
        )
        if row is None:
            raise NotFoundError("session", session_id)
        return UserSession.from_document(row)

    @retried
    async def revoke_sessions(self, *, owner_id: str, but: str | None = None, session: Session | None = None) -> int:
        """End all sessions of the user and return how many; safe to repeat, and to be done after an unknown outcome.

        One round trip, by index ``refresh_tokens_live``.

        Args:
            owner_id: Whose sessions.
            but: The id of the session that goes on, such as the one that asks.
            session: The transaction to join.
        """
        ended = await self._families.update_many(queries.held(owner_id, but=but), queries.revoke(), session=session)
        return ended.modified_count


def _shown(found: re.Match[str]) -> Shown:
    return Shown(session_id=found[1], proof=digest_of(found[2]), digest=digest_of(found[3]))


def _times(now: datetime, lasts: Lifetime) -> RawDocument:
    return {
        "created_at": now,
        "last_used_at": now,
        "rotated_at": now,
        "ends_at": now + lasts.absolute,
        "expires_at": now + min(lasts.idle, lasts.absolute),
        "idle_seconds": int(lasts.idle.total_seconds()),
        "revoked_at": None,
        "revoked_because": None,
    }


def _made(family: RefreshFamily, user: User, secrets: str) -> NewToken:
    return NewToken(
        user_id=user.id,
        session_id=family.id,
        roles=frozenset(user.roles),
        expires_at=family.expires_at,
        token=f"{family.id}_{secrets}",
    )
