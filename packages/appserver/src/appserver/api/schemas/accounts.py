"""Schemas of accounts; they hold no digest and no hash."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from appdb.models import Caller, KeyInfo, User

LONGEST_EXPIRY_SECONDS = 10 * 366 * 24 * 3_600


class Guest(BaseModel):
    """A new user; the key is shown this once."""

    user_id: str
    key: str


class Me(BaseModel):
    """The user who asks; ``key_id`` is the public part of the key that was shown."""

    user_id: str
    is_guest: bool
    username: str | None
    email: str | None
    roles: list[str]
    created_at: datetime
    key_id: str

    @classmethod
    def of(cls, user: User, caller: Caller) -> Self:
        """Return the view of *user*, who asks as *caller*."""
        return cls(
            user_id=user.id,
            is_guest=user.is_guest,
            username=user.username,
            email=user.email,
            roles=sorted(caller.roles),
            created_at=user.created_at,
            key_id=caller.key_id,
        )


class KeyName(BaseModel):
    """Another name for a key."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100, description="What its owner calls it; printable characters.")


class KeyRequest(KeyName):
    """A key to make."""

    expires_in_seconds: float | None = Field(
        None, ge=1, le=LONGEST_EXPIRY_SECONDS, description="How long it is valid; null until it is revoked."
    )


class HeldKey(BaseModel):
    """A key of the caller's, without its secret, which is stored nowhere. ``last_used_at`` is right to a minute."""

    id: str
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: KeyInfo) -> Self:
        """Return the view of *key*."""
        return cls.model_validate(key, from_attributes=True)


class HeldKeys(BaseModel):
    """The caller's keys, newest first."""

    items: list[HeldKey]


class MadeKey(BaseModel):
    """A key just made; ``key`` is shown this once, and only its digest is stored."""

    id: str
    key: str
    name: str
    expires_at: datetime | None
