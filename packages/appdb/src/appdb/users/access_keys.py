"""Access keys: made, proved, listed, renamed and revoked."""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from appdb._driver import AFTER, RawDocument, Session
from appdb._queries import access_keys as queries
from appdb._queries.paging import NEWEST_ID_FIRST
from appdb._schema import collections
from appdb._schema.access_keys import KEY_RETENTION
from appdb.connection import Connection
from appdb.errors import ConflictError, NotFoundError
from appdb.models.access_keys import Caller, KeyInfo, NewKey
from appdb.models.base import Document, Value
from appdb.models.users import Role
from appdb.reading import readable
from appdb.users.accounts import UserAccounts
from appdb.users.identity import checked_duration, checked_key_name, checked_scopes, digest_of, new_secret
from appdb.users.key_usage import KeyUsage
from appdb.utils import uuid7_str

KEY_PREFIX = "app"
"""Leads every key, so that scanners for leaked secrets can find ours."""
MAX_KEYS = 50
"""The most keys that a user has at a time, revoked ones not counted."""
_KEY = re.compile(KEY_PREFIX + r"_([0-9a-f]{32})_([A-Za-z0-9_-]{43})")
# Compared with when no key is found, so that a check always compares.
_NOBODY = digest_of(new_secret())


class AccessKeys:
    """Makes, proves, lists, renames and revokes access keys. A key reads ``app_ID_SECRET``.

    It is found by its id, which is public and so has no prefix of its own, and proved by its secret's digest.
    """

    def __init__(self, connection: Connection, accounts: UserAccounts) -> None:
        self._connection = connection
        self._accounts = accounts
        self._keys = connection.collection(collections.ACCESS_KEYS)
        self._key_usage = KeyUsage(self._keys)

    async def make_key(
        self,
        owner_id: str,
        name: str,
        scopes: Sequence[str] | None,
        expires_in: timedelta | None,
        session: Session | None,
    ) -> NewKey:
        """Make another key of an active user and return it."""
        if expires_in is not None:
            checked_duration("expires_in", expires_in)
        fields = {"user_id": owner_id, "name": checked_key_name(name), "scopes": checked_scopes(scopes)}
        secret = new_secret()

        async def body(joined: Session) -> NewKey:
            user = await self._accounts.stamp_active(owner_id, "keys_changed_at", joined)
            # Exact also in a race: the stamp before it puts transactions that make keys of a user in line.
            held = await self._keys.count_documents(queries.held(owner_id), limit=MAX_KEYS, session=joined)
            if held >= MAX_KEYS:
                raise ConflictError("user", owner_id, f"has {MAX_KEYS} keys, the most there can be; revoke one first")
            row = _row(fields, secret, user["keys_changed_at"], expires_in)
            await self._keys.insert_one(row, session=joined)
            return _made(row, secret)

        return await self._connection.joined(body, session)

    async def make_first_key(self, user: RawDocument, session: Session) -> NewKey:
        """Make the key of a user that the caller's transaction has just made."""
        secret = new_secret()
        fields = {"user_id": user["_id"], "name": "", "scopes": None}
        row = _row(fields, secret, user["created_at"], None)
        await self._keys.insert_one(row, session=session)
        return _made(row, secret)

    async def prove_key(self, key: str) -> Caller | None:
        """Return who an active user's active key belongs to, or ``None``."""
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        key_id, digest = found[1], digest_of(found[2])
        rows = await self._keys.aggregate(queries.proved(key_id, digest)).to_list(1)
        # Also for a key that is not there, so that the time does not tell which ids exist.
        if not hmac.compare_digest(rows[0]["digest"] if rows else _NOBODY, digest):
            return None
        caller = _Proved.from_document(rows[0]).caller()
        if rows[0]["stale"]:
            self._key_usage.note_use(key_id)
        return caller

    async def held_keys(self, owner_id: str, session: Session | None) -> list[KeyInfo]:
        """Return the user's keys that were not revoked, newest first."""
        found = self._keys.find(queries.held(owner_id), queries.WITHOUT_DIGEST, session=session)
        rows = await found.sort(NEWEST_ID_FIRST).to_list(None)
        return readable(KeyInfo.from_document, rows)

    async def rename_held(self, key_id: str, name: str, owner_id: str, session: Session | None) -> KeyInfo:
        """Give the user's key another name and return it."""
        match = queries.owned_and_active(key_id, owner_id)
        return await self._change_key(match, queries.rename(checked_key_name(name)), key_id, session)

    async def revoke_held(self, key_id: str, owner_id: str, session: Session | None) -> KeyInfo:
        """End the user's key for good and return it."""
        return await self._change_key(queries.owned(key_id, owner_id), queries.revoke(), key_id, session)

    async def delete_keys_of(self, user_id: str, session: Session) -> None:
        """Delete all keys of a user."""
        await self._keys.delete_many(queries.all_of(user_id), session=session)

    async def _change_key(self, match: RawDocument, update: Any, key_id: str, session: Session | None) -> KeyInfo:
        row: RawDocument | None = await self._keys.find_one_and_update(
            match, update, queries.WITHOUT_DIGEST, return_document=AFTER, session=session
        )
        if row is None:
            raise NotFoundError("access key", key_id)
        return KeyInfo.from_document(row)


def _row(fields: RawDocument, secret: str, now: datetime, expires_in: timedelta | None) -> RawDocument:
    times = {} if expires_in is None else {"purge_at": now + expires_in + KEY_RETENTION}
    return {
        "_id": uuid7_str(),
        **fields,
        "digest": digest_of(secret),
        "is_active": True,
        "created_at": now,
        "expires_at": None if expires_in is None else now + expires_in,
        **times,
    }


def _made(row: RawDocument, secret: str) -> NewKey:
    whole = f"{KEY_PREFIX}_{row['_id']}_{secret}"
    return NewKey(user_id=row["user_id"], key_id=row["_id"], secret=whole, expires_at=row["expires_at"])


class _Holder(Value):
    """The user of a key, as far as a check needs it."""

    is_guest: bool
    roles: frozenset[str] = frozenset({Role.USER})


class _Proved(Document):
    """A proved key with its user."""

    user_id: str
    scopes: frozenset[str] | None = None
    user: _Holder

    def caller(self) -> Caller:
        """Return who shows the key."""
        return Caller(
            user_id=self.user_id,
            key_id=self.id,
            is_guest=self.user.is_guest,
            roles=self.user.roles,
            scopes=self.scopes,
        )
