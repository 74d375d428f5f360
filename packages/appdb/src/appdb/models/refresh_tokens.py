"""Sessions: sign-ins, each with the family of refresh tokens that came of it; only digests are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import Field

from appdb.models.base import Document
from appdb.models.bounds import STRICT, Duration


class RevokedBecause(StrEnum):
    """The reason for which a session ended before its time."""

    SIGNED_OUT = "signed_out"
    """Its user, or somebody who may, ended it."""
    REUSE = "reuse"
    """A token of it was used again after it had been rotated, so two parties held it."""


class UserSession(Document):
    """The part of a session that may be shown: a sign-in, with all the refresh tokens that came of it."""

    user_id: str
    created_at: datetime
    last_used_at: datetime
    """When its token was rotated last, or the time of the sign-in."""
    expires_at: datetime
    """When it ends if it is not used until then; never after ``ends_at``."""
    ends_at: datetime
    """When it ends in any case."""
    user_agent: str = ""
    ip_address: str = ""
    revoked_at: datetime | None = None
    revoked_because: str | None = None
    """A member of ``RevokedBecause``."""


# With a document for each token, a rotation could slip between the writes that revoke them (decision 0009).
class RefreshFamily(UserSession):
    """A session as stored in ``refresh_tokens``: one document for the whole family, so every change of it is atomic."""

    # Digests stay out of `repr`, and so out of logs and tracebacks.
    proof: str = Field(repr=False)
    """SHA-256 of what all tokens of the family share, which tells a token that was used up from an invented one."""
    live: tuple[str, ...] = Field(repr=False)
    """SHA-256 of the tokens that can be rotated: one, or as many as tabs refreshed at the same time."""
    previous: str | None = Field(default=None, repr=False)
    """SHA-256 of the token that was rotated last."""
    rotated_at: datetime
    idle_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """The device that signs in, for its user to recognise; the first 400 characters of each field are kept."""

    __pydantic_config__ = STRICT
    user_agent: str = ""
    ip_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """The lifetime of a session.

    Args:
        idle: How long it lasts without being used.
        absolute: How long it lasts at most.
    """

    __pydantic_config__ = STRICT
    idle: Duration = timedelta(days=30)
    absolute: Duration = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A refresh token just made. ``token`` is shown once: only digests are stored."""

    user_id: str
    session_id: str
    """The id of the family, which ``sessions`` lists."""
    roles: frozenset[str]
    expires_at: datetime
    token: str = field(repr=False)
