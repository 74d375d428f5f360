"""The database's clock in update pipelines: the only clock that decides ownership."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from appdb.utils import milliseconds

NOW = "$$NOW"
FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


def from_now(duration: timedelta) -> dict[str, Any] | str:
    """Return the expression for *duration* after the server's now."""
    if not duration:
        return NOW
    return {"$dateAdd": {"startDate": NOW, "unit": "millisecond", "amount": milliseconds(duration)}}
