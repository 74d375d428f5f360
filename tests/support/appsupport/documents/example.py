"""An example of a stored document, and the ids and times that examples share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson import Decimal128

from appdb.models import TaskLimit
from appdb.models.base import Value
from appdb.utils import derived_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A document of a collection.

    Args:
        collection: Where it is.
        what: What a document of it is, in one line.
        model: The model of the whole document.
        values: A value for every field of the model.
    """

    collection: str
    what: str
    model: type[Value]
    values: Mapping[str, Any]

    def missing(self) -> set[str]:
        """Return the fields of the model that have no value here."""
        return self.model.model_fields.keys() - self.values.keys()

    def document(self) -> dict[str, Any]:
        """Return it as it is stored."""
        made = self.model(**self.values).model_dump(by_alias=True)
        return {name: Decimal128(value) if isinstance(value, Decimal) else value for name, value in made.items()}


def at(seconds: float = 0, *, days: float = 0) -> datetime:
    """Return a time so long after the examples' beginning."""
    return datetime(2026, 3, 14, 9, 30, tzinfo=UTC) + timedelta(days=days, seconds=seconds)


def made_id(prefix: str, number: int) -> str:
    """Return an id as ``uuid7_str`` makes them, the same one each time."""
    return f"{prefix}019ceb8a30c07{number:03x}8a1bf2c3d4e5f607"


def sha256(data: bytes) -> str:
    """Return the digest of *data* in hex."""
    return hashlib.sha256(data).hexdigest()


USER, TASK, RUN = made_id("usr_", 1), made_id("tq_", 2), made_id("wf_", 3)
TEMPLATE, VERSION = made_id("tpl_", 4), made_id("ver_", 5)
ROOT, BRANCH, ASKED = made_id("br_", 6), made_id("br_", 7), "media_019ceb8a30c0"
GENERATION, CONTENT = derived_id("cgm_", TASK), derived_id("gc_", TASK, "picture")
BYTES, FILE_BYTES = made_id("file_", 8), made_id("file_", 9)
PICTURE = b"\x89PNG\r\n\x1a\n"
LIMIT = TaskLimit(key="provider:local", concurrency=2, rate=60, per_seconds=60.0)
MADE = {"owner_id": USER, "created_at": at()}
