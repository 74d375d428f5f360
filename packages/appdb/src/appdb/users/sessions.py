"""Sessions and their refresh tokens: each use rotates the token, and the reuse of an old one ends the session."""

from __future__ import annotations

import re
from datetime import datetime

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import refresh_tokens as queries
from appdb._queries.paging import NEWEST_ID_FIRST
from appdb._queries.refresh_tokens import PresentedToken
from appdb._schema import collections
from appdb.connection import Connection
from appdb.errors import NotFoundError, TokenReuseError
from appdb.models.bounds import accept
from appdb.models.refresh_tokens import Device, Lifetime, NewToken, RefreshFamily, RevokedBecause, UserSession
from appdb.models.users import User
from appdb.reading import page_of
from appdb.users.accounts import UserAccounts
from appdb.users.identity import checked_duration, device_fields, digest_of, new_secret
from appdb.utils import uuid7_str

_TOKEN = re.compile(r"(rt_[0-9a-f]{32})_([A-Za-z0-9_-]{43})([A-Za-z0-9_-]{43})")


class RefreshTokens:
    """Begins, rotates, lists and ends sessions. A token reads ``rt_ID_SECRETS``.

    A session is one document, so each of its changes is atomic, and it never has two outcomes. Its tokens share one
    secret, which proves that a token is of the session, and each has one of its own, which is good for one use. A token
    of the session that is not good any more was used twice: whoever has which copy, the session ends (RFC 9700).

    A client whose answer was lost, or two tabs that refresh at once with the token that they share, may use the same
    token again within 30 s, until one that it was rotated into is used; each time it gets another token. When one of
    those is used, the others are used up with it: what shares a session must share what it stores.
    """

    def __init__(self, connection: Connection, accounts: UserAccounts) -> None:
        self._connection = connection
        self._accounts = accounts
        self._families = connection.collection(collections.REFRESH_TOKENS)

    async def begin_session(
        self, owner_id: str, device: Device, lifetime: Lifetime, session: Session | None
    ) -> NewToken:
        """Begin a session of an active user and return its first token."""
        accept(Lifetime, lifetime, "lifetime")
        for duration in (lifetime.idle, lifetime.absolute):
            checked_duration("lifetime", duration)
        proof, secret = new_secret(), new_secret()
        digests = {"proof": digest_of(proof), "live": [digest_of(secret)], "previous": None}

        async def body(joined: Session) -> NewToken:
            user = User.from_document(await self._accounts.stamp_active(owner_id, "last_sign_in_at", joined))
            now = user.last_sign_in_at or user.created_at
            row = {"_id": uuid7_str("rt_"), "user_id": owner_id} | digests | device_fields(device)
            row |= _times(now, lifetime)
            await self._families.insert_one(row, session=joined)
            return _made(RefreshFamily.from_document(row), user, proof + secret)

        return await self._connection.joined(body, session)

    async def rotate_token(self, token: str, device: Device | None) -> NewToken | None:
        """Return the token that follows *token*, which is used up, or ``None`` if it is good for nothing."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        secret = new_secret()
        update = queries.rotate(_shown(found), digest_of(secret), device_fields(device) if device else {})
        # One atomic update decides, so a stolen token and its victim's cannot both go on (decision 0009).
        row: RawDocument | None = await self._families.find_one_and_update(*update, return_document=AFTER)
        if row is None:
            return None
        family = RefreshFamily.from_document(row)
        if family.revoked_because == RevokedBecause.REUSE:
            raise TokenReuseError(family.user_id, family.id)
        # The update finds every session that the token proves, and refuses a token by giving no other one.
        if digest_of(secret) not in family.live:
            return None
        user = await self._accounts.find_active(family.user_id)
        return None if user is None else _made(family, user, found[2] + secret)

    async def end_session(self, token: str, session: Session | None) -> bool:
        """End the session of a token, be it used up or not, and return whether there is one."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return False
        ended = await self._families.update_one(queries.proved(_shown(found)), queries.revoke(), session=session)
        return ended.matched_count == 1

    async def live_sessions(
        self, owner_id: str, before: str | None, limit: int, session: Session | None
    ) -> list[UserSession]:
        """Return the user's sessions that can be used, newest first."""
        families = self._families.find(queries.page(owner_id, before), queries.WITHOUT_DIGESTS, session=session)
        return await page_of(UserSession.from_document, families.sort(NEWEST_ID_FIRST), limit)

    async def revoke_one(self, session_id: str, owner_id: str, session: Session | None) -> UserSession:
        """End the user's session for good and return it."""
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

    async def revoke_all(self, owner_id: str, but: str | None, session: Session | None) -> int:
        """End all sessions of the user, but one if it is named, and return how many."""
        ended = await self._families.update_many(queries.held(owner_id, but=but), queries.revoke(), session=session)
        return ended.modified_count

    async def delete_sessions_of(self, user_id: str, session: Session) -> None:
        """Delete all sessions of a user."""
        await self._families.delete_many(queries.all_of(user_id), session=session)


def _shown(found: re.Match[str]) -> PresentedToken:
    return PresentedToken(session_id=found[1], proof=digest_of(found[2]), digest=digest_of(found[3]))


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
