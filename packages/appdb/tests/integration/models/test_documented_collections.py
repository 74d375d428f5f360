"""The documented examples against what hosts store."""

from __future__ import annotations

from typing import Any

from appdb import Database
from appsupport.documents.collections_page import EXAMPLES, declared_collections
from appsupport.documents.written_documents import write_all

KINDS: tuple[tuple[type, ...], ...] = ((bool,), (int,), (float,), (str,), (bytes,), (list, tuple), (dict,))


async def test_written_documents_match_documented_ones(database: Database) -> None:
    await write_all(database)

    assert declared_collections() <= set(await database.raw.list_collection_names())
    for name in declared_collections():
        stored = _kinds([row async for row in database.collection(name).find({})])
        shown = _kinds([example.document() for example in EXAMPLES if example.collection == name])

        assert stored.keys() <= shown.keys(), f"{name}: an example lacks what is stored"
        assert shown.keys() - stored.keys() <= _optional(name), f"{name}: an example has what nobody stores"
        for field, kinds in stored.items():
            assert not kinds or shown[field] <= kinds, f"{name}: {field} is stored as another type"


def _kinds(documents: list[dict[str, Any]]) -> dict[str, set[str]]:
    """Return which types each field has; null is none of them."""
    found: dict[str, set[str]] = {}
    for document in documents:
        for name, value in document.items():
            found.setdefault(name, set()).update(set() if value is None else {_kind(value)})
    return found


def _kind(value: object) -> str:
    """Name a type as MongoDB has it: text is text, be it of an enumeration or not, and so are numbers of any length."""
    return next((kind[0].__name__ for kind in KINDS if isinstance(value, kind)), type(value).__name__)


def _optional(collection: str) -> set[str]:
    """Return what models have defaults for: it may be missing from a document."""
    models = [example.model for example in EXAMPLES if example.collection == collection and example.model is not None]
    return {
        field.alias or name for model in models for name, field in model.model_fields.items() if not field.is_required()
    }
