"""Places in lists whose order changes: a page goes on where the last one ended, wherever its last entry is by now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from appdb.errors import InvalidDataError
from appdb.models.bounds import Name, accept

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLACE = re.compile(r"(\d{1,15}):(.+)", re.ASCII | re.DOTALL)


def place_of(moment: datetime, document_id: str) -> str:
    """Return the place of a document in a list by time, as text without blanks."""
    # An id alone would not do: its document may have moved in the list, or left it, before the next page is asked for.
    return f"{(moment - _EPOCH) // timedelta(milliseconds=1)}:{document_id}"


def parsed_place(text: str, field: str) -> tuple[datetime, str]:
    """Return the time and the id of a place; *field* is what an error calls it.

    Raises:
        InvalidDataError: It is none.
    """
    accept(Name, text, field)
    found = _PLACE.fullmatch(text)
    if found is None:
        raise InvalidDataError(field, "it is no place in this list; give the `place` of the last entry, or nothing")
    return _EPOCH + timedelta(milliseconds=int(found[1])), found[2]
