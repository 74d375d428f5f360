"""Users and their access keys: only digests of secrets are stored."""

from __future__ import annotations

from datetime import datetime

from appdb.models.base import Document


class User(Document):
    """Somebody who owns documents, as stored in ``users``."""

    is_guest: bool
    is_active: bool = True
    created_at: datetime


class AccessKey(Document):
    """A credential of a user, as stored in ``access_keys``; the secret itself is nowhere."""

    user_id: str
    digest: str
    """SHA-256 of the secret, in hex; the secret has 256 random bits, so a plain hash is enough."""
    is_active: bool = True
    created_at: datetime
    expires_at: datetime | None = None
