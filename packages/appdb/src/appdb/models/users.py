"""Users, their access keys and their sign-ins: only digests of secrets are stored, and no secret is ever shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import Field, SkipValidation

from appdb.models.base import Document
from appdb.models.bounds import STRICT, AnyText, Duration, Name
from appdb.utils import uuid7_str


class Role(StrEnum):
    """What kind of user somebody is."""

    USER = "user"
    """Sees and changes what is their own."""
    ADMIN = "admin"
    """May also look after others; what that means is the host's to say."""


class User(Document):
    """Somebody who owns documents, as stored in ``users``; the password's hash is stored beside it and never here."""

    is_guest: bool
    """A guest has no name and no password: whoever holds the key is the guest."""
    is_active: bool = True
    """Nothing that proves an inactive user is accepted: no key, no refresh token."""
    created_at: datetime
    username: str | None = None
    """As the user writes it; unique without regard to case."""
    email: str | None = None
    """As the user writes it; unique without regard to case."""
    roles: tuple[str, ...] = (Role.USER,)
    """Members of ``Role``; a newer release may know more of them."""
    last_sign_in_at: datetime | None = None


class KeyInfo(Document):
    """What may be shown of an access key; ``id`` is its public part."""

    user_id: str
    is_active: bool = True
    """Whether it was not revoked."""
    created_at: datetime
    expires_at: datetime | None = None
    name: str = ""
    scopes: tuple[str, ...] | None = None
    """What the key may do, such as ``tasks:read``; ``None`` means all that its user may."""
    last_used_at: datetime | None = None
    """Right to a minute."""
    revoked_at: datetime | None = None


class AccessKey(KeyInfo):
    """A credential of a user, as stored in ``access_keys``; the secret itself is nowhere."""

    digest: str = Field(repr=False)
    """SHA-256 of the secret, in hex; the secret has 256 random bits, so a plain hash is enough."""


class RevokedBecause(StrEnum):
    """Why a session ended before its time."""

    SIGNED_OUT = "signed_out"
    """Its user, or somebody who may, ended it."""
    REUSE = "reuse"
    """A token of it was used again after it had been rotated, so two parties held it."""


class UserSession(Document):
    """What may be shown of a session: a sign-in, and all the refresh tokens that came of it."""

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


class RefreshFamily(UserSession):
    """A session as stored in ``refresh_tokens``: one document for the whole family, so every change of it is atomic."""

    proof: str = Field(repr=False)
    """SHA-256 of what all tokens of the family share, which tells a token that was used up from an invented one."""
    live: tuple[str, ...] = Field(repr=False)
    """SHA-256 of the tokens that can be rotated: one, or as many as tabs refreshed at the same time."""
    previous: str | None = Field(default=None, repr=False)
    """SHA-256 of the token that was rotated last."""
    rotated_at: datetime
    idle_seconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """What ``UserRepository.create`` and ``upgrade_guest`` need to know.

    Args:
        username: 1 to 64 printable characters without ``@`` and without white space.
        email: An address; it is not checked that it receives mail.
        password_hash: What the caller's password hash function gave, such as argon2's encoded form: 1 to 1,000
            printable ASCII characters. It is stored as it is, and nothing here knows a password.
        roles: What kind of user it is.
        user_id: The id; repeating an unknown outcome with the same one is safe.
    """

    __pydantic_config__ = STRICT
    username: AnyText | None = None
    email: AnyText | None = None
    password_hash: AnyText | None = field(default=None, repr=False)
    roles: Annotated[tuple[Role, ...], SkipValidation] = (Role.USER,)
    user_id: Name = field(default_factory=lambda: uuid7_str("usr_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user, and the hash to check a password against; ``None`` for somebody who has no password."""

    user: User
    password_hash: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. ``secret`` is the whole key and is shown once: only its digest is stored."""

    user_id: str
    key_id: str
    secret: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who an access key belongs to, and what it may do."""

    user_id: str
    key_id: str
    is_guest: bool
    roles: frozenset[str]
    scopes: frozenset[str] | None
    """``None`` means all that the user may."""

    def may(self, scope: str) -> bool:
        """Return whether the key may be used for *scope*, such as ``tasks:read``."""
        return self.scopes is None or scope in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where a sign-in comes from, for its user to recognise; the first 400 characters of each are kept."""

    __pydantic_config__ = STRICT
    user_agent: str = ""
    ip_address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """How long a session lasts.

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
