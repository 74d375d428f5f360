"""The database's clock in pipelines: the only clock that decides who owns a task."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from appdb.utils import milliseconds

# Hosts' clocks differ by seconds, and one that is ahead would end other workers' leases.
NOW = "$$NOW"
# The last whole year that Python's `datetime` reads; a comparison with a missing time needs some value.
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def changed_now(field: str) -> dict[str, Any]:
    """Return the expression for the server's now in *field*, or for a millisecond later where it holds that already.

    For a write that is there to be in the way of others: one that changes nothing conflicts with nobody.
    """
    return {"$cond": [{"$eq": [f"${field}", NOW]}, {"$add": [NOW, 1]}, NOW]}


def from_now(duration: timedelta) -> dict[str, Any] | str:
    """Return the expression for *duration* after the server's now."""
    if not duration:
        return NOW
    return {"$dateAdd": {"startDate": NOW, "unit": "millisecond", "amount": milliseconds(duration)}}
