"""Documents that no model can read, as other software may write them, beside those that are there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from appdb import Database, UnreadableError
from appdb._driver import RawDocument
from appdb._schema.indexes import INDEXES
from appdb.models.base import Document
from appdb.models.tokens import Usage
from appdb.unreadable import READERS

MODELS: dict[str, type[Document]] = {name: getattr(read, "__self__", Usage) for name, read in READERS.items()}
"""What hosts read: a document that only its whole model refuses harms none of them."""
MARK = "~damaged"


async def damage(database: Database) -> int:
    """Put a damaged twin beside every document that a model reads, and return how many there are."""
    count = 0
    for name, model in MODELS.items():
        rows = [row async for row in database.collection(name).find()]
        for row in rows:
            twin = damaged(name, model, row)
            if twin is not None:
                await database.collection(name).insert_one(twin)
                count += 1
    return count


def damaged(collection: str, model: type[Document], row: RawDocument) -> RawDocument | None:
    """Return a twin of *row* that every query finds too, and that *model* cannot read."""
    twin = _apart(collection, row)
    for field, value in _damages(collection, model, row):
        try:
            model.from_document(twin | {field: value})
        except UnreadableError:
            return twin | {field: value}
    return None


def _apart(collection: str, row: RawDocument) -> RawDocument:
    twin = row | {"_id": f"{row['_id']}{MARK}"}
    for index in INDEXES:
        held = all(name in row for name, _ in index.keys)
        if index.collection != collection or not index.options.get("unique") or not held:
            continue
        last = [name for name, _ in index.keys if isinstance(row.get(name), str | int)][-1:]
        twin |= {name: f"{row[name]}{MARK}" if isinstance(row[name], str) else row[name] + 1_000 for name in last}
    return twin


def _damages(collection: str, model: type[Document], row: RawDocument) -> Iterator[tuple[str, Any]]:
    searched = {key for index in INDEXES if index.collection == collection for key, _ in index.keys}
    stored = [name for name in model.model_fields if name in row]
    for name in stored:
        if name not in searched and name != "id":
            yield name, {"damaged": [None]}
            yield name, "damaged"
