"""Version trees: a source with all that it resolves to, checked first and written in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appdb._driver import AFTER, DuplicateKeyError, RawDocument, Session
from appdb._queries import workflow_templates as template_queries
from appdb._queries import workflow_versions as queries
from appdb._schema import collections
from appdb.canonical import content_hash
from appdb.connection import Connection
from appdb.errors import ConflictError, InvalidDataError, NotFoundError, TooLargeError
from appdb.models.bounds import accept
from appdb.models.workflow_versions import (
    NewResolvedVersion,
    NewVersion,
    Requirement,
    SourceType,
    VersionKind,
    VersionSummary,
    VersionTree,
)
from appdb.size_limits import KIB, check_size

MAX_DEFINITION_BYTES = 4 * 1024 * KIB
MAX_TREE_BYTES = 32 * 1024 * KIB
"""A source and all of its resolved versions, which one transaction writes."""
MAX_RESOLVED = 256
"""Resolved versions of one source: stored at once, or looked at to choose one."""
MAX_REQUIREMENTS = 64
MAX_CAPABILITY_CHARACTERS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedVersion:
    """A checked version with the hash of its content."""

    fields: RawDocument
    content_hash: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTree:
    """A source and its resolved versions, checked as a whole."""

    source: PreparedVersion
    resolved: tuple[PreparedVersion, ...]


def prepare(source: NewVersion, resolved: Sequence[NewResolvedVersion], kind: VersionKind) -> PreparedTree:
    """Check a tree, without asking the database.

    Raises:
        InvalidDataError: A definition or a requirement cannot be stored, or two versions contradict each other.
        TooLargeError: A definition is over 4 MiB, or all together over 32 MiB.
    """
    accept(NewVersion, source)
    fields: RawDocument = {
        "_id": source.version_id,
        "source_type": source.source_type.value,
        "kind": kind.value,
        "requires": [],
    }
    tree = PreparedTree(
        source=_prepared("definition", source.definition, fields),
        resolved=tuple(_resolved(number, one, source.source_type) for number, one in enumerate(resolved)),
    )
    _check_whole([one.size for one in (tree.source, *tree.resolved)])
    _check_unambiguous(tree.resolved)
    return tree


def _check_whole(sizes: Sequence[int]) -> None:
    if len(sizes) - 1 > MAX_RESOLVED:
        problem = f"{len(sizes) - 1} are more than {MAX_RESOLVED}; give the source fewer alternatives"
        raise InvalidDataError("resolved", problem)
    if sum(sizes) > MAX_TREE_BYTES:
        raise TooLargeError("definition with all resolved", sum(sizes), MAX_TREE_BYTES)


def _resolved(number: int, one: NewResolvedVersion, source_type: SourceType) -> PreparedVersion:
    field = f"resolved[{number}]"
    accept(NewResolvedVersion, one, field)
    fields = {
        "_id": one.version_id,
        "source_type": source_type.value,
        "kind": VersionKind.RESOLVED.value,
        "requires": _checked_requirements(f"{field}.requires", one.requires),
    }
    return _prepared(f"{field}.definition", one.definition, fields)


def _prepared(field: str, definition: Mapping[str, Any], fields: Mapping[str, Any]) -> PreparedVersion:
    # The size first: hashing takes long for a definition that is far too large.
    size = check_size(field, definition, MAX_DEFINITION_BYTES)
    digest = content_hash(definition, field=field)
    stored = {**fields, "size": size, "definition": dict(definition)}
    return PreparedVersion(fields=stored, content_hash=digest, size=size)


def _checked_requirements(field: str, requires: Sequence[Requirement]) -> list[RawDocument]:
    if len(requires) > MAX_REQUIREMENTS:
        raise InvalidDataError(field, f"{len(requires)} are more than {MAX_REQUIREMENTS}; require fewer capabilities")
    names = [one.capability for one in requires]
    for name in names:
        if not name or len(name) > MAX_CAPABILITY_CHARACTERS:
            raise InvalidDataError(field, f"write capabilities of 1 to {MAX_CAPABILITY_CHARACTERS} characters")
        if names.count(name) > 1:
            raise InvalidDataError(field, f"{name!r} is required twice; keep one of them")
    rows = sorted((one.model_dump() for one in requires), key=lambda row: str(row["capability"]))
    check_size(field, {"requires": rows}, MAX_REQUIREMENTS * KIB)
    return rows


def _check_unambiguous(resolved: Iterable[PreparedVersion]) -> None:
    first: dict[str, tuple[int, object]] = {}
    for number, one in enumerate(resolved):
        other, requires = first.setdefault(one.content_hash, (number, one.fields["requires"]))
        if requires != one.fields["requires"]:
            raise InvalidDataError(
                f"resolved[{number}]",
                f"it is the same workflow as resolved[{other}] with other requirements; keep one of the two",
            )


class VersionTrees:
    """Writes trees, for ``VersionRepository``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._templates = connection.collection(collections.WORKFLOW_TEMPLATES)
        self._versions = connection.collection(collections.WORKFLOW_VERSIONS)

    async def store_tree(
        self,
        target: tuple[str, str],
        source: NewVersion,
        resolved: Sequence[NewResolvedVersion],
        kind: VersionKind,
        session: Session | None,
    ) -> VersionTree:
        """Store a source and its resolved versions in *target*, the id of a template and its owner."""
        # In a thread: hashing megabytes would hold up everything else on the event loop.
        tree = await asyncio.to_thread(prepare, source, resolved, kind)

        async def body(session: Session) -> VersionTree:
            return await self._write_tree(*target, tree, session)

        return await self._connection.joined(body, session)

    async def _write_tree(self, template_id: str, owner_id: str, tree: PreparedTree, session: Session) -> VersionTree:
        """Write what is new of *tree*, and return all of it as it is stored.

        Raises:
            NotFoundError: The owner has no such template.
            InvalidDataError: With what was stored before, the source has too many resolved versions.
            TooLargeError: With what was stored before, the tree is too large.
            ConflictError: An id is another version's; the transaction is lost.
        """
        # The template is written first: other transactions that change or delete it come before or after, not between.
        match = template_queries.owned(template_id, owner_id)
        template = await self._templates.find_one_and_update(match, template_queries.touch(), session=session)
        if template is None:
            raise NotFoundError("workflow template", template_id)
        source = await self._write(template, tree.source, None, session)
        resolved = [await self._write(template, one, source.id, session) for one in tree.resolved]
        if resolved:
            children = queries.children(template["_id"], source.id, owner_id)
            rows = self._versions.find(children, queries.ONLY_SIZE, session=session)
            # Checked against the database as well: earlier calls may have stored other resolved versions.
            _check_whole([source.size, *[row.get("size", 0) async for row in rows]])
        return VersionTree(source=source, resolved=tuple(resolved))

    async def _write(
        self, template: RawDocument, version: PreparedVersion, parent_id: str | None, session: Session
    ) -> VersionSummary:
        fields = {**version.fields, "owner_id": template["owner_id"]}
        try:
            row = await self._versions.find_one_and_update(
                queries.same_content(template["_id"], version.content_hash, parent_id),
                queries.create_source(fields) if parent_id is None else queries.create_resolved(fields),
                upsert=True,
                projection=queries.WITHOUT_DEFINITION,
                return_document=AFTER,
                session=session,
            )
        except DuplicateKeyError as exc:
            # Only a taken id is the caller's mistake.
            if "_id" not in (exc.details or {}).get("keyPattern", {}):
                raise
            problem = "its id is taken by another version; make a new id"
            raise ConflictError("workflow version", fields["_id"], problem) from exc
        return VersionSummary.from_document(row)
