"""Access keys: credentials of users, of which only digests are stored."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from pydantic import Field

from appdb.models.base import Document


class KeyInfo(Document):
    """The part of an access key that may be shown; ``id`` is its public part."""

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


# A key and no signed token: a key can be switched off (decision 0004).
class AccessKey(KeyInfo):
    """A credential of a user, as stored in ``access_keys``; the secret itself is nowhere."""

    digest: str = Field(repr=False)
    """SHA-256 of the secret, in hex; the secret has 256 random bits, so a plain hash is enough."""
    purge_at: datetime | None = None
    """When the document disappears; ``None`` for a key that never ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """A key just made. ``secret`` is the whole key and is shown once: only its digest is stored."""

    user_id: str
    key_id: str
    # Out of `repr`, and so out of logs and tracebacks.
    secret: str = field(repr=False)
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The owner of an access key, and what the key may do."""

    user_id: str
    key_id: str
    is_guest: bool
    roles: frozenset[str]
    scopes: frozenset[str] | None
    """``None`` means all that the user may."""

    def may(self, scope: str) -> bool:
        """Return whether the key may be used for *scope*, such as ``tasks:read``."""
        return self.scopes is None or scope in self.scopes
