"""Fields of stored documents against the models of their collections: each one that no model has is found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args, get_origin

from appdb._driver import RawDocument
from appdb.models.base import Value
from appsupport.documents.collections_page import EXAMPLES


def models_of(collection: str) -> list[type[Value]]:
    """Return the models of a collection's documents: one, or one for each kind of document."""
    return [example.model for example in EXAMPLES if example.collection == collection]


def unknown_fields(collection: str, document: RawDocument) -> list[str]:
    """Return the paths in *document* that its model lacks, such as ``lease.color``.

    Where a collection has several models, the one counts that knows most of the document.
    """
    found = [sorted(set(_unknown(model, document, ""))) for model in models_of(collection)]
    return min(found, key=len)


def _unknown(model: type[Value], document: Mapping[str, Any], path: str) -> Iterator[str]:
    known = {field.alias or name: field.annotation for name, field in model.model_fields.items()}
    for name, value in document.items():
        if name not in known:
            yield f"{path}{name}"
            continue
        by_name = get_origin(known[name]) is dict
        for part in _parts(known[name]):
            for each in value.values() if by_name else [value]:
                yield from _unknown_within(part, each, f"{path}{name}.")


def _unknown_within(model: type[Value], value: Any, path: str) -> Iterator[str]:
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, Mapping):
            yield from _unknown(model, each, path)


def _parts(annotation: Any) -> Iterator[type[Value]]:
    """Yield the models of parts that *annotation* names."""
    if isinstance(annotation, type) and issubclass(annotation, Value):
        yield annotation
    for argument in get_args(annotation):
        yield from _parts(argument)
