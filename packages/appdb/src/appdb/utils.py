"""Ids and time: the few helpers that every part shares."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import uuid_utils


def uuid7_str(prefix: str = "") -> str:
    """Return *prefix* followed by the 32 hex digits of a new UUID version 7 (RFC 9562): sortable by its time of making,
    and within a process by its order.

    The time inside can be read by anybody, so an id is a name and never a secret.
    """
    return f"{prefix}{uuid_utils.uuid7().hex}"


def derived_id(prefix: str, *parts: str) -> str:
    """Return an id that is always the same for the same *parts*, so that writing again replaces and never doubles."""
    digest = hashlib.sha256("\x00".join(parts).encode()).hexdigest()
    return f"{prefix}{digest[:32]}"


def utc_now() -> datetime:
    """Return this host's time, aware, in UTC: for display only, since ownership goes by the database's clock."""
    return datetime.now(UTC)


def milliseconds(duration: timedelta) -> int:
    """Return *duration* in whole milliseconds, MongoDB's resolution of time."""
    return duration // timedelta(milliseconds=1)
