"""What hosts store against the documented examples and the models."""

from __future__ import annotations

from typing import Any

from appdb import Database
from appdb.utils import uuid7_str
from appsupport.documents.collections_page import EXAMPLES, declared_collections
from appsupport.documents.stored_fields import models_of, unknown_fields
from appsupport.documents.written_documents import write_all
from appsupport.scenarios.scenario import Stage
from appsupport.scenarios.table import SCENARIOS, made_for

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


async def test_stored_fields_stand_in_models(database: Database) -> None:
    await write_all(database)
    for scenario in SCENARIOS.values():
        stage = Stage(database=database, owner=uuid7_str("usr_"))
        made = await scenario.prepare(stage)
        await scenario.call(made_for(scenario, database), made, stage.owner)

    unknown = {
        f"{name}.{field}"
        for name in declared_collections()
        async for row in database.collection(name).find({})
        for field in unknown_fields(name, row)
    }
    assert unknown == set(), "give the field to the model of its collection in appdb/models"


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
    """Return the fields that may be missing from a document, or that not every kind of document has."""
    models = [
        {field.alias or name: field.is_required() for name, field in model.model_fields.items()}
        for model in models_of(collection)
    ]
    return {name for model in models for name in model if not all(other.get(name, False) for other in models)}
