"""Queries and updates of ``workflow_versions``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appdb._queries.expressions import literal
from appdb._queries.inserts import insert_once
from appdb._queries.paging import older_than
from appdb._queries.types import Filter, Pipeline
from appdb._queries.workflow_templates import known_as, readable, standing_for
from appdb.models.workflow_versions import VersionKind

SOURCE_FIRST = [("parent_id", 1)]
WITHOUT_DEFINITION = {"definition": False}
ONLY_SIZE = {"size": True}


def one(version_id: str, owner_id: str) -> Filter:
    """A version that the owner may read."""
    return known_as(version_id) | readable(owner_id)


def same_content(template_id: str, content_hash: str, parent_id: str | None) -> Filter:
    """The version with that content, among a source's own or among the sources; served by index versions_content."""
    return {"template_id": template_id, "content_hash": content_hash, "parent_id": parent_id}


def with_content(template_id: str, content_hash: str, owner_id: str) -> Filter:
    """Every version with that content in a template that the owner may read; served by index versions_content."""
    return {"template_id": template_id, "content_hash": content_hash} | readable(owner_id)


def create_source(fields: Mapping[str, Any]) -> Pipeline:
    """Make a source, or leave the one that is there, but for its kind: with resolved versions it is unresolved."""
    is_resolved = fields["kind"] == VersionKind.UNRESOLVED
    return insert_once(fields, changes={"kind": literal(fields["kind"])} if is_resolved else None)


def create_resolved(fields: Mapping[str, Any]) -> Pipeline:
    """Make a resolved version, or leave the one that is there."""
    return insert_once(fields)


def children(template_id: str, parent_id: str | None, owner_id: str) -> Filter:
    """A source's resolved versions, or with ``None`` all sources; served by index versions_tree."""
    return {"template_id": template_id, "parent_id": parent_id} | readable(owner_id)


def page(template_id: str, parent_id: str | None, owner_id: str, last: Mapping[str, Any] | None) -> Filter:
    """Those of ``children`` that are older than *last*; served by index versions_tree."""
    match = children(template_id, parent_id, owner_id)
    return match if last is None else match | older_than(last)


def of_templates(template_ids: Sequence[str]) -> Filter:
    """All versions of some templates; served by index versions_content."""
    return {"template_id": {"$in": list(template_ids)}}


def some(version_ids: Sequence[str]) -> Filter:
    """Versions by their ids; served by ``_id``."""
    return {"_id": {"$in": list(version_ids)}}


def move_children(template_id: str, parents: Mapping[str, str]) -> tuple[Filter, Pipeline]:
    """Give the children of merged versions to those that stay; *parents* is from old id to new."""
    match = {"template_id": template_id, "parent_id": {"$in": list(parents)}}
    branches = [{"case": {"$eq": ["$parent_id", literal(old)]}, "then": literal(new)} for old, new in parents.items()]
    return match, [{"$set": {"parent_id": {"$switch": {"branches": branches, "default": "$parent_id"}}}}]


def stand_for(content_hash: str, merged_ids: Sequence[str]) -> Pipeline:
    """Let a version stand for duplicates, under the hash of their content."""
    return [{"$set": {"content_hash": literal(content_hash), "merged_ids": standing_for(merged_ids)}}]


def move(template_ids: Sequence[str], template_id: str) -> tuple[Filter, dict[str, Any]]:
    """Give what belongs to some templates, versions or runs, to another one."""
    return of_templates(template_ids), {"$set": {"template_id": template_id}}
