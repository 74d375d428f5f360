"""Ids and time: the few helpers that every part shares."""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from appdb._uuid7 import COUNTER, RANDOM_BITS, uuid7_of


def uuid7_str(prefix: str = "") -> str:
    """Return *prefix* followed by the 32 hex digits of a new UUID version 7 (RFC 9562): sortable by its time of making,
    and within a process by its order; never ahead of this host's clock unless that goes back.

    The time inside can be read by anybody, so an id is a name and never a secret.
    """
    return f"{prefix}{COUNTER.next().hex}"


def uuid7_at(prefix: str, moment: datetime) -> str:
    """Return what ``uuid7_str`` returns, made at *moment*: for a time that another clock has told."""
    return f"{prefix}{uuid7_of(int(moment.timestamp() * 1000), secrets.randbits(RANDOM_BITS)).hex}"


def uuid7_floor(prefix: str, moment: datetime) -> str:
    """Return the text below which every id lies that was made before *moment*."""
    return f"{prefix}{int(moment.timestamp() * 1000):012x}"


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
