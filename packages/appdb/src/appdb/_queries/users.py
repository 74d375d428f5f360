"""Queries and updates of ``users``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb._queries.clock import NOW, changed_now
from appdb._queries.expressions import literal
from appdb._queries.types import Filter, Pipeline, Update

WITHOUT_PASSWORD = {"password_hash": 0}


def create(user_id: str, fields: Mapping[str, Any]) -> tuple[Filter, Pipeline]:
    """A new user; one who is there already is left as they are."""
    # The stored document comes last and wins, so that a repeated call changes nothing.
    made = {"$mergeObjects": [literal(dict(fields)), {"created_at": NOW}, "$$ROOT"]}
    return {"_id": user_id}, [{"$replaceWith": made}]


def by_id(user_id: str) -> Filter:
    """One user."""
    return {"_id": user_id}


def by_username(key: str) -> Filter:
    """The user of this name, as ``username_key`` folds it; served by index users_username."""
    return {"username_key": key}


def by_email(key: str) -> Filter:
    """The user of this address, as ``email_key`` folds it; served by index users_email."""
    return {"email_key": key}


def guests_from(floor: str) -> Filter:
    """Guests whose ids, which tell when they were made, are not below *floor*; served by the index of ids."""
    return {"_id": {"$gte": floor}, "is_guest": True}


def page(before: str | None) -> Filter:
    """Users made before the cursor *before*."""
    return {} if before is None else {"_id": {"$lt": before}}


def active(user_id: str) -> Filter:
    """One user who is active: what a credential is made for, and what it is good for."""
    return {"_id": user_id, "is_active": True}


def guest(user_id: str) -> Filter:
    """One user who is a guest."""
    return {"_id": user_id, "is_guest": True}


def stamp(field: str) -> Pipeline:
    """Note the time in *field*; whoever changes a user in the same moment in a transaction waits or repeats."""
    return [{"$set": {field: changed_now(field)}}]


def upgrade(fields: Mapping[str, Any]) -> Update:
    """Turn a guest into a full user."""
    return {"$set": dict(fields) | {"is_guest": False}, "$currentDate": {"upgraded_at": True}}


def set_roles(roles: Sequence[str]) -> Update:
    """Replace the roles."""
    return {"$set": {"roles": list(roles)}}


def set_active(is_active: bool) -> Update:
    """Switch a user on or off."""
    return {"$set": {"is_active": is_active}}


def set_password_hash(password_hash: str | None) -> Update:
    """Replace the password's hash, or take the password away."""
    return {"$set": {"password_hash": password_hash}}
