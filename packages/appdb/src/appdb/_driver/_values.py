"""Values that the driver stores or reads in a form of its own."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bson import DBRef, Decimal128, Int64
from bson.codec_options import DatetimeConversion, TypeDecoder, TypeRegistry


class _Reference(TypeDecoder):
    """An object with ``$ref`` and ``$id``, which drivers turn into a reference to another document."""

    bson_type = DBRef

    def transform_bson(self, value: DBRef) -> dict[str, Any]:
        return dict(value.as_doc())


class _Integer(TypeDecoder):
    """A number of 64 bits, which drivers wrap in a type that other libraries do not take for a number."""

    bson_type = Int64

    def transform_bson(self, value: Int64) -> int:
        return int(value)


# Decision 0019: one such value in a batch hides its neighbours before any model sees them.
READING: Mapping[str, Any] = {
    "type_registry": TypeRegistry([_Reference(), _Integer()]),
    "datetime_conversion": DatetimeConversion.DATETIME_CLAMP,
    "unicode_decode_error_handler": "replace",
}
"""How every client reads documents: what a stranger wrote comes back as it was written, a time after the year 9999 as
the last one there is, and text that is no UTF-8 with its broken bytes replaced. It is said to the driver, which is the
one place that no field, collection, stream or answer can be forgotten in; and one such value in a batch would hide its
neighbours before any model sees them."""


def stored_decimal(value: Decimal) -> Decimal128:
    """Return the stored form of *value*, in which the server adds exactly, up to 34 digits."""
    return Decimal128(value)


def decimal_of(stored: Any) -> Any:
    """Return what ``stored_decimal`` stored; a sum of nothing is an integer, and anything else is for the model."""
    if isinstance(stored, Decimal128):
        return stored.to_decimal()
    return Decimal(stored) if isinstance(stored, int) else stored
