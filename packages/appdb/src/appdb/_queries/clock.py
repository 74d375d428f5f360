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


def number(field: str) -> dict[str, Any]:
    """Return the expression for *field*, such as ``$attempt``, and 0 where other software has left no number there.

    One document on which an expression fails would end the statement for all behind it.
    """
    return {"$cond": [{"$isNumber": field}, field, 0]}


def array(field: str) -> dict[str, Any]:
    """Return the expression for *field*, and an empty array where there is none."""
    return {"$cond": [{"$isArray": field}, field, []]}


def literal(value: object) -> dict[str, object]:
    """Return *value* as text to a pipeline: what a user wrote must never be read as an expression or a field path."""
    return {"$literal": value}
