"""Queries and updates of ``config``: settings, the contract, the migrations' lock and the places of sweeps."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, JsonValue, RootModel

from appdb._queries.clock import NOW, from_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline, Update

LOCK_ID = "migrations"
CONTRACT_ID = "contract"
SWEEPS = "sweep."
"""Begins the ids of the documents that say where sweeps go on."""
SETTINGS: Filter = {"_id": {"$not": {"$regex": rf"^({CONTRACT_ID}$|{re.escape(SWEEPS)})"}}}
"""All but the contract and the places of sweeps, which are no settings."""


def one(setting_id: str) -> Filter:
    """A setting; the contract and the migrations' lock have ids of another form. Served by ``_id``."""
    return {"_id": setting_id}


def one_at(setting_id: str, revision: int) -> Filter:
    """A setting, if nobody has written it since; revision 0 means that it is not there. Served by ``_id``."""
    return {"_id": setting_id, "revision": revision or {"$exists": False}}


def page(type_: str, after: str | None) -> Filter:
    """The settings of a type with names after *after*; served by index config_type."""
    return {"type": type_} | ({} if after is None else {"name": {"$gt": after}})


def put(type_: str, name: str, value: dict[str, Any]) -> Pipeline:
    """Write a value, an expression of ``writing``, and count the write."""
    fields = {
        "type": literal(type_),
        "name": literal(name),
        "value": value,
        "revision": {"$add": [{"$ifNull": ["$revision", 0]}, 1]},
        "created_at": {"$ifNull": ["$created_at", NOW]},
        "updated_at": NOW,
    }
    return [{"$set": fields}]


def writing(value: object, dumped: JsonValue, path: str = "$value") -> dict[str, Any]:
    """A value as an expression: a model is merged into what is stored, and anything else replaces it."""
    if isinstance(value, BaseModel) and not isinstance(value, RootModel) and isinstance(dumped, Mapping):
        return _merging(value, dumped, path)
    return literal(dumped)


def _merging(model: BaseModel, dumped: Mapping[str, JsonValue], path: str) -> dict[str, Any]:
    """The fields that *model* knows, out of its dump; what a newer release has stored beside them stays.

    Only names that a model's source code gives become part of the expression: whatever a user wrote is a literal.
    """
    stored = {"$cond": [{"$eq": [{"$type": path}, "object"]}, path, {}]}
    nested: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        key = field.serialization_alias or field.alias or name
        part, inner = getattr(model, name), dumped.get(key)
        if isinstance(part, BaseModel) and _PLAIN_NAME.fullmatch(key):
            # Hosts of two releases write the same setting while one replaces the other; neither may drop the other's
            # fields.
            nested[key] = writing(part, inner, f"{path}.{key}")
    rest = {key: part for key, part in dumped.items() if key not in nested}
    return {"$mergeObjects": [stored, literal(rest), nested]}


_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def lock_if_free(holder: str, by: str, lease: timedelta) -> Pipeline:
    """Take the lock for *holder* unless somebody has it whose lease has not ended."""
    # An absent expiry sorts below every date, so a new document counts as free.
    free = {"$lte": ["$expires_at", NOW]}
    mine = {"holder": literal(holder), "by": literal(by), "since": NOW, "expires_at": from_now(lease)}
    return [{"$set": {name: {"$cond": [free, value, f"${name}"]} for name, value in mine.items()}}]


def held_lock(holder: str) -> Filter:
    """The lock while *holder* has it."""
    return {"_id": LOCK_ID, "holder": holder}


def renew_lock(lease: timedelta) -> Pipeline:
    """Hold the lock for *lease* from now."""
    return [{"$set": {"expires_at": from_now(lease)}}]


def contract(newest: int, oldest: int) -> Pipeline:
    """Say which contracts may work with the database.

    Hosts before contract 3 compare ``version`` with their own contract and know no more, so it is the oldest that may.
    """
    return [{"$set": {"version": oldest, "newest": newest, "updated_at": NOW}}]


def sweep_id(name: str) -> str:
    """Return the id of the document that says where the sweep *name* goes on."""
    return f"{SWEEPS}{name}"


def go_on_after(document_id: str) -> Update:
    """Let a sweep go on behind an id; empty for the beginning."""
    return {"$set": {"after": document_id}}
