"""Queries and updates of ``workflow_templates``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb._queries.clock import changed_now
from appdb._queries.expressions import literal
from appdb._queries.inserts import insert_once
from appdb._queries.paging import older_than
from appdb._queries.types import Filter, Pipeline, Update
from appdb.models.workflow_templates import GLOBAL_OWNER, TemplateVisibility


def readable(owner_id: str) -> Filter:
    """What *owner_id* may read: the own, and what is everybody's."""
    return {"owner_id": {"$in": sorted({owner_id, GLOBAL_OWNER})}}


def known_as(document_id: str) -> Filter:
    """A document by its id, or by the id of a duplicate that was merged into it."""
    return {"$or": [{"_id": document_id}, {"merged_ids": document_id}]}


def one(template_id: str, owner_id: str) -> Filter:
    """A template that the owner may read."""
    return known_as(template_id) | readable(owner_id)


def owned(template_id: str, owner_id: str) -> Filter:
    """A template that the owner may write."""
    return known_as(template_id) | {"owner_id": owner_id}


def unchanged(template_id: str, owner_id: str, revision: int) -> Filter:
    """A template that the owner may write, if no version of it has changed since; served by ``_id``."""
    return {"_id": template_id, "owner_id": owner_id, "revision": {"$in": [revision] if revision else [0, None]}}


def named(owner_id: str, name: str) -> Filter:
    """The owner's visible template of that name; served by index templates_name."""
    return {"owner_id": owner_id, "name": name, "visibility": TemplateVisibility.VISIBLE.value}


def copy_of(owner_id: str, template_id: str) -> Filter:
    """The owner's hidden copy of a template; served by index templates_copy."""
    return {"owner_id": owner_id, "derived_from": template_id, "visibility": TemplateVisibility.HIDDEN.value}


def create(fields: Mapping[str, Any]) -> Pipeline:
    """Make the template that the filter names, or leave the one that is there."""
    return insert_once(fields, times=("created_at", "updated_at"))


def page(owner_id: str, last: Mapping[str, Any] | None) -> Filter:
    """Visible templates that the owner may read, older than *last*; served by index templates_owner."""
    match = readable(owner_id) | {"visibility": TemplateVisibility.VISIBLE.value}
    return match if last is None else match | older_than(last)


def all_of(owner_id: str) -> Filter:
    """The owner's own templates, hidden ones too; served by index templates_owner."""
    return {"owner_id": owner_id}


def some_of(owner_id: str, template_ids: Sequence[str]) -> Filter:
    """Some of the owner's own templates; served by ``_id``."""
    return {"_id": {"$in": list(template_ids)}, "owner_id": owner_id}


def touch() -> Update:
    """Note that the template's versions change: whoever else changes them at the same time has to repeat."""
    # A counter and not a time: two changes within one millisecond must conflict.
    return {"$inc": {"revision": 1}, "$currentDate": {"updated_at": True}}


def use() -> Pipeline:
    """Note that a run of the template is opened: it conflicts with the template's deletion."""
    return [{"$set": {"used_at": changed_now("used_at")}}]


def take_over(name: str, merged_ids: Sequence[str]) -> Pipeline:
    """Let the template stand for duplicates, under *name*."""
    return [{"$set": {"name": literal(name), "merged_ids": standing_for(merged_ids)}}]


def standing_for(merged_ids: Sequence[str]) -> dict[str, Any]:
    """The ids that a document stands for, with *merged_ids* among them."""
    return {"$setUnion": [{"$ifNull": ["$merged_ids", []]}, literal(list(merged_ids))]}
