"""Declared indexes beside those that a server has: what is missing, different, extra."""

from __future__ import annotations

from typing import Any

import pytest

from appdb._schema.difference import IndexProblem, differences, known_collections
from appdb._schema.index import Index
from appdb._schema.indexes import INDEXES

KEYS = (("owner_id", 1), ("_id", -1))


def declared(**options: Any) -> list[Index]:
    return [Index(collection="tasks", name="tasks_owner", keys=KEYS, options=options)]


def found(**options: Any) -> dict[str, dict[str, dict[str, Any]]]:
    own = {"v": 2, "key": [("_id", 1)]}
    return {"tasks": {"_id_": own, "tasks_owner": {"v": 2, "key": list(KEYS), **options}}}


def test_declared_indexes_are_no_difference() -> None:
    partial = {"state": "queued"}

    assert differences(declared(), found()) == []
    assert differences(declared(unique=True), found(unique=True)) == []
    assert differences(declared(), found(unique=False, sparse=False)) == []
    assert differences(declared(partialFilterExpression=partial), found(partialFilterExpression=dict(partial))) == []
    assert differences(declared(expireAfterSeconds=60), found(expireAfterSeconds=60.0)) == []


@pytest.mark.parametrize(
    ("wanted", "there", "named"),
    [
        ({"unique": True}, {}, "unique"),
        ({}, {"unique": True}, "unique"),
        ({}, {"sparse": True}, "sparse"),
        ({}, {"hidden": True}, "hidden"),
        ({"expireAfterSeconds": 60}, {"expireAfterSeconds": 61}, "expireAfterSeconds"),
        ({"expireAfterSeconds": 60}, {}, "expireAfterSeconds"),
        ({}, {"expireAfterSeconds": 0}, "expireAfterSeconds"),
        (
            {"partialFilterExpression": {"state": "queued"}},
            {"partialFilterExpression": {"state": "x"}},
            "partialFilterExpression",
        ),
        ({"partialFilterExpression": {"state": "queued"}}, {}, "partialFilterExpression"),
        ({}, {"partialFilterExpression": {"state": "queued"}}, "partialFilterExpression"),
        ({}, {"collation": {"locale": "de"}}, "collation"),
        ({"collation": {"locale": "de"}}, {"collation": {"locale": "en"}}, "collation"),
    ],
)
def test_every_deciding_option_is_compared(wanted: dict[str, Any], there: dict[str, Any], named: str) -> None:
    (difference,) = differences(declared(**wanted), found(**there))

    assert difference.problem is IndexProblem.DIFFERENT
    assert difference.detail.startswith(f"{named}: declared ")


def test_completed_collation_is_same() -> None:
    completed = {"locale": "en", "strength": 2, "caseLevel": False, "version": "57.1"}

    assert differences(declared(collation={"locale": "en", "strength": 2}), found(collation=completed)) == []


@pytest.mark.parametrize(
    "keys", [[("owner_id", 1)], [("_id", -1), ("owner_id", 1)], [("owner_id", 1), ("_id", 1)], [*KEYS, ("state", 1)]]
)
def test_other_keys_order_or_direction_differ(keys: list[tuple[str, int]]) -> None:
    there = found()
    there["tasks"]["tasks_owner"]["key"] = keys
    (difference,) = differences(declared(), there)

    assert difference.problem is IndexProblem.DIFFERENT
    assert "keys: declared owner_id 1, _id -1, found" in difference.detail


def test_index_of_missing_collection_is_missing() -> None:
    (difference,) = differences(declared(), {})

    assert (difference.collection, difference.name, difference.problem) == ("tasks", "tasks_owner", "missing")


def test_undeclared_index_is_extra() -> None:
    there = found()
    there["tasks"]["mine"] = {"key": [("actor", 1)]}
    there["users"] = {"_id_": {"key": [("_id", 1)]}, "by_name": {"key": [("name", 1)]}}
    told = [(row.collection, row.name, row.problem) for row in differences(declared(), there)]

    assert told == [("tasks", "mine", "extra"), ("users", "by_name", "extra")]


def test_index_under_another_name_is_misnamed() -> None:
    there: dict[str, dict[str, dict[str, Any]]] = {
        "tasks": {"mine": {"key": list(KEYS), "hidden": True}, "other": {"key": [("_id", -1)]}}
    }
    told = [(row.name, row.problem, row.in_the_way) for row in differences(declared(), there)]

    assert told == [("other", "extra", None), ("tasks_owner", "misnamed", "mine")]


def test_index_differing_in_kind_is_missing_and_extra() -> None:
    there: dict[str, dict[str, dict[str, Any]]] = {"tasks": {"mine": {"key": list(KEYS), "unique": True}}}
    told = [(row.name, row.problem, row.in_the_way) for row in differences(declared(), there)]

    assert told == [("mine", "extra", None), ("tasks_owner", "missing", None)]


def test_misnamed_different_index_is_in_the_way() -> None:
    there = found(unique=True)
    there["tasks"]["mine"] = {"key": list(KEYS), "expireAfterSeconds": 9}
    (difference,) = differences(declared(), there)

    assert (difference.problem, difference.in_the_way) == ("different", "mine")


def test_gridfs_and_id_indexes_are_never_extra() -> None:
    there = found() | {
        "media.files": {"_id_": {"key": [("_id", 1)]}, "filename_1_uploadDate_1": {"key": [("filename", 1)]}},
        "media.chunks": {"_id_": {"key": [("_id", 1)]}, "files_id_1_n_1": {"key": [("files_id", 1)], "unique": True}},
    }

    assert differences(declared(), there) == []


def test_all_declared_collections_are_compared() -> None:
    names = [(index.collection, index.name) for index in INDEXES]

    assert {index.collection for index in INDEXES} <= set(known_collections(INDEXES))
    assert {"media.files", "media.chunks", "config", "migrations"} <= set(known_collections(INDEXES))
    assert len(set(names)) == len(names)
