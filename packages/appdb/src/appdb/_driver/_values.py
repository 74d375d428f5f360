"""Values that the driver stores or reads in a form of its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bson import DBRef, Decimal128


def plain(value: object) -> object:
    """Return a stored *value* as it was written: drivers turn an object with ``$ref`` and ``$id`` into a reference."""
    if isinstance(value, DBRef):
        value = value.as_doc()
    if isinstance(value, Mapping):
        return {key: plain(found) for key, found in value.items()}
    if isinstance(value, list):
        return [plain(found) for found in value]
    return value


def stored_decimal(value: Decimal) -> Decimal128:
    """Return the stored form of *value*, in which the server adds exactly, up to 34 digits."""
    return Decimal128(value)


def decimal_of(stored: Decimal128 | int) -> Decimal:
    """Return what ``stored_decimal`` stored; a server's sum of nothing is an integer."""
    return stored.to_decimal() if isinstance(stored, Decimal128) else Decimal(stored)
