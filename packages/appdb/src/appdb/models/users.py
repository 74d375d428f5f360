"""Users: owners of documents. Only digests of their secrets are stored, and no secret is ever shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, SkipValidation

from appdb.models.base import Document
from appdb.models.bounds import STRICT, AnyText, Name
from appdb.utils import uuid7_str


class Role(StrEnum):
    """A kind of user."""

    USER = "user"
    """Sees and changes what is their own."""
    ADMIN = "admin"
    """May also look after others; what that means is the host's to say."""


class User(Document):
    """A user: the owner of documents, as stored in ``users``, without the password's hash."""

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


class UserDocument(User):
    """The whole document in ``users``, with what is looked up by and never shown."""

    username_key: str | None = None
    """The name as it is compared; unique."""
    email_key: str | None = None
    """The address as it is compared; unique."""
    password_hash: str | None = Field(default=None, repr=False)
    keys_changed_at: datetime | None = None
    """When a key was last made; it makes a new key and the user's deletion wait for one another."""
    upgraded_at: datetime | None = None
    """When the guest became a full user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewUser:
    """A user to make with ``UserRepository.create`` or ``upgrade_guest``.

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
    # Hashing is the host's: appdb knows no password, so it cannot leak one.
    password_hash: AnyText | None = field(default=None, repr=False)
    roles: Annotated[tuple[Role, ...], SkipValidation] = (Role.USER,)
    user_id: Name = field(default_factory=lambda: uuid7_str("usr_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user, and the hash to check a password against; ``None`` for somebody who has no password."""

    user: User
    password_hash: str | None = field(repr=False)
