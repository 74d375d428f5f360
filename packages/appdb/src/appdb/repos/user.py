"""Users and their access keys."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass

from appdb._driver import RawDocument, Session, translates_errors
from appdb._schema import collections
from appdb.base import BaseRepository
from appdb.models.user import AccessKey, User
from appdb.utils import utc_now, uuid7_str

KEY_PREFIX = "app"
"""Leads every key, so that scanners for leaked secrets can find ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. ``secret`` is shown once: only its digest is stored."""

    user_id: str
    secret: str

    def __repr__(self) -> str:
        return f"NewKey(user_id={self.user_id!r}, secret=<hidden>)"


class UserRepository(BaseRepository):
    """Who may see what. A key reads ``app_ID_SECRET``: found by its id, proved by its secret's digest."""

    @translates_errors
    async def create_guest(self) -> NewKey:
        """Make a user who has nothing but one key, and return the key."""
        user_id, key_id = uuid7_str("usr_"), uuid7_str()
        secret = secrets.token_urlsafe(32)
        now = utc_now()
        user = User(_id=user_id, is_guest=True, created_at=now)
        key = AccessKey(_id=key_id, user_id=user_id, digest=_digest(secret), created_at=now)

        async def body(session: Session) -> None:
            await self._collection(collections.USERS).insert_one(user.to_document(), session=session)
            await self._collection(collections.ACCESS_KEYS).insert_one(key.to_document(), session=session)

        await self._database.transaction(body)
        return NewKey(user_id=user_id, secret=f"{KEY_PREFIX}_{key_id}_{secret}")

    @translates_errors
    async def user_of_key(self, key: str) -> str | None:
        """Return the id of the user whose active key this is, or ``None``: wrong, revoked and expired look alike."""
        prefix, _, rest = key.partition("_")
        key_id, _, secret = rest.partition("_")
        if prefix != KEY_PREFIX or not key_id.isalnum() or not secret.isascii():
            return None
        found: RawDocument | None = await self._collection(collections.ACCESS_KEYS).find_one({"_id": key_id})
        # A missing key costs the same comparison as a wrong one.
        stored = AccessKey.from_document(found) if found else _NOBODY
        proved = hmac.compare_digest(stored.digest, _digest(secret))
        expired = stored.expires_at is not None and stored.expires_at <= utc_now()
        return stored.user_id if proved and stored.is_active and not expired else None


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


_NOBODY = AccessKey(
    _id="", user_id="", digest=_digest(secrets.token_urlsafe(32)), is_active=False, created_at=utc_now()
)
