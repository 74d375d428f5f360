"""Differences between declared indexes and those that a collection has: missing, extra, or of another form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from appdb._schema import collections
from appdb._schema.gridfs import MADE_BY_DRIVERS
from appdb._schema.index import Index

Found = Mapping[str, Mapping[str, Any]]
"""The indexes of one collection by name, as ``index_information`` gives them."""

DEFAULTS: dict[str, Any] = {
    "unique": False,
    "sparse": False,
    "hidden": False,
    "partialFilterExpression": None,
    "expireAfterSeconds": None,
    "collation": None,
    "wildcardProjection": None,
}
"""What decides which documents an index holds and who uses it, and what the server takes where nothing is said."""
IDENTITY = tuple(name for name in DEFAULTS if name not in ("hidden", "expireAfterSeconds"))
"""What, beside the keys, lets the server hold two indexes apart."""
OF_ITSELF = "_id_"


class IndexProblem(StrEnum):
    """The way in which an index is not as declared."""

    MISSING = "missing"
    DIFFERENT = "different"
    MISNAMED = "misnamed"
    """It is there under another name, and so cannot be made under its own."""
    EXTRA = "extra"
    """Nothing that appdb runs needs it; it costs memory and every write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexDifference:
    """One index that is not as declared.

    Args:
        collection: The collection's name.
        name: The index's name.
        problem: What is wrong with it.
        detail: What is declared and what is there, for people; empty for a missing one.
        in_the_way: The name of another index that the server takes for this one, and so does not let it be made.
    """

    collection: str
    name: str
    problem: IndexProblem
    detail: str = ""
    in_the_way: str | None = None


def known_collections(declared: Iterable[Index]) -> list[str]:
    """Return the collections that are appdb's: those with a name of ours, of GridFS buckets, and of *declared*."""
    named = {value for name, value in vars(collections).items() if name.isupper() and not name.endswith("_BUCKET")}
    buckets = {value for name, value in vars(collections).items() if name.endswith("_BUCKET")}
    parts = {f"{bucket}{part}" for bucket in buckets for part in MADE_BY_DRIVERS}
    return sorted(named | parts | {index.collection for index in declared})


def differences(declared: Sequence[Index], found: Mapping[str, Found]) -> list[IndexDifference]:
    """Compare what is *declared* with what is *found*, by collection and name.

    Args:
        declared: All declared indexes.
        found: The indexes of each collection to look at; a collection that is not in it has none.

    Returns:
        What differs, in the order of collection and name. ``_id`` and GridFS' own indexes are never extra.
    """
    differing = []
    for name in sorted(found.keys() | {index.collection for index in declared}):
        wanted = {index.name: index for index in declared if index.collection == name}
        differing += _of_collection(name, wanted, found.get(name, {}))
    return differing


def _of_collection(collection: str, wanted: Mapping[str, Index], found: Found) -> list[IndexDifference]:
    strange = {name: found[name] for name in sorted(found.keys() - wanted.keys() - _own_of_server(collection))}
    differing = []
    for name, index in sorted(wanted.items()):
        taken = next((other for other, there in strange.items() if _taken_for(index, there)), None)
        problem, detail = _problem(index, found.get(name), taken)
        if problem is not None:
            strange.pop(taken or "", None)
            differing.append(
                IndexDifference(collection=collection, name=name, problem=problem, detail=detail, in_the_way=taken)
            )
    differing += [
        IndexDifference(collection=collection, name=name, problem=IndexProblem.EXTRA, detail=_shown(_keys(row["key"])))
        for name, row in strange.items()
    ]
    return sorted(differing, key=lambda difference: difference.name)


def _problem(wanted: Index, found: Mapping[str, Any] | None, taken: str | None) -> tuple[IndexProblem | None, str]:
    if found is not None:
        detail = _unlike(wanted, found)
        return (IndexProblem.DIFFERENT, detail) if detail else (None, "")
    if taken is not None:
        return IndexProblem.MISNAMED, f"it is there as {taken}"
    return IndexProblem.MISSING, ""


def _taken_for(wanted: Index, found: Mapping[str, Any]) -> bool:
    """Return whether the server says that *wanted* is there already when *found* is, whatever its name."""
    if _keys(wanted.keys) != _keys(found["key"]):
        return False
    return all(
        _same_option(wanted.options.get(name, DEFAULTS[name]), found.get(name, DEFAULTS[name])) for name in IDENTITY
    )


def _own_of_server(collection: str) -> set[str]:
    return {OF_ITSELF, *(name for part, name in MADE_BY_DRIVERS.items() if collection.endswith(part))}


def _unlike(wanted: Index, found: Mapping[str, Any]) -> str:
    """Return in which parts *found* is not what is *wanted*; empty when it is."""
    parts = []
    if _keys(wanted.keys) != _keys(found["key"]):
        parts.append(f"keys: declared {_shown(_keys(wanted.keys))}, found {_shown(_keys(found['key']))}")
    for name, default in DEFAULTS.items():
        declared, there = wanted.options.get(name, default), found.get(name, default)
        if not _same_option(declared, there):
            parts.append(f"{name}: declared {declared!r}, found {there!r}")
    return "; ".join(parts)


def _same_option(declared: object, there: object) -> bool:
    # The server completes a collation with everything that was not said.
    if isinstance(declared, Mapping) and isinstance(there, Mapping) and "locale" in declared:
        return all(there.get(key) == value for key, value in declared.items())
    return declared == there


def _keys(keys: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(name, direction) for name, direction in keys]


def _shown(keys: Sequence[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} {direction}" for name, direction in keys)
